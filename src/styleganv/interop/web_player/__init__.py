"""A folder with a page that plays a model's endless video in a browser, from any web server, without one of ours.

    index.html …   the page (page/)
    model/         mapping.onnx, motion.onnx, synthesis.onnx, and model.json: what the page knows about the model
    runtime/       onnxruntime for browsers (examples/vendor_runtime.py), its programs compressed with gzip
    card.txt       the model card, if the model has one

Motion is separate from synthesis because it needs float64, which only CPUs compute in a browser.
"""

import gzip
import json
import lzma
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from styleganv.files import atomic_write, check_destination
from styleganv.interop.exported_program import ExportedFile, list_programs, write_programs
from styleganv.label_space import LabelSpace
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.motion import Motion
from styleganv.methods.stylegan_v.pretrained import load_generator
from styleganv.model_folder import CARD, model_folder, sampler_arguments
from styleganv.progress import Progress, track

PAGE, RUNTIME = Path(__file__).parent / "page", Path(__file__).parent / "runtime"
PROGRAMS = {"styles": "model/mapping.onnx", "codes": "model/motion.onnx", "frames": "model/synthesis.onnx"}
MODEL, CARD_COPY = "model/model.json", "card.txt"
#: Level of gzip: 9 takes three times as long for 1 % less.
GZIP_LEVEL = 6


def write_player(
    model: Path | str, folder: Path | str, *, overwrite: bool = False, progress: Progress | None = None
) -> list[ExportedFile]:
    """Write the player of a model to `folder`, and return the programs that it runs.

    Raises:
        StyleganvError: as `export`.
    """
    folder = Path(folder)
    sources = [*PAGE.iterdir(), *RUNTIME.iterdir()]
    contents = [_destination(source) for source in sources] + [*PROGRAMS.values(), MODEL, CARD_COPY]
    check_destination(folder, overwrite=overwrite, contents=contents)
    generator, config = load_generator(model)
    programs = list_programs(generator, config, split=True)
    with atomic_write(folder, overwrite=overwrite, contents=contents) as tmp_folder:
        for name in ("model", "runtime"):
            (tmp_folder / name).mkdir()
        paths = {output: tmp_folder / name for output, name in PROGRAMS.items()}
        files = write_programs(programs, paths, "onnx", progress=progress)
        for source in track(sources, progress, len(sources), "writing the page"):
            _copy(source, tmp_folder / _destination(source))
        (tmp_folder / MODEL).write_text(json.dumps(_describe(model, generator, config)), "utf-8")
        card = model_folder(model) / CARD
        if card.is_file():
            # The mark at its start says that it is UTF-8, which servers do not.
            (tmp_folder / CARD_COPY).write_text(card.read_text("utf-8"), "utf-8-sig")
    return [replace(file, path=folder / file.path.relative_to(tmp_folder)) for file in files]


def _destination(source: Path) -> str:
    """Return where a file of the package goes in the player's folder.

    Programs get a suffix without meaning, since some servers announce `.gz` as an encoding, and then nothing says
    whether the page receives them compressed.
    """
    name = source.name.replace(".wasm.xz", ".bin").removesuffix(".xz")
    return name if source.parent == PAGE else f"runtime/{name}"


def _copy(source: Path, dest: Path) -> None:
    if source.suffix != ".xz":
        shutil.copyfile(source, dest)
        return
    content = lzma.decompress(source.read_bytes())
    dest.write_bytes(gzip.compress(content, GZIP_LEVEL, mtime=0) if dest.suffix == ".bin" else content)


def _describe(model: Path | str, generator: Generator, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page needs to know, as JSON."""
    metadata = config.get("metadata", {})
    arguments = sampler_arguments(model, dict(config))
    labels: LabelSpace = arguments["labels"]
    folder = model_folder(model)
    described = {
        "name": Path(model).resolve().name,
        "title": metadata.get("title"),
        "license": metadata.get("license"),
        "has_card": (folder / CARD).is_file(),
        "height": generator.height,
        "width": generator.width,
        "z_dim": generator.z_dim,
        "fps": arguments["fps"],
        "num_classes": generator.num_classes,
        "labels": {"kind": labels.kind, "names": labels.names, "examples": [*map(labels.format, labels.examples)]},
        "motion": None,
    }
    if isinstance(generator.motion, Motion):
        described["motion"] = {
            "noise_dim": generator.motion.noise_dim,
            "slot_distance": float(generator.motion.slot_distance),
            "window_slots": generator.motion.window_slots,
        }
    return described
