"""The two commands of a fresh clone: `python3 make.py demo` and `python3 make.py test`.

Both first make or reuse the virtual environment `.venv` beside this file. Nothing but Python 3.9+ and pip is expected.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
CPU_TORCH = "torch==2.13.0+cpu"


def run(*command):
    """Run `command` from the repository root and leave with its exit status when it fails."""
    status = subprocess.call([str(part) for part in command], cwd=ROOT)
    if status != 0:
        sys.exit(status)


def create_environment():
    """Make `.venv`; where the system's Python comes without ensurepip (Debian), its pip is put in from outside."""
    if subprocess.call([sys.executable, "-m", "venv", "--clear", str(VENV)], stdout=subprocess.DEVNULL) != 0:
        run(sys.executable, "-m", "venv", "--clear", "--without-pip", VENV)
        run(sys.executable, "-m", "pip", "--python", PYTHON, "install", "--quiet", "pip")


def set_up(extra):
    """Install the package with its dependency group `extra` into `.venv`, once for each state of pyproject.toml."""
    state = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    stamp = VENV / f"installed-{extra}-{state[:16]}"
    if stamp.exists():
        return
    if not PYTHON.exists():
        create_environment()
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # A CPU build where pip is configured to find one; anywhere else torch comes with the package's own requirements.
    cpu_torch = [str(part) for part in [*pip, CPU_TORCH]]
    subprocess.call(cpu_torch, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    run(*pip, "--editable", f".[{extra}]")
    stamp.touch()


def demo():
    set_up("demo")
    run(BIN / "synthreg", "demo", "--out", "demo-output")


def test():
    set_up("test")
    run(PYTHON, "-m", "ruff", "check", ".")
    run(PYTHON, "-m", "mypy")
    run(PYTHON, "-m", "pytest")


if __name__ == "__main__":
    commands = {"demo": demo, "test": test}
    if sys.version_info < (3, 9):  # noqa: UP036 (pip would say it too, but after making the environment)
        sys.exit(f"Found Python {sys.version.split()[0]}, expected 3.9 or newer: run make.py with a newer python3.")
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.exit(f"Found arguments {sys.argv[1:]}, expected one of {sorted(commands)}: python3 make.py test")
    commands[sys.argv[1]]()
