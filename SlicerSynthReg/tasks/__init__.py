"""One file per task: each turns a validated request into files in a workspace. table.py lists them without torch."""
