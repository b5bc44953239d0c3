"""MkDocs hooks: generate the reference pages and insert benchmark tables. No generated page is committed."""

from __future__ import annotations

import sys
from pathlib import Path

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files, InclusionLevel

ROOT = Path(__file__).resolve().parents[1]
for _folder in (ROOT, ROOT / "docs", ROOT / "Testing" / "Benchmarks"):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))

from generate import api, benchmarks, cli, models, modules, parameters, project  # noqa: E402

PAGES = {
    "reference/api.md": api.page,
    "reference/cli.md": cli.page,
    "reference/modules.md": modules.page,
    "reference/models.md": models.page,
    "reference/parameters.md": parameters.page,
    "changelog.md": project.changelog,
    "contributing.md": project.contributing,
}
"""Address -> function without arguments that returns the page's Markdown."""


def on_files(files: Files, config) -> Files:
    """Add the generated pages, and the pictures of Resources/Screenshots under pictures/."""
    for address, page in PAGES.items():
        files.append(File.generated(config, address, content=page()))
    for picture in sorted((ROOT / "Resources" / "Screenshots").glob("*.png")):
        files.append(File.generated(config, f"pictures/{picture.name}", abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, page, config, files: Files) -> str:
    """Replace each line that links to a result file by its table."""
    try:
        return benchmarks.with_tables(markdown)
    except KeyError as error:
        raise PluginError(f"{page.file.src_uri}: found no result file named {error}, expected one.") from error


def on_env(env, config, files: Files):
    """Refuse a site that leaves out a result file."""
    text = "\n".join(
        file.content_string for file in files.documentation_pages() if file.inclusion is not InclusionLevel.EXCLUDED
    )
    missing = benchmarks.unused(text)
    if missing:
        raise PluginError(f"Found result files on no page ({', '.join(missing)}), expected each in docs/benchmarks.")
    return env
