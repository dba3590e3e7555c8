"""The model card: what a stranger should know of a model, as README.md with YAML front matter, and a short preview.

Nothing in it is made up: it says what config.json records and what the model shows, and names what only those who
trained it can tell.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from tqdm import tqdm

from styleganv.media import sheets, writing
from styleganv.methods.stylegan_v.sampler import VideoGenerator, by_chunk, load_video_generator
from styleganv.video_model import Frame

CARD, PREVIEW = "README.md", "preview.webp"
#: The preview: these seeds side by side, none left out.
PREVIEW_SEEDS = range(4)
PREVIEW_SECONDS, PREVIEW_FPS, PREVIEW_PIXELS = 3.0, 12.0, 256


def write_card(model: Path | str, folder: Path | str, *, name: str, license: str | None = None) -> None:
    """Write the card of a model folder or run, and its preview, into an existing `folder`.

    Args:
        name: of the model: `user/name` on the hub, or a name alone where that is not known yet.
        license: an identifier that the hub knows, such as mit or cc-by-4.0; None: the card says that none is stated.
    """
    video, folder = load_video_generator(model), Path(folder)
    fps = min(PREVIEW_FPS, video.fps)
    writing.write_video(folder / PREVIEW, _preview(video, fps), fps)
    (folder / CARD).write_text(card(video, name=name, license=license))


def card(video: VideoGenerator, *, name: str, license: str | None = None) -> str:
    """The text of README.md."""
    moving = video.generator.motion is not None
    kind = "videos" if moving else "images"
    front: dict[str, Any] = {"library_name": "styleganv"}
    if license is not None:
        front["license"] = license
    conditional = "class-conditional" if video.class_names or video.generator.num_classes else "unconditional"
    front["tags"] = ["styleganv", "stylegan-v", "gan", f"{conditional}-{'video' if moving else 'image'}-generation"]
    call = "seed=0, seconds=5" + (", label=0" if video.generator.num_classes else "")
    label = " --label 0" if video.generator.num_classes else ""
    return f"""---
{yaml.safe_dump(front, sort_keys=False).strip()}
---

# {name}

![Generated with the seeds {PREVIEW_SEEDS[0]} to {PREVIEW_SEEDS[-1]}, not picked]({PREVIEW})

A generative adversarial network that makes {kind} of {video.width}×{video.height} pixels, trained with styleganv. The
preview shows the seeds {PREVIEW_SEEDS[0]} to {PREVIEW_SEEDS[-1]}, none left out.

## What it was trained on

{_facts(video)}

Not recorded, and for whoever trained it to add: whose videos these are, under which terms, and whether the people in
them agreed.

## Use

```sh
styleganv pull {name if "/" in name else f"USER/{name}"} model
styleganv generate model --out videos --seeds 0-7 --seconds 5{label}
```

```python
import styleganv

frames = styleganv.load("model").sample({call})  # uint8 [T, H, W, 3]
```

`model.safetensors` holds the weights and `config.json` the rest; loading them executes nothing.

## Limits

It makes what resembles its data, with the gaps and biases of that data; nothing it shows is a record of an event.
How good it is has not been stated here: `styleganv evaluate` and `styleganv diagnose` measure it.

## Licence

{f"`{license}`, as stated by whoever published it." if license else "Not stated: ask whoever published it."}
"""


def _facts(video: VideoGenerator) -> str:
    """What config.json records of data and training, a point each."""
    training: Mapping[str, Any] = video.config.get("training", {})
    facts = [f"Frames a second of the data: {video.fps:g}"]
    if video.generator.num_classes:
        facts.append(f"Classes: {', '.join(video.class_names) or video.generator.num_classes}")
    counted = {"clips_seen": "Clips seen in training", "frames_seen": "Frames seen in training"}
    facts += [f"{counted.get(key, key)}: {_number(value)}" for key, value in training.items()]
    facts.append(f"Parameters: {sum(p.numel() for p in video.generator.parameters()):,}")
    facts.append(f"Network: `{json.dumps(video.config.get('generator', {}))}`")
    return "\n".join(f"- {fact}" for fact in facts)


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else str(value)


def _preview(video: VideoGenerator, fps: float) -> Iterator[Frame]:
    """The seeds' videos side by side, reduced to at most `PREVIEW_PIXELS` a side."""
    seconds = PREVIEW_SECONDS if video.generator.motion is not None else 1 / fps
    streams = [by_chunk(video.stream(seed=seed, seconds=seconds, fps=fps)) for seed in PREVIEW_SEEDS]
    total = video.num_frames(seconds, fps)
    for frames in tqdm(zip(*streams, strict=True), total=total, unit="frame", desc="preview", leave=False):
        yield sheets.tile(np.stack([_reduced(frame) for frame in frames])[None])


def _reduced(frame: Frame) -> Frame:
    step = -(-max(frame.shape[:2]) // PREVIEW_PIXELS)
    height, width = (side // step for side in frame.shape[:2])
    squares = frame[: height * step, : width * step].reshape(height, step, width, step, 3)
    return squares.mean(axis=(1, 3)).round().astype(np.uint8)
