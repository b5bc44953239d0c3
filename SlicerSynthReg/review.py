"""`synthreg review`: make, verify and evaluate blinded readings; plan them; look over a cohort of results."""

from __future__ import annotations

import typer

app = typer.Typer(help="Blinded reading studies and quality reports.", no_args_is_help=True)
