"""Imports point down the layers, never up: found by parsing every file, functions' own imports included."""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "src" / "styleganv"
#: What a part imports lies above it here: the one place where the order is written down.
LAYERS = [
    {
        "errors",
        "validation",
        "options",
        "files",
        "clip",
        "label_space",
        "noise",
        "progress",
        "config",
        "distributed",
        "allocator",
        "openmp",
        "workers",
    },
    {"nn", "media"},
    {"data"},
    {"pretrained", "record"},
    {"model_folder"},
    {"hub_mixin"},
    {"video_model"},
    {"training"},
    {"methods"},
    {"videos"},
    {"faces"},
    {"metrics"},
    {"motion_report", "evaluation", "video_files"},
    {"runs", "inventory", "editing", "interop"},
    {"timeline", "run_monitor"},
    {"study", "studio", "demo"},
    {"cli", "__main__"},
]
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}
#: Of the same layer, or further down without anything to do with each other.
STRANGERS = {
    "editing": {"runs", "interop", "training"},
    "interop": {"runs", "editing", "training"},
    "runs": {"editing", "interop", "inventory"},
    "inventory": {"runs", "editing", "interop"},
    "studio": {"runs", "training"},
    "timeline": {"runs", "inventory", "interop", "training"},
    "metrics": {"training"},
    "motion_report": {"training"},
    "faces": {"methods", "training"},
    "nn": {"media"},
    "media": {"nn"},
    "data": {"nn"},
    "training": {"faces"},
}
HEAVY = {"torch", "av", "PIL", "matplotlib", "tensorboard", "scipy"}


def part_of(file: Path) -> str:
    """The first name below the package: `nn` of `nn/layers.py`, `clip` of `clip.py`."""
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_parts(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package == "styleganv" and rest and rest != "__version__":
                yield rest.split(".")[0]


def name_of(file: Path) -> str:
    """`styleganv.nn.layers`; of an `__init__.py`, the package."""
    return ".".join(("styleganv", *file.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")


def imported_modules(source: str, modules: Mapping[str, Path]) -> Iterator[str]:
    """Those that are imported when the source is: not by its functions, nor for types only."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in modules else node.module


def complaints(part: str, source: str) -> list[str]:
    return [
        f"{part} imports {other}"
        for other in imported_parts(source)
        if other != part and (other not in LEVEL or LEVEL[other] > LEVEL[part] or other in STRANGERS.get(part, set()))
    ]


FILES = sorted(file for file in ROOT.rglob("*.py") if file != ROOT / "__init__.py")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_point_down(file: Path) -> None:
    part = part_of(file)
    assert part in LEVEL, f"{part} has no place in the layers: give it one in this test and in the architecture"
    assert complaints(part, file.read_text()) == []


@pytest.mark.parametrize(
    "part, source",
    [
        ("data", "from styleganv.methods.stylegan_v import Generator"),
        ("data", "import styleganv.training.loop"),
        ("media", "def f():\n    from styleganv import models"),
        ("media", "from styleganv.training.log_file import read_log"),
        ("nn", "from styleganv.data.dataset import VideoDataset"),
        ("training", "from styleganv.methods import METHODS"),
        ("training", "from styleganv.cli import main"),
        ("files", "from styleganv.media.writing import write_image"),
        ("nn", "from styleganv.nowhere import x"),
    ],
)
def test_wrong_imports_are_found(part: str, source: str) -> None:
    assert len(complaints(part, source)) == 1


def test_no_file_imports_itself_in_a_circle() -> None:
    modules = {name_of(file): file for file in ROOT.rglob("*.py")}
    imports = {
        name: {other for other in imported_modules(file.read_text(), modules) if other != name}
        for name, file in modules.items()
        if name != "styleganv"
    }
    while leaves := [name for name, others in imports.items() if not others & imports.keys()]:
        for name in leaves:
            del imports[name]
    assert not imports, f"in circles, or above one: {sorted(imports)}"


def test_the_package_itself_loads_nothing_heavy() -> None:
    program = f"import sys, styleganv; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_does_not_wait_for_torch() -> None:
    program = """import sys
from styleganv.cli import main
try:
    main(["train", "--help"])
finally:
    sys.exit("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0 and "--preset" in done.stdout, done.stderr


def test_every_public_name_is_there() -> None:
    import styleganv

    for name in styleganv.__all__:
        value = getattr(styleganv, name)
        assert callable(value), f"{name} is {value}"
        assert value.__doc__, f"{name} has no docstring"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        styleganv.nothing  # noqa: B018
