"""Problems of footage: each is found in a damaged video, and in no clean one."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from styleganv.data.checks import find_problems
from styleganv.data.dataset import VideoDataset
from styleganv.data.dataset_writer import write_dataset
from styleganv.data.footage import (
    COPY_CHANGE,
    find_blank,
    find_cut,
    find_duplicates,
    has_overlay,
    reduce_frames,
    sharpness,
    signature,
)
from styleganv.data.inspect import inspect
from styleganv.data.reduced import read_reduced_videos

SIDE = 64
Clip = np.ndarray  # uint8 [T, H, W, 3]


def drifting(seed: int, length: int = 40, speed: int = 1) -> Clip:
    """A random picture in shades of a random color that slides to one side and wraps around."""
    rng = np.random.default_rng(seed)
    small = (rng.integers(40, 216, 3) + rng.integers(-40, 40, (4, 4, 3))).astype(np.uint8)
    wide = Image.fromarray(np.tile(small, (1, 3, 1))).resize((3 * SIDE, SIDE), Image.Resampling.BICUBIC)
    picture = np.asarray(wide)[:, SIDE : 2 * SIDE]
    return np.stack([np.roll(picture, speed * t, axis=1) for t in range(length)])


def channels_first(clip: Clip) -> np.ndarray:
    return clip.transpose(0, 3, 1, 2)


def edited(clip: Clip, edit: Callable[[Image.Image], Image.Image]) -> Clip:
    return np.stack([np.asarray(edit(Image.fromarray(frame))) for frame in clip])


def captioned(clip: Clip) -> Clip:
    def draw(image: Image.Image) -> Image.Image:
        ImageDraw.Draw(image).text((8, 44), "and then", fill="white")
        return image

    return edited(clip, draw)


def cut_of(clip: Clip, times: list[int]) -> int | None:
    frames = reduce_frames(channels_first(clip), 32)
    return find_cut(lambda time: frames[time], times)


@pytest.mark.parametrize("cut", [1, 2, 17, 38, 39])
def test_a_cut_is_found_to_the_frame(cut: int) -> None:
    joined = np.concatenate([drifting(0)[:cut], drifting(1)[cut:]])
    assert cut_of(joined, [0, 9, 20, 21, 39]) == cut


def test_neither_motion_nor_a_flash_is_a_cut() -> None:
    flash = drifting(0)
    flash[20] = 255
    for clip in (drifting(0), drifting(0, speed=9), flash, drifting(0, speed=0), drifting(0, length=1)):
        assert cut_of(clip, [0, *range(9, len(clip), 10)]) is None


def test_a_still_video_with_a_cut() -> None:
    joined = np.concatenate([drifting(0, speed=0)[:30], drifting(1, speed=0)[30:]])
    assert cut_of(joined, [0, 39]) == 30


def test_blank_frames() -> None:
    clip = drifting(0, length=6)
    clip[0], clip[4] = 0, (10, 200, 30)
    assert find_blank(channels_first(clip)).tolist() == [0, 4]


def test_text_over_a_moving_picture_is_an_overlay() -> None:
    clip = drifting(0, length=20, speed=5)
    assert has_overlay(channels_first(captioned(clip)))
    assert not has_overlay(channels_first(clip))


def test_a_fixed_background_is_no_overlay() -> None:
    """Half of the picture is still, with sharp edges; so is all of it, with a caption."""
    clip = drifting(0, length=20, speed=5)
    clip[:, : SIDE // 2] = np.random.default_rng(0).integers(0, 2, (SIDE // 2, SIDE, 1)) * 255
    assert not has_overlay(channels_first(clip))
    assert not has_overlay(channels_first(captioned(drifting(0, length=20, speed=0))))


def test_sharpness_of_a_checkerboard_and_of_blurred_copies() -> None:
    """The Laplacian of a checkerboard of 0 and 1 is ±4 in turn, and ±3 or ±2 at the repeated border."""
    board = np.indices((8, 8)).sum(axis=0) % 2
    expected = (36 * 16 + 24 * 9 + 4 * 4) / 64
    assert sharpness(np.repeat(board[:, :, None], 3, axis=2)) == pytest.approx(expected)
    clip = captioned(drifting(0, length=1))
    blurred = edited(clip, lambda image: image.filter(ImageFilter.GaussianBlur(2)))
    assert sharpness(blurred[0]) < 0.1 * sharpness(clip[0])


def compressed(image: Image.Image) -> Image.Image:
    """At half the size and low quality."""
    file = io.BytesIO()
    image.resize((SIDE // 2, SIDE // 2)).save(file, "jpeg", quality=30)
    return Image.open(file).resize((SIDE, SIDE))


def sign(clip: Clip) -> np.ndarray:
    return signature(channels_first(clip[[0, len(clip) // 2, -1]]))


def test_copies_are_found_and_others_not() -> None:
    clips = [drifting(seed) for seed in range(12)]
    rough = edited(clips[3], compressed)
    still = [drifting(5, speed=0), drifting(6, speed=0)]
    signatures = np.stack([sign(clip) for clip in (*clips, rough, *still, still[0], clips[4][::-1])])
    assert find_duplicates(signatures) == [(3, 12), (13, 15)]


def test_duplicates_agree_with_a_comparison_of_all_pairs() -> None:
    """The search skips pairs by their brightness only; videos are copies of others up to random changes."""
    rng = np.random.default_rng(1)
    base = rng.integers(0, 256, (5, 3, 8, 8, 3))
    noisy = (base[:, None] + rng.normal(0, 3.5, (5, 10, 3, 8, 8, 3))).reshape(50, 3, 8, 8, 3).clip(0, 255)
    signatures = rng.permutation(noisy.astype(np.uint8))
    expected: list[tuple[int, int]] = []
    for first in range(50):
        for second in range(first + 1, 50):
            difference = np.sqrt(np.square(signatures[first].astype(float) - signatures[second]).mean())
            copies = {copy for _, copy in expected}
            if difference < COPY_CHANGE and not {first, second} & copies:
                expected.append((first, second))
    assert 20 < len(expected) < 45 and find_duplicates(signatures) == expected


def test_many_copies_of_one_video_are_found_in_no_time() -> None:
    assert len(find_duplicates(np.zeros((5000, 3, 8, 8, 3), np.uint8))) == 4999


def write(path: Path, clips: list[Clip], meta: dict[int, dict[str, float]] | None = None) -> Path:
    records = [(f"v{i}", clip, None, (meta or {}).get(i, {})) for i, clip in enumerate(clips)]
    write_dataset(path, records, height=SIDE, width=SIDE, fps=25)
    return path


def test_a_clean_dataset_has_no_warnings(tmp_path: Path) -> None:
    path = write(tmp_path / "d.zip", [drifting(seed, length=8, speed=4) for seed in range(50)])
    assert inspect(path).warnings == ()


def test_each_problem_is_named_with_its_remedy(tmp_path: Path) -> None:
    clips = [drifting(seed, length=100) for seed in range(6)]
    clips[1] = np.concatenate([clips[1][:50], clips[0][50:]])
    clips[2] = captioned(drifting(2, length=100, speed=5))
    clips[3] = np.concatenate([np.zeros_like(clips[3][:25]), clips[3][25:]])
    clips[4] = edited(clips[5], compressed)
    data = VideoDataset(write(tmp_path / "d.zip", clips, {0: {"source_fps": 30.0}, 5: {"source_fps": 30.0}}))
    cut, blank, overlay, copies, few, rates = find_problems(data, read_reduced_videos(data))
    assert cut.startswith("2 of 6 videos contain a cut (v1 at 2.00 s, v3 at 1.00 s):") and "--split-scenes" in cut
    assert blank.startswith("1 of 6 videos contain frames of a single color (v3 at 0.00 s):") and "--trim" in blank
    assert overlay.startswith("1 of 6 videos show text or a logo") and "(v2)" in overlay and "--crop" in overlay
    assert copies == "Some videos show nearly the same (v4 = v5): remove one of each pair."
    assert few.startswith("The dataset has few videos (6)")
    assert rates.startswith("2 of 6 videos were resampled to 25 fps (2 of 30 fps)") and "--fps" in rates
