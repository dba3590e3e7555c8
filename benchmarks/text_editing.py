"""Text edits of a model of drawn faces, measured with the recognition of factors.

    python benchmarks/text_editing.py                                all prompts, 64 seeds (an hour of one core)
    python benchmarks/text_editing.py --num-seeds 8 --sheet a.png    a first look, with a sheet of videos

For each seed and prompt, both halves of five seconds are compared with the original:

- changed: videos that show the requested factor in both halves, of those whose original shows it in neither;
- kept: other factors that are recognized as in the original, over all videos, halves and visible factors. Recognition
  errs in generated videos, so its agreement between the two halves of the originals is given as the ceiling;
- motion: mean correlation of the head's position with the original's, over x and y.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from styleganv.editing.edit import search_by_text
from styleganv.editing.latents import Latents, latents_from_seed, render_latents
from styleganv.faces.factor_report import FACTORS, HUES, VISIBLE_WITH
from styleganv.faces.factors import Face
from styleganv.faces.recognition import RecognizedFace, recognize_factors
from styleganv.methods.stylegan_v.sampler import VideoGenerator, load_video_generator
from styleganv.options import EditOptions

SECONDS, FPS = 5.0, 12.5
#: Maximum difference of two hues that count as the same, as a fraction of a turn.
SAME_HUE = 1 / 12
#: Per prompt, the requested factor and whether a face shows it.
PROMPTS: dict[str, tuple[str, Callable[[Face], bool]]] = {
    "a green face": ("hue", lambda face: HUES[round(face.hue * len(HUES)) % len(HUES)] == "green"),
    "a face with glasses": ("glasses", lambda face: face.glasses != "none"),
    "a face with cat ears": ("top", lambda face: face.top == "cat ears"),
    "a face with a beanie": ("top", lambda face: face.top == "beanie"),
    "a face on a yellow background": (
        "background_hue",
        lambda face: HUES[round(face.background_hue * len(HUES)) % len(HUES)] == "yellow",
    ),
}


@dataclass(frozen=True)
class Watched:
    """A video, and what is recognized in its halves."""

    frames: NDArray[np.uint8]
    halves: tuple[RecognizedFace, RecognizedFace]

    @property
    def valid(self) -> bool:
        return all(half.valid for half in self.halves)

    def shows(self, is_shown: Callable[[Face], bool]) -> list[bool]:
        """Return whether each half shows something."""
        return [half.face is not None and is_shown(half.face) for half in self.halves]


def watch(model: VideoGenerator, latents: Latents) -> Watched:
    """Render five seconds and recognize both halves."""
    frames = np.stack(list(render_latents(model, latents, seconds=SECONDS, fps=FPS)))
    first, second = (recognize_factors(part, FPS) for part in np.array_split(frames, 2))
    return Watched(frames, (first, second))


def kept_factors(before: Face | None, after: Face | None, requested: str = "") -> list[bool]:
    """Return for each visible factor but the requested one whether two faces have it in common."""
    if before is None or after is None:
        return [False] * len(FACTORS)
    kept = []
    for name in FACTORS:
        needed = VISIBLE_WITH.get(name)
        is_hidden = needed is not None and "none" in (getattr(before, needed), getattr(after, needed))
        if name == requested or needed == requested or is_hidden:
            continue
        a, b = getattr(before, name), getattr(after, name)
        kept.append(abs((a - b + 0.5) % 1 - 0.5) < SAME_HUE if name.endswith("hue") else a == b)
    return kept


def motion_correlation(before: Watched, after: Watched) -> float:
    """Return the mean correlation of the head's x and y between two videos; NaN if it is not seen or does not move."""
    correlations = []
    for name in ("x", "y"):
        a, b = (np.concatenate([getattr(half.pose, name) for half in one.halves]) for one in (before, after))
        seen = ~np.isnan(a + b)
        if seen.sum() > 2 and a[seen].std() > 0 and b[seen].std() > 0:
            correlations.append(np.corrcoef(a[seen], b[seen])[0, 1])
    return float(np.mean(correlations)) if correlations else float("nan")


def write_sheet(pairs: list[tuple[Watched, Watched]], path: Path) -> None:
    """Write four frames of each original beside the same frames of its edit."""
    rows = []
    for pair in pairs:
        strips = [np.concatenate([one.frames[i] for i in (0, 20, 40, 60)], axis=1) for one in pair]
        rows.append(np.concatenate([strips[0], np.full((strips[0].shape[0], 8, 3), 255, np.uint8), strips[1]], axis=1))
    sheet = Image.fromarray(np.concatenate(rows))
    sheet.resize((2 * sheet.width, 2 * sheet.height), Image.Resampling.LANCZOS).save(path)


def measure(
    prompt: str, originals: list[Watched], edit: Callable[[int, str], Watched], sheet: Path | None = None
) -> None:
    """Edit every seed with one prompt and print a row of the table."""
    requested, is_shown = PROMPTS[prompt]
    started = time.process_time()
    edited = [edit(seed, prompt) for seed in range(len(originals))]
    seconds = (time.process_time() - started) / len(originals)
    pairs = list(zip(originals, edited, strict=True))
    lacking = [(before, after) for before, after in pairs if not any(before.shows(is_shown))]
    changed = [all(after.shows(is_shown)) for _, after in lacking]
    kept = [
        np.mean(kept_factors(a.face, b.face, requested))
        for before, after in pairs
        for a, b in zip(before.halves, after.halves, strict=True)
    ]
    motion = np.array([motion_correlation(before, after) for before, after in pairs])
    numbers = [np.mean(changed) if changed else np.nan, np.mean(kept), np.nanmean(motion), np.mean(motion >= 0.9)]
    print(
        f"| {prompt} | {numbers[0]:.0%} of {len(lacking)} | {numbers[1]:.0%} | {numbers[2]:.2f} | {numbers[3]:.0%} "
        f"| {np.mean([after.valid for after in edited]):.0%} | {seconds:.0f} s |",
        flush=True,
    )
    if sheet is not None:
        write_sheet(pairs[:12], sheet.with_stem(f"{sheet.stem}-{prompt.replace(' ', '-')}"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="faces-64")
    parser.add_argument("--clip-model", help="default: the model's own")
    parser.add_argument("--prompts", nargs="+", choices=PROMPTS, default=list(PROMPTS), metavar="PROMPT")
    parser.add_argument("--num-seeds", type=int, default=64)
    parser.add_argument("--sheet", type=Path, help="write one sheet per prompt, of the first 12 seeds")
    args = parser.parse_args()
    model = load_video_generator(args.model, device="cpu")

    def edit(seed: int, text: str) -> Watched:
        edits = EditOptions(text=text, clip_model=args.clip_model)
        return watch(model, search_by_text(model, latents_from_seed(model, seed), edits))

    originals = [watch(model, latents_from_seed(model, seed)) for seed in range(args.num_seeds)]
    ceiling = np.mean([np.mean(kept_factors(*(half.face for half in one.halves))) for one in originals])
    print(f"{args.num_seeds} seeds; halves of the originals agree in {ceiling:.0%} of factors,")
    print(f"{np.mean([one.valid for one in originals]):.0%} of the originals are valid drawn faces\n")
    print("| prompt | changed | kept | motion, mean | motion ≥ 0.9 | valid | time per edit |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for prompt in args.prompts:
        measure(prompt, originals, edit, args.sheet)


if __name__ == "__main__":
    main()
