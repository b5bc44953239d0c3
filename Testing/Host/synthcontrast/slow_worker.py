"""The worker, but a conversion takes a minute first, and starts a child meanwhile."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from SynthRegLib.scene_worker import nodes_spec, tasks_on_nodes

from SlicerSynthReg.request import Progress, Request, TaskOutcome
from SlicerSynthReg.worker import main


def contrast(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
    progress(0.1, f"child {child.pid}")
    for step in range(600):
        progress(0.1 + step / 1000, "making native")
        time.sleep(0.1)
    raise RuntimeError("nobody stopped it")


if __name__ == "__main__":
    main({**tasks_on_nodes(), "contrast_nodes": nodes_spec("contrast", contrast)})
