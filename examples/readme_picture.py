"""Draw the animated picture at the top of the README: one row of videos per model.

python examples/readme_picture.py docs/demo.webp faces-64 emoji-64 sky-64
"""

import sys

import numpy as np
from PIL import Image

import styleganv

COLUMNS, SIDE, GAP, SECONDS, FPS = 8, 112, 4, 4.0, 25.0


def main(out: str, models: list[str]) -> None:
    rows = []
    for path in models:
        model = styleganv.load(path)
        rows.append([model.sample(seed=seed, seconds=SECONDS, fps=FPS) for seed in range(COLUMNS)])
    pages = [draw_page(rows, t) for t in range(int(SECONDS * FPS))]
    pages[0].save(out, save_all=True, append_images=pages[1:], duration=round(1000 / FPS), loop=0, quality=70, method=4)


def draw_page(rows: list[list[np.ndarray]], t: int) -> Image.Image:
    step = SIDE + GAP
    page = Image.new("RGB", (COLUMNS * step - GAP, len(rows) * step - GAP), "white")
    for y, row in enumerate(rows):
        for x, video in enumerate(row):
            frame = Image.fromarray(video[t]).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            page.paste(frame, (x * step, y * step))
    return page


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
