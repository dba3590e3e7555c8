"""How fast faces are drawn: frames per second of one process, at 64×64 and other sizes.

python benchmarks/faces.py                 32, 64 and 128 (a few seconds)
python benchmarks/faces.py --sizes 64      one size
"""

import argparse
import time

import numpy as np

from styleganv.faces.drawing import draw_video
from styleganv.faces.factors import sample_face

VIDEOS, FRAMES = 16, 48


def frames_per_second(size: int) -> float:
    """Of different faces, so that every feature has its share."""
    faces = [sample_face(np.random.default_rng(i)) for i in range(VIDEOS)]
    draw_video(faces[0], 0, FRAMES, size, size)
    started = time.perf_counter()
    for index, face in enumerate(faces):
        draw_video(face, index, FRAMES, size, size)
    return VIDEOS * FRAMES / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64, 128])
    for size in parser.parse_args().sizes:
        print(f"{size:>4}²  {frames_per_second(size):8,.0f} frames per second")


if __name__ == "__main__":
    main()
