"""Cases of command lines: options with bad, odd and valid values, and words removed, doubled or misspelled."""

import random
import re
from collections.abc import Callable
from pathlib import Path

from .case import Case
from .data_cases import PREPARE
from .inputs import TRAIN, Inputs
from .mutations import BAD_NUMBERS, ODD_NUMBERS, ODD_WORDS

#: Options whose large values are valid and would take long or much memory.
AMOUNTS = re.compile(
    r"seconds|clips|minutes|steps|samples|seeds|workers|threads|scale|resolution|repeats|start|port|videos"
)
#: Per command, options that its cases do not vary: they reach the network, or start long work.
SKIPPED = re.compile(
    r"--(help|text|source-text|clip-model|weights|sha256|resume|or-resume|total-clips|protocol|finetune-steps)$"
)


def commands(inputs: Inputs) -> dict[str, tuple[list[str], tuple[str, ...]]]:
    """Return a valid command line and its destinations for each command."""
    at = inputs.folder
    model, data = str(at / "model"), str(at / "plain.zip")
    short = ["--seconds", "0.2"]
    project = ["project", model, str(at / "videos" / "clip.mp4"), "--out", "out", "--num-steps", "1", *short]
    return {
        "generate": (["generate", model, "--out", "out", "--seeds", "0", *short], ("out",)),
        "classes": (["generate", str(at / "classes-model"), "--out", "out", "--seeds", "3", *short], ("out",)),
        "edit": (["edit", model, "--out", "out.mp4", *short], ("out.mp4", "saved.safetensors")),
        "prepare": (["prepare", str(at / "classes"), "out.zip", *PREPARE], ("out.zip",)),
        "train": (["train", data, "--out", "out", *TRAIN], ("out",)),
        "inspect": (["inspect", data, "--contact-sheet", "out.png"], ("out.png",)),
        "import": (["import", str(at / "official.pkl"), "out"], ("out",)),
        "swap": (["swap", model, str(at / "other"), "out", "--resolution", "8"], ("out",)),
        "directions": (
            ["directions", model, "--out", "out.safetensors", "--num-samples", "8", "--num-directions", "2"],
            ("out.safetensors", "out.png"),
        ),
        "diagnose": (
            ["diagnose", data, "--num-videos", "2", "--max-frames", "16", "--out", "out.html"],
            ("out.html", "out.html_files", "out.json"),
        ),
        "explore": (["explore", model, "--out", "out"], ("out",)),
        "project": (project, ("out",)),
        "push": (["push", model, "./out"], ("out",)),
    }


#: The rest are slow: a few of their cases suffice.
WEIGHTS = {
    "generate": 6,
    "classes": 2,
    "edit": 4,
    "prepare": 4,
    "train": 6,
    "import": 2,
    "directions": 2,
    "diagnose": 2,
}

#: Options that must be accepted, each alone.
VALID = {
    "generate": [
        *(["--fps", value] for value in ("7.5", "0.5", "240", "29.97")),
        *(["--psi", value] for value in ("0", "-1", "2", "1e-9")),
        *(["--start", value] for value in ("0.01", "100000", "1e6")),
        *(["--seeds", value] for value in ("7,5,7", "2147483647", "0-1, 3")),
        *(["--format", value] for value in ("gif", "webp", "frames", "grid")),
        *(["--crf", value] for value in ("0", "51")),
        *(["--scale", "3"], ["--motion-seeds", "4"], ["--precision", "float32"], ["--device", "cpu"]),
    ],
    "classes": [["--label", "class1"], ["--label", "class2", "--psi", "0.5"]],
    "edit": [
        *(["--speed", value] for value in ("0", "0.25", "3")),
        *(["--mix", value] for value in ("7:0-1@0.5", "1:0;2:1@0.1")),
        *(["--time-map", "0:0,1:2"], ["--interpolate-to", "5,6"], ["--side-by-side"], ["--motion-seed", "9"]),
        *(["--seed", "123456789"], ["--save-latents", "saved.safetensors"]),
    ],
    "prepare": [
        *(["--fps", value] for value in ("5", "12.5", "50")),
        *(["--classes", value] for value in ("none", "auto", "folders")),
        *(["--lossless"], ["--split-every", "3"], ["--min-frames", "1"], ["--jpeg-quality", "1"], ["--fit", "pad"]),
        *(["--source-fps", "23.976"], ["--background", "#cfe8ff"], ["--background", "skyblue"]),
    ],
    "train": [
        *(["--lr", value] for value in ("1e-5", "0.01")),
        *(["--augment", value] for value in ("none", "fixed", "ada")),
        *(["--num-frames", "3"], ["--loss", "relativistic"], ["--motion", "lstm"], ["--seed", "5"], ["--mirror"]),
        *(["--micro-batch-size", "4"], ["--gradient-checkpointing"], ["--minutes", "0.001"], ["--num-workers", "1"]),
    ],
}


def options_of(command: str) -> list[tuple[str, str]]:
    """Return the options of a command and their types, as its help shows them; run in a child."""
    import contextlib
    import io

    from .sandbox import command_line

    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        command_line([command, "--help"])
    return re.findall(r"^[│ ]+(--[a-z0-9-]+) (INT|FLOAT|STR|PATH|\{.*?\})", text.getvalue(), re.MULTILINE)


def make_options(help_: dict[str, list[tuple[str, str]]]) -> Callable[[random.Random, Inputs, Path], Case]:
    """Return the generator of cases of options, given each command's."""

    def options(rng: random.Random, inputs: Inputs, folder: Path) -> Case:
        known = commands(inputs)
        names = [name for name in known if name != "explore"]  # which takes long where it succeeds
        command = rng.choices(names, [WEIGHTS.get(name, 1) for name in names])[0]
        argv, writes = known[command]
        argv = list(argv)
        chance = rng.random()
        if chance < 0.15:
            return _word(rng, argv, writes)
        if chance < 0.35:
            command, more = rng.choice([(name, words) for name in VALID for words in VALID[name]])
            argv, writes = known[command]
            return Case([*argv, *more, "--quiet"], f"valid: {' '.join(more)}", writes, must="succeed")
        choices = [(name, kind) for name, kind in help_[argv[0]] if not SKIPPED.match(name)]
        option, kind = rng.choice(choices)
        number = kind in ("INT", "FLOAT")
        bad = rng.random() < 0.6
        values: tuple[str, ...] = (BAD_NUMBERS if bad else ODD_NUMBERS) if number else ODD_WORDS
        value = rng.choice(values)
        if number and not bad and AMOUNTS.search(option):
            value = rng.choice([value for value in values if len(value) < 7])
        refused = number and bad and value not in ("None", "null")
        if option in argv:
            del argv[argv.index(option) : argv.index(option) + 2]
        separate = rng.random() < 0.5 and not value.startswith("-")
        argv += [option, value] if separate else [f"{option}={value}"]
        if option in ("--out", "--json", "--save-latents", "--contact-sheet", "--cache"):
            return Case([*argv, "--quiet"], f"{option} {value!r}", (*writes, value, Path(value).name), whole=False)
        whole = argv[0] not in ("train", "project", "explore")
        return Case([*argv, "--quiet"], f"{option} {value!r}", writes, must="refuse" if refused else None, whole=whole)

    return options


def _word(rng: random.Random, argv: list[str], writes: tuple[str, ...]) -> Case:
    """Return a case with one word of the command line removed, doubled, replaced or misspelled."""
    index = rng.randrange(len(argv))
    kind = rng.choice(("remove", "double", "replace", "misspell"))
    word = argv[index]
    if kind == "remove":
        del argv[index]
    elif kind == "double":
        argv.insert(index, word)
    elif kind == "replace":
        argv[index] = rng.choice(ODD_WORDS)
    else:
        argv[index] = word[:-1] + rng.choice(("x", "", "--", "="))
    # Only a name that the program takes as a destination may be new: a bare word, never one of a folder outside.
    writes = (*writes, *(name for name in argv if re.fullmatch(r"\w[\w.-]*", name)), "runs", "explored", "report.html")
    return Case(
        [*argv, "--quiet"], f"{kind} {word!r}", (*writes, "directions.safetensors", "directions.png"), whole=False
    )
