"""greedy as a peer: affine from image centres, then greedy deformable registration.

Settings are those of the greedy quick start, 100x50x10 iterations, patch correlation of radius 2.
The affine stage uses mutual information, which serves across contrasts; the deformable stage keeps
the patch correlation there too, since it beat mutual information and wider patches on a FLAIR-T1
pair. Labels are moved by greedy's own label interpolation. Threads follow ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS.
Source: Yushkevich et al. 2016, Alzheimer's & Dementia 12(7S).
"""

from __future__ import annotations

import os
import tempfile

from arguments import peer_arguments
from picsl_greedy import Greedy3D


def main() -> None:
    """Register, then write the moved labels (label-wise interpolation) and, if asked, the moved image."""
    given = peer_arguments("greedy affine + deformable")
    threads = os.environ.get("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
    common = f"-i {given.fixed} {given.moving} -n 100x50x10 -V 0"
    if threads:
        common += f" -threads {threads}"
    greedy = Greedy3D()
    with tempfile.TemporaryDirectory() as scratch:
        affine, warp = f"{scratch}/affine.mat", f"{scratch}/warp.nii.gz"
        greedy.execute(f"{common} -a -dof 12 -ia-image-centers -m NMI -o {affine}")
        greedy.execute(f"{common} -m NCC 2x2x2 -it {affine} -o {warp}")
        reslice = f"-rf {given.fixed}"
        if given.labels:
            reslice += f" -ri LABEL 0.2vox -rm {given.labels} {given.out}"
        linear = [*zip(given.values, given.values_out), *([(given.moving, given.moved)] if given.moved else [])]
        reslice += "".join(f" -ri LINEAR -rm {source} {target}" for source, target in linear)
        greedy.execute(f"{reslice} -r {warp} {affine}")


if __name__ == "__main__":
    main()
