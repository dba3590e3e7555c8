"""A model as files that run without styleganv: ONNX for onnxruntime, or PyTorch's own exported programs.

    model folder ──programs──▶ traced ──▶ file ──loaded again──▶ compared with the model ──▶ renamed to its place

Two files: the one of the given name makes frames, the one with `-mapping` before the suffix makes content from seeds.

Shapes: B videos, T times, S slots of motion noise, K classes, L style layers. Times are in frames of the data.
"""

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from styleganv.errors import StyleganvError
from styleganv.files import atomic_write
from styleganv.interop.program import PictureProgram, programs
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.methods.stylegan_v.motion import Motion
from styleganv.methods.stylegan_v.pretrained import load_generator

#: Of frames (−1..1): a file that differs by more from the model is not kept.
LARGEST_ERROR = 1e-3

Inputs = dict[str, Tensor]
Run = Callable[[Inputs], Tensor]


@dataclass(frozen=True)
class Exported:
    """A file that was written, and the largest absolute difference of its output from the model's."""

    path: Path
    inputs: tuple[str, ...]
    error: float

    def __str__(self) -> str:
        return f"{self.path}: from {', '.join(self.inputs)}; differs from the model by {self.error:.1e} at most"


@dataclass(frozen=True)
class _Part:
    """A program, inputs that vary in size and time, what the model makes of them, and which sizes are free."""

    program: nn.Module
    cases: list[Inputs]
    reference: Run
    free: dict[str, dict[int, str]]
    output: str
    about: dict[str, str]


def export(model: Path | str, path: Path | str) -> list[Exported]:
    """Write the model as `path` and `…-mapping`, in the form that the suffix names: `.onnx` or `.pt2`.

    Both files are loaded again and compared with the model, at the start of the video and a million frames on.

    Raises:
        StyleganvError: for another suffix, an LSTM's motion, a missing package, a file that would differ from the
            model by more than `LARGEST_ERROR`; no file is left then.
    """
    writers = {".onnx": (_write_onnx, _run_onnx), ".pt2": (_write_program, _run_program)}
    path = Path(path)
    if path.suffix not in writers:
        raise StyleganvError(f"{path} is no kind of export: end its name with {' or '.join(writers)}.")
    write, loaded = writers[path.suffix]
    generator, config = load_generator(model)
    places = {"frames": path, "styles": path.with_name(f"{path.stem}-mapping{path.suffix}")}
    done = []
    with ExitStack() as stack, torch.no_grad(), tqdm(total=4, desc="exporting", leave=False) as bar:
        for part in _parts(generator, config):
            place = places[part.output]
            file = stack.enter_context(atomic_write(place))
            with _quiet():
                write(part, file)
                bar.update()
                error = _largest_error(part, loaded(file))
            bar.update()
            if not error <= LARGEST_ERROR:
                raise StyleganvError(
                    f"{place} was not kept because it differs from the model by {error:.2g} (allowed are "
                    f"{LARGEST_ERROR:g}): use the versions of constraints.txt, and report the model if it persists."
                )
            done.append(Exported(place, tuple(part.cases[0]), error))
    return done


def _largest_error(part: _Part, run: Run) -> float:
    errors = [(run(case) - part.reference(case)).abs().max() for case in part.cases]
    return float(torch.stack(errors).max())  # not Python's max, which loses NaN


def _parts(generator: Generator, config: Mapping[str, Any]) -> list[_Part]:
    mapping, video = programs(generator)
    about = _about(generator, config)
    motion = generator.motion if isinstance(generator.motion, Motion) else None
    slots = 0 if motion is None else 2 + motion.reach
    # (videos, times, slots, first frame): the first one is traced, with sizes that no other size equals by chance.
    sizes = [(2, 3, slots + 1, 0.0), (1, 1, slots, 1e6), (3, 4, slots + 2, 1e3)]
    cases = [_case(generator, motion, *size, seed=seed) for seed, size in enumerate(sizes)]
    label = ["label"] * bool(generator.num_classes)
    of_mapping, of_video = (["z", "psi", *label], ["styles"])
    if not isinstance(video, PictureProgram):
        of_video += ["times", "motion_noise", "first_slot", *label]
    more = {"times": {1: "times"}, "motion_noise": {1: "slots"}}
    free = {name: {0: "videos"} | more.get(name, {}) for name in cases[0]}

    def part(program: nn.Module, names: list[str], reference: Run, output: str) -> _Part:
        chosen = [{name: case[name] for name in names} for case in cases]
        return _Part(program, chosen, reference, {name: free[name] for name in names}, output, about)

    return [
        part(mapping, of_mapping, lambda case: _reference_styles(generator, case), "styles"),
        part(video, of_video, lambda case: _reference_frames(generator, case), "frames"),
    ]


def _case(
    generator: Generator, motion: Motion | None, videos: int, times: int, slots: int, start: float, *, seed: int
) -> Inputs:
    """Random inputs of both programs; the times reach from `start` (frames) to the end of the window."""
    chance = torch.Generator().manual_seed(seed)
    width = generator.mapping.w_mean.numel()
    case = {
        "z": torch.randn(videos, generator.z_dim, generator=chance),
        "psi": torch.rand(videos, generator=chance),
        "styles": torch.randn(videos, generator.synthesis.num_styles, width, generator=chance),
    }
    if motion is not None:
        first_slot = (start // motion.slot_distance) + torch.arange(videos, dtype=torch.float64)
        span = (slots - 1 - motion.reach) * motion.slot_distance
        at = torch.rand(videos, times, dtype=torch.float64, generator=chance) * span
        case["times"] = first_slot[:, None] * motion.slot_distance + at
        case["motion_noise"] = torch.randn(videos, slots, motion.noise_dim, generator=chance)
        case["first_slot"] = first_slot.long()
    if generator.num_classes:
        case["label"] = torch.eye(generator.num_classes)[torch.arange(videos) % generator.num_classes]
    return case


def _reference_styles(generator: Generator, case: Inputs) -> Tensor:
    """Video by video, as `VideoGenerator.style` makes them."""
    labels = case["label"].split(1) if "label" in case else [None] * len(case["z"])
    each = zip(case["z"].split(1), labels, case["psi"].tolist(), strict=True)
    w = torch.cat([generator.mapping(z, label, psi=psi) for z, label, psi in each])
    return w[:, None].expand(-1, generator.synthesis.num_styles, -1)


def _reference_frames(generator: Generator, case: Inputs) -> Tensor:
    """The model's own motion in float64, as in `VideoGenerator`, and its own synthesis."""
    if generator.motion is None:
        return generator.synthesis(case["styles"], None)
    noise, first_slot = case["motion_noise"], case["first_slot"]
    motion = deepcopy(generator.motion).double()
    codes = motion(
        case["times"], lambda clip, slots: noise[clip[:, None], slots - first_slot[clip, None]], case.get("label")
    )
    return generator.synthesis(case["styles"], codes.float())


def _about(generator: Generator, config: Mapping[str, Any]) -> dict[str, str]:
    """What whoever runs the programs needs to know, as text."""
    data = config["data"]
    about = {"made_by": "styleganv", "fps": f"{data['fps']:g}", "class_names": json.dumps(data["class_names"])}
    if isinstance(generator.motion, Motion):
        # Of a window of S slots, the times up to S − window_slots + 1 slots after its first one can be had.
        about |= {
            "slot_distance": repr(float(generator.motion.slot_distance)),
            "window_slots": str(2 + generator.motion.reach),
        }
    return about


def _write_onnx(part: _Part, file: Path) -> None:
    _packages()
    from onnxscript import ir
    from onnxscript import opset20 as op

    def scalar_tensor(s: Any, dtype: int = ir.DataType.FLOAT, **_: Any) -> Any:
        """PyTorch 2.13 rounds every number to float32 on the way, which far times do not forgive."""
        if isinstance(s, (bool, int, float)):
            exact: Any = ir.tensor(s, dtype=ir.DataType(dtype))
            return op.Constant(value=exact)
        return op.Cast(s, to=dtype)

    traced = torch.onnx.export(
        part.program,
        tuple(part.cases[0].values()),
        input_names=list(part.cases[0]),
        output_names=[part.output],
        dynamic_shapes=_dynamic_shapes(part),
        custom_translation_table={torch.ops.aten.scalar_tensor.default: scalar_tensor},
        dynamo=True,
        opset_version=20,
        verbose=False,
    )
    assert traced is not None
    traced.model.metadata_props.update(part.about)
    traced.save(file, external_data=False)


def _run_onnx(file: Path) -> Run:
    import onnxruntime  # type: ignore

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def run(inputs: Inputs) -> Tensor:
        return torch.from_numpy(session.run(None, {name: value.numpy() for name, value in inputs.items()})[0])

    return run


def _write_program(part: _Part, file: Path) -> None:
    example = tuple(part.cases[0].values())
    traced = torch.export.export(part.program, example, dynamic_shapes=_dynamic_shapes(part), strict=False)
    torch.export.save(traced, file, extra_files={"styleganv.json": json.dumps(part.about)})


def _run_program(file: Path) -> Run:
    program = torch.export.load(file).module()
    return lambda inputs: program(*inputs.values())


def _dynamic_shapes(part: _Part) -> tuple[dict[int, Any], ...]:
    dims = {name: torch.export.Dim(name) for name in ("videos", "times")}
    dims["slots"] = torch.export.Dim("slots", min=int(part.about.get("window_slots", 1)))
    return tuple({axis: dims[name] for axis, name in axes.items()} for axes in part.free.values())


def _packages() -> None:
    try:
        for name in ("onnx", "onnxscript", "onnxruntime"):
            import_module(name)
    except ImportError as error:
        raise StyleganvError(
            f"Writing ONNX needs the package {error.name}: pip install 'styleganv[export]', or export a .pt2 file."
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the notes of the exporters to their own developers."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
