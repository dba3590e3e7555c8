"""The command line: every mistake ends in one sentence that names the thing and the remedy, and a status above 0."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from styleganv import cli
from styleganv.cli.console import _in_words
from styleganv.cli.parsing import parse_resolution
from styleganv.cli.training import train_defaults
from styleganv.config import PRESETS
from styleganv.data.dataset_writer import write_dataset
from styleganv.errors import StyleganvError
from styleganv.media import writing

TINY = "--channel-base 128 --channel-max 8 --z-dim 16 --w-dim 16 --motion-dim 16 --batch-size 8 --total-clips 8"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one of each kind of broken thing."""
    folder = tmp_path_factory.mktemp("broken")
    (folder / "empty").mkdir()
    (folder / "text").mkdir()
    (folder / "text" / "notes.mp4").write_text("not a video")
    (folder / "half.zip").write_bytes(b"PK\x03\x04 and then nothing")
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text("{")
    one = np.zeros((1, 34, 34, 3), np.uint8)
    write_dataset(
        folder / "one.zip", [("a", one, None, {})], height=34, width=34, fps=25, jpeg_quality=95, class_names=[]
    )
    thirty = np.zeros((9, 34, 34, 3), np.uint8)
    write_dataset(
        folder / "odd.zip", [("a", thirty, None, {})], height=34, width=34, fps=25, jpeg_quality=95, class_names=[]
    )
    return folder


@pytest.mark.parametrize(
    "words, told",
    [
        ("prepare {p}/missing {p}/x.zip --resolution 64", ["missing"]),
        ("prepare {p}/empty {p}/x.zip --resolution 64", ["empty"]),
        ("prepare {p}/text {p}/x.zip --resolution 64", ["notes"]),
        ("prepare {p}/half.zip {p}/x.zip --resolution 64", ["half.zip"]),
        ("prepare {p}/text {p}/x.zip --resolution 64by64", ["--resolution 64by64", "144x256"]),
        ("prepare {p}/text {p}/x.zip --resolution 0", ["0"]),
        ("inspect {p}/half.zip", ["half.zip"]),
        ("inspect {p}/missing.zip", ["missing.zip", "prepare"]),
        ("train {p}/missing.zip --out {p}/run", ["missing.zip", "prepare"]),
        ("train {p}/odd.zip", ["--out"]),
        ("train {p}/odd.zip --out {p}/run --preset huge", ["'huge'", "tiny-cpu", "256-sky"]),
        ("train {p}/odd.zip --out {p}/run", ["34x34", "32x32"]),
        ("train --resume {p}/nothing", ["nothing"]),
        ("train --resume {p}/nothing --out {p}/run", ["nothing"]),
        ("generate {p}/nothing --out {p}/v", ["nothing", "model"]),
        ("generate {p}/model --out {p}/v", ["model", "damaged"]),
        ("generate {p}/odd.zip --out {p}/v", ["odd.zip is not a model"]),
        ("prepare {p}/text {p}/x.zip --resolution 50", ["50x50", "48x48"]),
        ("generate {p}/model --out {p}/v --seeds x-y", ["x-y", "0-7"]),
        ("export {p}/model {p}/v.onnx", ["model", "damaged"]),
        ("export {p}/model {p}/v", ["Unknown export format", ".onnx or .pt2"]),
        ("push {p}/model {p}/v", ["model", "damaged"]),
        ("pull {p}/text {p}/v", ["text is not a styleganv model", "config.json"]),
        ("pull somebody {p}/v", ["somebody", "USER/NAME", "./somebody"]),
    ],
)
def test_mistakes_end_in_one_sentence(
    words: str, told: list[str], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(words.format(p=place).split())
    assert end.value.code == 1
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("styleganv: ") and message.endswith(".")
    assert all(word in message for word in told), message
    assert not (place / "x.zip").exists() and not (place / "run").exists() and not (place / "v").exists()


@pytest.mark.parametrize(
    "argv, expected",
    [
        ("generate m --out x --secons 3", "Unknown option --secons: did you mean --seconds?"),
        ("generate m extra --out x", "Unexpected argument extra."),
        ("generate", "Missing MODEL, --out."),
        ("generate m --out x --seeds", "--seeds requires a value."),
        ("generate m --out x --scale 1.5", "--scale must be a whole number, got 1.5."),
        ("generate m --out x --seconds y", "--seconds must be a number, got y."),
        ("train d.zip --out x --ema-rampup none", "--ema-rampup must be a number or None, got none."),
        ("train d.zip --out x --micro-batch-size 1.5", "--micro-batch-size must be a whole number or None, got 1.5."),
        ("train d.zip --out x --slot-distance x", "--slot-distance must be a number or auto, got x."),
        ("generate m --out x --psi y", "--psi must be a number, got y."),
        ("generate m --out x --precision half", "--precision must be one of float32, bfloat16, got half."),
    ],
)
def test_a_usage_error_is_one_sentence_and_a_pointer(
    argv: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(argv.split())
    command = f"styleganv {argv.split()[0]}"
    assert end.value.code == 2
    assert capsys.readouterr().err == f"{command}: {expected}\nRun `{command} --help` for all options.\n"


@pytest.mark.parametrize(
    "types, words",
    [
        ("{None}|PATH", "a path or None"),
        ("INT|{None}", "a whole number or None"),
        ("{None,fast,slow}|FLOAT", "one of fast, slow or a number or None"),
        ("STR|INT", "a text or a whole number"),
    ],
)
def test_types_of_options_are_told_in_words(types: str, words: str) -> None:
    assert _in_words(types) == words


def test_an_unknown_command_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["gnerate"])
    assert end.value.code == 2
    assert capsys.readouterr().err == "styleganv: Unknown command 'gnerate': did you mean generate?\n"


def test_quiet_leaves_only_results(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = []
    for more in ([], ["--quiet"]):
        cli.main(
            ["inspect", str(place / "one.zip"), "--contact-sheet", str(tmp_path / "sheet.png"), "--overwrite", *more]
        )
        outputs.append(capsys.readouterr())
    assert outputs[0].out == outputs[1].out and outputs[0].err and not outputs[1].err


@pytest.mark.parametrize("verb", cli.COMMANDS)
def test_help_explains_every_option(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([verb, "--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert "{None" not in shown and "None}" not in shown
    if verb == "train":
        assert "in frames" in shown and "--slot-distance" in shown and "(default: " in shown


def test_every_preset_is_where_settings_start() -> None:
    for name, make in PRESETS.items():
        assert train_defaults(["data.zip", "--preset", name])[:2] == (make(), name)
    assert train_defaults(["--preset=128", "data.zip"])[1] == "128"


@pytest.mark.parametrize(
    "argv",
    [
        "{data} --out run",
        "--out run --lr 0.1 {data}",
        "--finetune {other} --no-mirror {data} --out run",
        "--out={other} --or-resume --seed 3 {data}",
        "{data} --help",
    ],
)
def test_preset_fits_device_and_resolution_wherever_data_stands(
    argv: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that are values of options are not taken for DATA."""
    for name, side in (("data", 96), ("other", 16)):
        video = ("a", np.zeros((2, side, side // 2, 3), np.uint8), None, {})
        write_dataset(
            tmp_path / f"{name}.zip", [video], height=side, width=side // 2, fps=25, jpeg_quality=95, class_names=[]
        )
    words = argv.format(data=tmp_path / "data.zip", other=tmp_path / "other.zip").split()
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert train_defaults(words)[1] == "128"
    assert train_defaults(["--preset", "512", *words])[1] == "512"
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert train_defaults(words)[1] == "tiny-cpu"


def test_a_training_says_what_it_will_do_before_it_starts(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], no_run_images: None
) -> None:
    simple = ["--second-discriminator", "none", "--precision", "bfloat16"]
    cli.main(["train", "--out", str(tmp_path / "run"), *TINY.split(), *simple, str(faces)])
    cli.main(["train", "--resume", str(tmp_path / "run"), "--total-clips", "16"])
    first, second = re.findall(r"^Device: .*?(?=^training)", capsys.readouterr().err, re.MULTILINE | re.DOTALL)
    for line in ("Device: +cpu, 1 thread", "Preset: +tiny-cpu", "Resolution: +16x16", "Precision: +bfloat16"):
        assert re.search(line, first)
    assert re.search(r"Estimated time: \d+ s for 8 clips \(per step of 8: \d+ ms, [\d.]+ GiB\)\n$", first)
    assert re.search(r"Estimated time: \d+ s for 8 clips\n$", second)


def test_files_that_cannot_be_accessed_are_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "/some/file")

    monkeypatch.setitem(cli.COMMANDS, "generate", fail)
    monkeypatch.setattr("styleganv.cli.console.parse", lambda *_: ((), {}))
    with pytest.raises(SystemExit) as end:
        cli.main(["generate"])
    assert end.value.code == 1
    expected = "styleganv: Cannot access /some/file (Permission denied): check its path and permissions.\n"
    assert capsys.readouterr().err == expected


def test_resolutions() -> None:
    assert parse_resolution("64") == (64, 64) and parse_resolution("144x256") == (144, 256)
    for text in ("x", "64x", "64x64x64", "-64", "6.5"):
        with pytest.raises(StyleganvError):
            parse_resolution(text)


@pytest.mark.slow
def test_the_whole_way_as_commands(tmp_path: Path) -> None:
    """From videos to a dataset, a model and videos, at a size that is not square; the last one is a real process."""
    source = tmp_path / "source"
    random = np.random.default_rng(0)
    for i in range(3):
        frames = [np.roll(random.integers(0, 255, (48, 64, 3), np.uint8), t, axis=1) for t in range(12)]
        writing.write_video(source / f"clip{i}.mp4", frames, 25)
    for words in (
        f"prepare {source} {tmp_path / 'data.zip'} --resolution 24x32 --num-workers 2",
        f"inspect {tmp_path / 'data.zip'}",
        f"train {tmp_path / 'data.zip'} --out {tmp_path / 'run'} --max-span 8 {TINY}",
        f"generate {tmp_path / 'run'} --out {tmp_path / 'grid'} --seeds 0-1 --motion-seeds 2-4 --format grid",
    ):
        cli.main(words.split())
    words = f"generate {tmp_path / 'run'} --out {tmp_path / 'videos'} --seeds 0-1 --seconds 0.5 --fps 50"
    job = subprocess.run([sys.executable, "-m", "styleganv.cli", *words.split()], capture_output=True, text=True)
    assert job.returncode == 0, job.stderr
    assert (tmp_path / "data-sheet.png").exists()
    assert {p.name for p in (tmp_path / "videos").iterdir()} == {"seed0000.mp4", "seed0001.mp4"}
    assert (tmp_path / "grid" / "grid.png").exists() and (tmp_path / "grid" / "grid.mp4").exists()


def test_the_command_and_the_module_print_the_version() -> None:
    import styleganv

    for words in (["-m", "styleganv", "--version"], ["-m", "styleganv.cli", "--version"]):
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
        assert done.stdout == f"styleganv {styleganv.__version__}\n"
