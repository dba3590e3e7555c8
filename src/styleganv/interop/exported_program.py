"""The programs of a generator written to files and compared with it: ONNX, or exported programs of PyTorch.

Shapes: B videos, T times, S slots of motion noise, K classes, L style layers. Times are in frames.
"""

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from styleganv.errors import StyleganvError
from styleganv.files import atomic_write
from styleganv.interop.program import ImageProgram, build_programs
from styleganv.label_space import LabelKind
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.mapping import Truncation
from styleganv.methods.stylegan_v.motion import Motion
from styleganv.progress import Progress, track

#: Largest accepted difference from the model, for frames in −1..1.
MAX_ERROR = 1e-3

Inputs = dict[str, Tensor]
FileFormat = Literal["onnx", "pt2"]
Run = Callable[[Inputs], Tensor]
Reference = Callable[[Generator, Inputs], Tensor]


@dataclass(frozen=True)
class ExportedFile:
    """A written file, and the largest absolute difference of its output from the model."""

    path: Path
    inputs: tuple[str, ...]
    error: float

    def __str__(self) -> str:
        return f"{self.path}: inputs {', '.join(self.inputs)}; largest difference from the model {self.error:.1e}"


@dataclass(frozen=True)
class Program:
    """A program to export, with what it is verified by.

    Attributes:
        cases: inputs of different sizes and times; the first is traced.
        reference: the model's output for such inputs.
        dynamic_axes: names of the axes of variable size, by input and axis.
    """

    module: nn.Module
    cases: list[Inputs]
    reference: Run
    dynamic_axes: dict[str, dict[int, str]]
    output: str
    metadata: dict[str, str]


def write_programs(
    programs: Sequence[Program],
    paths: Mapping[str, Path],
    format: FileFormat,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> list[ExportedFile]:
    """Write each program to the path of its output, load it, and compare it with the model; all files, or none.

    Raises:
        StyleganvError: if a file exists, a package is missing, or a file differs from the model by more than
            `MAX_ERROR`.
    """
    write, load = {"onnx": (_write_onnx, _load_onnx), "pt2": (_write_program, _load_program)}[format]
    files: list[ExportedFile] = []
    with ExitStack() as stack, torch.no_grad():
        for item in track(programs, progress, len(programs), "exporting"):
            target = paths[item.output]
            tmp_path = stack.enter_context(atomic_write(target, overwrite=overwrite))
            with _quiet_exporters():
                write(item, tmp_path)
                error = _max_error(item, load(tmp_path))
            if not error <= MAX_ERROR:
                raise StyleganvError(
                    f"{target} was discarded because it differs from the model by {error:.2g} (limit {MAX_ERROR:g}): "
                    "install the versions in constraints.txt, and report the model if it persists."
                )
            files.append(ExportedFile(target, tuple(item.cases[0]), error))
    return files


def _max_error(item: Program, run: Run) -> float:
    errors = [(run(case) - item.reference(case)).abs().max() for case in item.cases]
    return float(torch.stack(errors).max())  # unlike Python's max, this keeps NaN


def list_programs(generator: Generator, config: Mapping[str, Any], *, split: bool = False) -> list[Program]:
    """Return the programs of a model: z → styles, and styles, times and motion noise → frames.

    Args:
        split: with the second one in two parts: times and motion noise → motion codes, styles and codes → frames.

    Raises:
        StyleganvError: if its motion is an LSTM.
    """
    kind = config["data"].get("label_kind", "class")
    mapping, video = build_programs(generator, kind)
    metadata = _metadata(generator, config)
    motion = generator.motion if isinstance(generator.motion, Motion) else None
    slots = 0 if motion is None else motion.window_slots
    # (videos, times, slots, first frame); the sizes of the first, which is traced, equal no other size by chance.
    sizes = [(2, 3, slots + 1, 0.0), (1, 1, slots, 1e6), (3, 4, slots + 2, 1e3)]
    cases = [_random_case(generator, motion, kind, *size, seed=seed) for seed, size in enumerate(sizes)]
    other_axes = {"times": {1: "times"}, "codes": {1: "times"}, "motion_noise": {1: "slots"}}

    def program(module: nn.Module, names: list[str], reference: Reference, output: str) -> Program:
        inputs = [{name: case[name] for name in names} for case in cases]
        axes = {name: {0: "videos"} | other_axes.get(name, {}) for name in names}
        return Program(module, inputs, partial(reference, generator), axes, output, metadata)

    label = ["label"] * bool(generator.num_classes)
    programs = [program(mapping, ["z", "psi", *label], _reference_styles, "styles")]
    if isinstance(video, ImageProgram):
        return [*programs, program(video, ["styles"], _reference_frames, "frames")]
    moment = ["times", "motion_noise", "first_slot", *label]
    if not split:
        return [*programs, program(video, ["styles", *moment], _reference_frames, "frames")]
    return [
        *programs,
        program(video.window, moment, _reference_codes, "codes"),
        program(video.synthesis, ["styles", "codes"], _reference_synthesis, "frames"),
    ]


def _random_case(
    generator: Generator,
    motion: Motion | None,
    kind: LabelKind,
    videos: int,
    times: int,
    slots: int,
    start: float,
    *,
    seed: int,
) -> Inputs:
    """Return random inputs of both programs; the times span the window from `start` (frames) on."""
    rng = torch.Generator().manual_seed(seed)
    w_dim = generator.mapping.w_mean.numel()
    case = {
        "z": torch.randn(videos, generator.z_dim, generator=rng),
        "psi": torch.rand(videos, generator=rng),
        "styles": torch.randn(videos, generator.synthesis.num_styles, w_dim, generator=rng),
    }
    if motion is not None:
        first_slot = (start // motion.slot_distance) + torch.arange(videos, dtype=torch.float64)
        span = (slots + 1 - motion.window_slots) * motion.slot_distance
        offsets = torch.rand(videos, times, dtype=torch.float64, generator=rng) * span
        case["times"] = first_slot[:, None] * motion.slot_distance + offsets
        case["motion_noise"] = torch.randn(videos, slots, motion.noise_dim, generator=rng)
        case["first_slot"] = first_slot.long()
    if generator.num_classes:
        classes = torch.eye(generator.num_classes)[torch.arange(videos) % generator.num_classes]
        case["label"] = classes if kind == "class" else torch.rand(classes.shape, generator=rng)
    if motion is not None:
        case["codes"] = _reference_codes(generator, case)
    return case


def _reference_styles(generator: Generator, case: Inputs) -> Tensor:
    """Return styles truncated one by one, as in `VideoGenerator`."""
    truncation, rows = Truncation(generator.mapping), range(len(case["z"]))
    labels = case["label"].split(1) if "label" in case else [None for _ in rows]
    w = generator.mapping(case["z"], case.get("label"))
    w = torch.stack([truncation(w[i], labels[i], float(case["psi"][i])) for i in rows])
    return w[:, None].expand(-1, generator.synthesis.num_styles, -1)


def _reference_frames(generator: Generator, case: Inputs) -> Tensor:
    """Return frames of the model's motion and synthesis."""
    codes = None if generator.motion is None else _reference_codes(generator, case)
    return generator.synthesis(case["styles"], codes)


def _reference_synthesis(generator: Generator, case: Inputs) -> Tensor:
    return generator.synthesis(case["styles"], case["codes"])


def _reference_codes(generator: Generator, case: Inputs) -> Tensor:
    """Return motion codes `[B, T, v_dim]`, computed in float64 as in `VideoGenerator`."""
    assert generator.motion is not None
    noise, first_slot = case["motion_noise"], case["first_slot"]
    codes = deepcopy(generator.motion).double()(
        case["times"], lambda clip, slots: noise[clip[:, None], slots - first_slot[clip, None]], case.get("label")
    )
    return codes.float()


def _metadata(generator: Generator, config: Mapping[str, Any]) -> dict[str, str]:
    """Return what a player needs to know, as text."""
    data = config["data"]
    metadata = {"made_by": "styleganv", "fps": f"{data['fps']:g}", "class_names": json.dumps(data["class_names"])}
    if "label_kind" in data:
        metadata["label_kind"] = data["label_kind"]
    if isinstance(generator.motion, Motion):
        # A window of S slots covers the times up to S − window_slots + 1 slots after its first one.
        metadata |= {
            "slot_distance": repr(float(generator.motion.slot_distance)),
            "window_slots": str(generator.motion.window_slots),
        }
    return metadata


def _write_onnx(item: Program, file: Path) -> None:
    _check_packages()
    from onnxscript import ir
    from onnxscript import opset20 as op

    def scalar_tensor(s: Any, dtype: int = ir.DataType.FLOAT, **_: Any) -> Any:
        """Keep numbers exact: PyTorch 2.13 rounds them to float32, which is too coarse for late times."""
        if isinstance(s, (bool, int, float)):
            exact: Any = ir.tensor(s, dtype=ir.DataType(dtype))
            return op.Constant(value=exact)
        return op.Cast(s, to=dtype)

    traced = torch.onnx.export(
        item.module,
        tuple(item.cases[0].values()),
        input_names=list(item.cases[0]),
        output_names=[item.output],
        dynamic_shapes=_dynamic_shapes(item),
        custom_translation_table={torch.ops.aten.scalar_tensor.default: scalar_tensor},
        dynamo=True,
        opset_version=20,
        verbose=False,
    )
    assert traced is not None
    traced.model.metadata_props.update(item.metadata)
    traced.save(file, external_data=False)


def _load_onnx(file: Path) -> Run:
    import onnxruntime  # type: ignore

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def run(inputs: Inputs) -> Tensor:
        return torch.from_numpy(session.run(None, {name: value.numpy() for name, value in inputs.items()})[0])

    return run


def _write_program(item: Program, file: Path) -> None:
    example = tuple(item.cases[0].values())
    traced = torch.export.export(item.module, example, dynamic_shapes=_dynamic_shapes(item), strict=False)
    buffer = io.BytesIO()  # PyTorch's own writer aborts the process when the disk is full
    torch.export.save(traced, buffer, extra_files={"styleganv.json": json.dumps(item.metadata)})
    file.write_bytes(buffer.getbuffer())


def _load_program(file: Path) -> Run:
    program = torch.export.load(file).module()
    return lambda inputs: program(*inputs.values())


def _dynamic_shapes(item: Program) -> tuple[dict[int, Any], ...]:
    dims = {name: torch.export.Dim(name) for name in ("videos", "times")}
    dims["slots"] = torch.export.Dim("slots", min=int(item.metadata.get("window_slots", 1)))
    return tuple({axis: dims[name] for axis, name in axes.items()} for axes in item.dynamic_axes.values())


def _check_packages() -> None:
    try:
        for name in ("onnx", "onnxscript", "onnxruntime"):
            import_module(name)
    except ImportError as error:
        raise StyleganvError(
            f"Writing ONNX requires {error.name}: run pip install 'styleganv[export]', or export a .pt2 file."
        ) from error


@contextmanager
def _quiet_exporters() -> Iterator[None]:
    """Suppress warnings of the exporters that only concern their developers."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
