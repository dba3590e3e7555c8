"""The model card: README.md with YAML front matter, and a short preview.

It states what config.json and record.json hold, without paths, and what the model shows, and names what only its
authors can add.
"""

import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from styleganv.media import sheets, writing
from styleganv.methods.stylegan_v.sampler import VideoGenerator, buffer_chunks, load_video_generator
from styleganv.model_folder import CARD, PREVIEW
from styleganv.progress import Progress, track
from styleganv.record import read_record, summarize, without_paths
from styleganv.video_model import Frame

#: The preview shows these seeds side by side; consecutive, so that none is selected.
PREVIEW_SEEDS = range(4)
PREVIEW_SECONDS, PREVIEW_FPS, PREVIEW_PIXELS = 3.0, 12.0, 256


def write_card(
    model: Path | str,
    folder: Path | str,
    *,
    name: str,
    license: str | None = None,
    progress: Progress | None = None,
) -> None:
    """Write the card and the preview of a model folder or run to an existing `folder`.

    Args:
        model: model folder, run, or name of a pretrained model.
        name: `user/name` on the Hub, or only a name if the user is not known yet.
        license: license identifier of the Hub, e.g. mit or cc-by-4.0; None: "not stated".
        progress: callback for the preview; see `styleganv.progress`.
    """
    video, folder = load_video_generator(model), Path(folder)
    fps = min(PREVIEW_FPS, video.fps)
    writing.write_video(folder / PREVIEW, _preview(video, fps, progress), fps)
    (folder / CARD).write_text(format_card(video, name=name, license=license))


def format_card(video: VideoGenerator, *, name: str, license: str | None = None) -> str:
    """Return the text of README.md."""
    output = "image" if video.generator.motion is None else "video"
    front: dict[str, Any] = {"library_name": "styleganv"}
    if license is not None:
        front["license"] = license
    kinds = {"class": "class-conditional", "classes": "class-conditional", "vector": "conditional"}
    conditional = kinds[video.labels.kind] if video.num_classes else "unconditional"
    front["tags"] = ["styleganv", "stylegan-v", "gan", f"{conditional}-{output}-generation"]
    call, label = "seed=0, seconds=5", ""
    if examples := video.labels.all():
        example = video.labels.format(examples[0 if video.labels.kind == "class" else -1])
        call += f", label={example!r}"
        label = f" --label {shlex.quote(example)}"
    return f"""---
{yaml.safe_dump(front, sort_keys=False).strip()}
---

# {name}

![Uncurated samples, seeds {PREVIEW_SEEDS[0]} to {PREVIEW_SEEDS[-1]}]({PREVIEW})

A generative adversarial network for {output}s of {video.width}×{video.height} pixels, trained with styleganv. The
preview is uncurated: it shows the seeds {PREVIEW_SEEDS[0]} to {PREVIEW_SEEDS[-1]}.

## Training data

{_facts(video)}

The authors should add what is not recorded: who owns the videos, under which terms, and whether the people in them
consented.

## Use

```sh
styleganv pull {name if "/" in name else f"USER/{name}"} model
styleganv generate model --out videos --seeds 0-7 --seconds 5{label}
```

```python
import styleganv

frames = styleganv.load("model").sample({call})  # uint8 [T, H, W, 3]
```

`model.safetensors` holds the weights and `config.json` the settings; loading them executes no code.

## Limitations

The model imitates its training data, including gaps and biases. Generated videos do not show real events. Quality has
not been reported here; measure it with `styleganv evaluate` and `styleganv diagnose`.

## License

{f"`{license}`, as stated by the publisher." if license else "Not stated: ask the publisher."}
"""


def _facts(video: VideoGenerator) -> str:
    """List what config.json and record.json state about dataset and training."""
    training: Mapping[str, Any] = video.config.get("training", {})
    facts = [f"Frame rate of the dataset: {video.fps:g} fps"]
    if video.num_classes:
        kinds = {"class": "Classes", "classes": "Classes, any number per video", "vector": "Numbers per video"}
        facts.append(f"{kinds[video.labels.kind]}: {', '.join(video.labels.names)}")
    titles = {"clips_seen": "Clips seen in training", "frames_seen": "Frames seen in training"}
    facts += [f"{titles.get(key, key)}: {_number(value)}" for key, value in training.items()]
    facts.append(f"Parameters: {sum(p.numel() for p in video.generator.parameters()):,}")
    facts.append(f"Network: `{json.dumps(video.config.get('generator', {}))}`")
    if video.source and (record := read_record(video.source)):
        for title, text in summarize(without_paths(record)).items():
            facts.append(f"{title}: `{text}`" if title.startswith("Command") else f"{title}: {text}")
    return "\n".join(f"- {fact}" for fact in facts)


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else str(value)


def _preview(video: VideoGenerator, fps: float, progress: Progress | None) -> Iterator[Frame]:
    """Yield the videos of all seeds side by side, each reduced to at most `PREVIEW_PIXELS` per side."""
    seconds = PREVIEW_SECONDS if video.generator.motion is not None else 1 / fps
    streams = [buffer_chunks(video.stream(seed=seed, seconds=seconds, fps=fps)) for seed in PREVIEW_SEEDS]
    total = video.num_frames(seconds, fps)
    for frames in track(zip(*streams, strict=True), progress, total, "rendering the preview"):
        yield sheets.tile(np.stack([_reduce(frame) for frame in frames])[None])


def _reduce(frame: Frame) -> Frame:
    step = -(-max(frame.shape[:2]) // PREVIEW_PIXELS)
    height, width = (side // step for side in frame.shape[:2])
    squares = frame[: height * step, : width * step].reshape(height, step, width, step, 3)
    return squares.mean(axis=(1, 3)).round().astype(np.uint8)
