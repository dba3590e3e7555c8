"""Cases of settings, latents, model folders, checkpoints, pickles and destinations."""

import json
import os
import pickle
import random
import zipfile
from pathlib import Path
from typing import Any

import yaml

from .case import Case
from .inputs import TRAIN, Inputs
from .mutations import (
    damage_file,
    damage_tree,
    flip_bit,
    has_nonfinite,
    put_nonfinite,
    read_safetensors,
    write_safetensors,
)
from .option_cases import commands


def settings(rng: random.Random, inputs: Inputs, folder: Path) -> Case:
    """Return a case of a run to be resumed whose settings.yaml, data.txt or log has been changed."""
    run = inputs.copy("run", folder / "run")
    argv = ["train", "--resume", "run", "--total-clips", "24", "--quiet"]
    kind = rng.choice(("tree", "tree", "tree", "tree", "bytes", "yaml", "data", "log", "log"))
    file = run / {"data": "data.txt", "log": "log.jsonl"}.get(kind, "settings.yaml")
    must: Any = None
    if kind == "tree":
        tree, note = damage_tree(rng, yaml.safe_load(file.read_text()))
        file.write_text(yaml.safe_dump(tree, allow_unicode=True))
        must = "refuse" if has_nonfinite(tree) else None
    elif kind == "yaml":
        text = rng.choice(
            ("", "[]", "a", "- a", "a: b", "{", "&a [*a]", "!!python/object/apply:os.getcwd []", "\0", "---\n---\n")
        )
        file.write_text(text)
        note = f"settings.yaml is {text!r}"
    elif kind == "log":
        text = file.read_text()
        note = rng.choice(("cut", "line", "empty", "gone", "binary"))
        cut = rng.randrange(1, len(text))
        changed = {"cut": text[:cut], "line": text + "\n{]\n", "empty": "", "binary": "\0\x80" * 9}.get(note)
        file.unlink() if changed is None else file.write_text(changed)
        must = "succeed"
    else:
        note = damage_file(rng, file)
    return Case(argv, f"{file.name}: {note}", ("run",), must=must, whole=False)


def latents(rng: random.Random, inputs: Inputs, folder: Path) -> Case:
    """Return a case of a damaged file of latents or directions."""
    name = rng.choice(("latents", "directions"))
    file = inputs.copy(f"{name}.safetensors", folder / f"{name}.safetensors")
    must, note = _damage_safetensors(rng, file) if rng.random() < 0.9 else ("succeed", "whole")
    argv = ["edit", str(inputs.folder / "model"), "--out", "out.mp4", "--seconds", "0.2", "--quiet"]
    if name == "directions":
        argv += ["--direction", f"{file.name}:1={rng.choice(('1', '-2', '0'))}"]
    else:
        argv += rng.choice(
            (["--latents", file.name], ["--motion-latents", file.name], ["--mix-latents", f"{file.name}:0-1"])
        )
        if argv[-2] != "--latents" and "styles" not in note and must == "refuse":
            must = None  # the damaged part is not used
    return Case(argv, f"{file.name}: {note}", ("out.mp4",), must=must)


def _damage_safetensors(rng: random.Random, file: Path) -> tuple[Any, str]:
    kind = rng.choice(("bytes", "header", "header", "metadata", "nonfinite", "nonfinite", "shape"))
    if kind == "bytes":
        return None, damage_file(rng, file)
    if kind == "nonfinite":
        return "refuse", put_nonfinite(rng, file)
    header, data = read_safetensors(file.read_bytes())
    if kind == "header":
        header, note = damage_tree(rng, header)
    elif kind == "metadata":
        name = rng.choice(sorted(header["__metadata__"]))
        value = rng.choice(
            ("", "nan", "-1", "x", "[]", '["1"]', "1e9", "99999999999999999999", "true", "null", "[1, 2]")
        )
        header["__metadata__"][name], note = value, f"{name} = {value!r}"
    else:
        name = rng.choice(sorted(set(header) - {"__metadata__"}))
        shape = header[name]["shape"]
        header[name]["shape"] = rng.choice(([*shape, 1], [1, *shape], shape[::-1], [0, *shape], []))
        note = f"{name} has shape {header[name]['shape']}"
    file.write_bytes(write_safetensors(header, data))
    return None, note


def models(rng: random.Random, inputs: Inputs, folder: Path) -> Case:
    """Return a case of a damaged model folder."""
    name = rng.choice(("model", "model", "classes-model"))
    model = inputs.copy(name, folder / "model")
    kind = rng.choice(
        ("config", "config", "config", "config", "weights", "weights", "nan", "nan", "bytes", "gone", "mixed")
    )
    must: Any = None
    whole = True
    if kind == "config":
        tree, note = damage_tree(rng, json.loads((model / "config.json").read_text()))
        (model / "config.json").write_text(json.dumps(tree))
        must = "refuse" if has_nonfinite(tree) else None
    elif kind == "weights":
        note = damage_file(rng, model / "model.safetensors")
    elif kind == "nan":
        must, note = "refuse", put_nonfinite(rng, model / "model.safetensors")
    elif kind == "bytes":
        note = damage_file(rng, model / "config.json")
    elif kind == "gone":
        file = rng.choice(("config.json", "model.safetensors"))
        (model / file).unlink()
        must, note = "refuse", f"{file} is missing"
    else:
        inputs.copy("other/model.safetensors", model / "model.safetensors")
        os.remove(model / "config.json")
        inputs.copy("classes-model/config.json", model / "config.json")
        must, note = "refuse", "config of one model, weights of another"
    argv, writes = rng.choice(
        (
            (["generate", "model", "--out", "out", "--seeds", "0", "--seconds", "0.2"], ("out",)),
            (["generate", "model", "--out", "out", "--seeds", "0", "--seconds", "0.2"], ("out",)),
            (["edit", "model", "--out", "out.mp4", "--seconds", "0.2"], ("out.mp4",)),
            (["swap", "model", str(inputs.folder / name), "out", "--resolution", "8"], ("out",)),
            (["push", "model", "./out"], ("out",)),
            (["train", str(inputs.folder / "plain.zip"), "--out", "out", *TRAIN, "--finetune", "model"], ("out",)),
        )
    )
    if argv[0] == "train":
        whole = False
    return Case([*argv, "--quiet"], f"{argv[0]} {name}: {note}", writes, must=must, whole=whole)


def checkpoints(rng: random.Random, inputs: Inputs, folder: Path) -> Case:
    """Return a case of a run to be resumed or fine-tuned whose checkpoint is damaged."""
    run = inputs.copy("run", folder / "run")
    file, must = run / "checkpoint.pt", "notice"
    kind = rng.choice(
        ("bit", "bit", "bit", "tensor bit", "tensor bit", "tensor bit", "damage", "empty", "gone", "other", "swap")
    )
    if kind == "bit":
        note = flip_bit(rng, file)
    elif kind == "tensor bit":
        with zipfile.ZipFile(file) as archive:
            entry = max(archive.infolist(), key=lambda entry: entry.file_size)
        note = flip_bit(rng, file, first=entry.header_offset + 200)
    elif kind == "damage":
        note = damage_file(rng, file)
    elif kind == "empty":
        file.write_bytes(b"")
        note = "empty"
    elif kind == "gone":
        file.unlink()
        note, must = "missing", "notice"
    elif kind == "other":
        inputs.copy("archive.pt", file)
        note = "another file of torch.save"
    else:
        inputs.copy("model/model.safetensors", file)
        note = "weights in its place"
    argv = ["train", "--resume", "run", "--total-clips", "24", "--quiet"]
    writes = ("run",)
    if rng.random() < 0.2 and kind != "gone":
        data = str(inputs.folder / "plain.zip")
        argv = ["train", data, "--out", "out", *TRAIN, "--finetune", "run", "--quiet"]
        writes, must = ("out",), None  # the model next to the checkpoint is whole
    return Case(argv, f"checkpoint.pt: {note}", writes, must=must if kind != "gone" else None, whole=False)


class _Evil:
    """Pickles as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def pickles(rng: random.Random, inputs: Inputs, folder: Path) -> Case:
    """Return a case of a damaged or malicious pickle to import."""
    file = inputs.copy("official.pkl", folder / "official.pkl")
    kind = rng.choice(("bytes", "bytes", "bytes", "flips", "flips", "evil", "odd", "deep", "other"))
    must: Any = "refuse"
    if kind == "bytes":
        must, note = None, damage_file(rng, file)
    elif kind == "flips":
        data = bytearray(file.read_bytes())
        for _ in range(rng.randint(1, 6)):  # among the opcodes at its ends, not in the weights
            place = rng.choice(
                (rng.randrange(min(2000, len(data))), rng.randrange(max(0, len(data) - 2000), len(data)))
            )
            data[place] = rng.randrange(256)
        file.write_bytes(bytes(data))
        must, note = None, "bytes of its opcodes changed"
    elif kind == "evil":
        name = rng.choice(("system", "exec", "open", "getattr", "import"))
        calls: dict[str, Any] = {
            "system": _Evil(os.system, "touch precious/run"),
            "exec": _Evil(exec, "open('precious/run', 'w')"),
            "open": _Evil(open, "precious/run", "w"),
            "getattr": _Evil(getattr, "", "upper"),
            "import": _Evil(__import__, "antigravity"),
        }
        content = rng.choice((calls[name], {"G_ema": calls[name]}, [calls[name]]))
        file.write_bytes(pickle.dumps(content, protocol=rng.randint(0, 5)))
        note = f"calls {name}"
    elif kind == "odd":
        content = rng.choice(
            ({}, [], None, {"G_ema": None}, {"G_ema": {}}, {"G": 1}, 7, "x" * 10**6, {"G_ema": [1] * 10**5})
        )
        file.write_bytes(pickle.dumps(content))
        note = f"holds {type(content).__name__}"
    elif kind == "deep":
        opening = rng.choice((b"(", b"]", b"}", b"(l", b"\x85"))
        file.write_bytes(b"\x80\x04N" + opening * rng.choice((1000, 200_000)) + b".")
        note = f"{opening!r} many times"
    else:
        name = rng.choice(("archive.pt", "plain.zip", "model/model.safetensors", "latents.safetensors", "labels.csv"))
        note = f"{name} in its place"
        os.remove(file)
        inputs.copy(name, file)
    argv = ["import", file.name, "out", "--quiet"]
    return Case(argv, f"official.pkl: {note}", ("out",), must=must)


def destinations(rng: random.Random, inputs: Inputs, folder: Path) -> Case:
    """Return a case of a destination that exists, cannot be written, or holds other files: nothing may change."""
    known = commands(inputs)
    argv, writes = known[rng.choice([name for name in known if name not in ("inspect",)])]
    argv, dest = list(argv), folder / writes[0]
    place = argv.index(dest.name) if dest.name in argv else argv.index("./out")
    kind = rng.choice(("folder", "folder", "file", "model", "run", "below a file", "here", "above", "link", "proc"))
    if kind == "folder":
        (dest / "sub").mkdir(parents=True)
        (dest / "important.txt").write_text("keep")
        (dest / "sub" / "notes.txt").write_text("keep")
    elif kind == "file":
        dest.write_text("keep")
    elif kind in ("model", "run"):
        inputs.copy(kind, dest)
        (dest / "important.txt").write_text("keep")
    elif kind == "below a file":
        argv[place] = f"{'./' if argv[0] == 'push' else ''}precious/important.txt/{dest.name}"
    elif kind == "here":
        argv[place] = "."
    elif kind == "above":
        argv[place] = ".."  # the folder of the case, never one of the machine
    elif kind == "proc":
        argv[place] = f"/proc/{dest.name}"
    else:
        os.symlink("precious", dest)
    overwrite = rng.random() < 0.3
    adds = kind in ("folder", "link", "here", "above") and argv[0] == "generate"
    must: Any = "refuse" if not adds and not (overwrite and kind == "file") else None
    note = f"destination: {kind}{' with --overwrite' if overwrite else ''}"
    new = tuple(f"{place}seed*.mp4" for place in ("", "../", "out/", "precious/")) if adds else ()
    if overwrite:
        argv.append("--overwrite")
        new = (*new, *(writes if kind == "file" else ()))
    return Case([*argv, "--quiet"], note, new, must=must)
