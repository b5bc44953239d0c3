"""`python -m SlicerSynthReg`: the command line `synthreg`."""

from SlicerSynthReg.cli.main import app

app(prog_name="synthreg")
