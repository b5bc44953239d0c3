"""The commands of a fresh clone: `python3 make.py demo`, `python3 make.py test` and `python3 make.py docs`.

Each first makes or reuses the virtual environment `.venv` beside this file. Python 3.9+ and pip suffice.
"""

import hashlib
import os
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
CPU_TORCH = "torch==2.13.0+cpu"
MOST_TEST_PROCESSES = 4
THREAD_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")


def run(*command, environment=None):
    """Run `command` from the repository root; exit with its status if it fails. environment: added to this one's."""
    status = subprocess.call([str(part) for part in command], cwd=ROOT, env={**os.environ, **(environment or {})})
    if status != 0:
        sys.exit(status)


def create_environment():
    """Create `.venv`; if the system's Python has no ensurepip (Debian), install pip from outside."""
    if subprocess.call([sys.executable, "-m", "venv", "--clear", str(VENV)], stdout=subprocess.DEVNULL) != 0:
        run(sys.executable, "-m", "venv", "--clear", "--without-pip", VENV)
        run(sys.executable, "-m", "pip", "--python", PYTHON, "install", "--quiet", "pip")


def stamp_of(extra):
    """Return the file that marks `extra` as installed for the present pyproject.toml."""
    state = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    return VENV / f"installed-{extra}-{state[:16]}"


def set_up(extra):
    """Install the package with its extra `extra` into `.venv`, once for each state of pyproject.toml."""
    stamp = stamp_of(extra)
    if stamp.exists():
        return
    if not PYTHON.exists():
        create_environment()
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # A CPU build if pip is configured to find one; else torch is installed with the package.
    cpu_torch = [str(part) for part in [*pip, CPU_TORCH]]
    subprocess.call(cpu_torch, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    run(*pip, "--editable", f".[{extra}]")
    stamp.touch()


def set_up_host():
    """Install the requirements of the panels' tests if wheels exist (1.3 GB); else these tests are skipped."""
    stamp = stamp_of("host")
    if sys.platform != "linux" or platform.machine() != "x86_64" or sys.version_info[:2] not in ((3, 11), (3, 12)):
        print("No slicer-core for this Python and platform (3.11 or 3.12 on Linux): the panels' tests are skipped.")
    elif not stamp.exists():
        command = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--editable", ".[host]"]
        if subprocess.call([str(part) for part in command], cwd=ROOT) == 0:
            stamp.touch()
        else:
            print("slicer-core or PySide6 could not be installed: the panels' tests are skipped.")


def docs():
    """Build the documentation site into site/; a broken link fails."""
    set_up("docs")
    run(PYTHON, "-m", "mkdocs", "build", "--strict")


def demo():
    set_up("demo")
    run(BIN / "synthreg", "demo", "--out", "demo-output")


def test():
    set_up("test")
    set_up_host()
    run(PYTHON, "-m", "ruff", "check", ".")
    run(PYTHON, "-m", "mypy")
    processors = os.cpu_count() or 1
    processes = min(processors, MOST_TEST_PROCESSES)
    threads = dict.fromkeys(THREAD_COUNTS, str(processors // processes))
    parallel = ("-n", processes, "--dist", "loadfile", "--no-loadscope-reorder")
    run(PYTHON, "-m", "pytest", *parallel, environment=threads)


if __name__ == "__main__":
    commands = {"demo": demo, "docs": docs, "test": test}
    if sys.version_info < (3, 9):  # noqa: UP036 (pip would say it too, but after making the environment)
        sys.exit(f"Found Python {sys.version.split()[0]}, expected 3.9 or newer: run make.py with a newer python3.")
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.exit(f"Found arguments {sys.argv[1:]}, expected one of {sorted(commands)}: python3 make.py test")
    commands[sys.argv[1]]()
