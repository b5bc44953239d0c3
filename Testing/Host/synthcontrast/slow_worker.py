"""The worker, but a conversion takes a minute first and starts a child process meanwhile."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

from SynthRegLib.scene_worker import nodes_spec, tasks_on_nodes

from SlicerSynthReg.progress import Progress
from SlicerSynthReg.service.worker import main


def contrast(inputs: dict[str, Any], parameters: dict[str, Any], progress: Progress) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
    progress(0.1, f"child {child.pid}")
    for step in range(600):
        progress(0.1 + step / 1000, "making native")
        time.sleep(0.1)
    raise RuntimeError("the conversion was not cancelled")


if __name__ == "__main__":
    main({**tasks_on_nodes(), "contrast_nodes": nodes_spec("contrast", contrast)})
