"""Cases of sources and datasets: media, archives, labels, prepared datasets."""

import csv
import json
import os
import random
import struct
import zlib
from pathlib import Path
from typing import Any

from .case import Case, check_dataset
from .inputs import Inputs, draw, picture, read_zip, write_zip
from .mutations import ODD_VALUES, ODD_WORDS, damage, damage_file, damage_tree, has_nonfinite

PREPARE = ("--resolution", "16", "--num-workers", "1", "--quiet")


def media(rng: random.Random, inputs: Inputs, folder: Path) -> Case:
    """Return a case of a damaged, renamed, mixed or unusual source."""
    kind = rng.choice(
        ("damage", "damage", "damage", "damage", "rename", "join", "folder", "unusual", "unusual", "evaluate")
    )
    clip = inputs.clip(rng)
    source = folder / f"clip{clip.suffix}"
    if kind == "unusual":
        return _unusual(rng, inputs, folder)
    if kind == "rename":
        source = folder / f"clip{rng.choice(('.mp4', '.gif', '.webp', '.avi', '.zip', '.png', '.txt', '.MKV', ''))}"
        inputs.copy(f"videos/{clip.name}", source)
        return _prepare(source, f"{clip.name} named {source.name}")
    if kind == "join":
        other = inputs.clip(rng)
        data, tail = clip.read_bytes(), other.read_bytes()
        place = rng.randrange(len(data))
        source.write_bytes(data[:place] + tail[rng.randrange(len(tail)) :])
        return _prepare(source, f"{clip.name} up to {place}, then {other.name}")
    inputs.copy(f"videos/{clip.name}", source)
    note = f"{clip.name}: {damage_file(rng, source)}"
    if kind == "folder":
        return _folder(rng, inputs, folder, source, note)
    if kind == "evaluate" and rng.random() < 0.5:
        argv = ["diagnose", str(source), "--num-videos", "1", "--max-frames", "16", "--out", "out.html", "--quiet"]
        return Case(argv, f"diagnose {note}", ("out.html", "out.html_files"))
    return _prepare(source, note)


def _prepare(source: Path, note: str, *options: str, **expected: Any) -> Case:
    expected = {"check": check_dataset("out.zip")} | expected
    return Case(["prepare", str(source), "out.zip", *PREPARE, *options], note, ("out.zip",), **expected)


def _unusual(rng: random.Random, inputs: Inputs, folder: Path) -> Case:
    unusual = rng.choice(inputs.unusual)
    name = os.fsdecode(unusual.name)
    source = inputs.copy(f"unusual/{name}", folder / name)
    must: Any = "refuse" if unusual.num_frames is None else "succeed"
    options = rng.choice(((), (), ("--fit", "pad"), ("--fit", "stretch"), ("--lossless",)))
    check = check_dataset("out.zip", unusual.num_frames)
    if rng.random() < 0.3:  # by a relative name, which may look like an option or a URL
        argv = ["prepare", *PREPARE, *options, "--", name, "out.zip"]
        if not name.startswith("-"):
            argv.remove("--")
        return Case(argv, f"unusual {name!r}, relative", ("out.zip",), must=must, check=check)
    return _prepare(source, f"unusual {name!r}", *options, must=must, check=check)


def _folder(rng: random.Random, inputs: Inputs, folder: Path, damaged: Path, note: str) -> Case:
    """Return a case of a folder with a good clip, a damaged one, and things that are no clips."""
    source = folder / "source"
    source.mkdir()
    inputs.copy("videos/clip.mp4", source / "good.mp4")
    os.rename(damaged, source / f"bad{damaged.suffix}")
    names = []
    for thing in rng.sample(
        ("pipe", "loop", "dangling", "locked", "text", "nested", "empty", "socket-like", "same"), 3
    ):
        names.append(thing)
        if thing == "pipe":
            os.mkfifo(source / "pipe.mp4")
        elif thing == "loop":
            os.symlink(source, source / "loop")
        elif thing == "dangling":
            os.symlink("nowhere", source / "dangling.mp4")
        elif thing == "locked":
            (source / "locked").mkdir(mode=0)
        elif thing == "text":
            (source / "notes.mp4").write_text("not a video")
        elif thing == "nested":
            inputs.copy("classes.zip", source / "inner.zip")
        elif thing == "empty":
            (source / "empty.mp4").touch()
        elif thing == "same":
            inputs.copy("videos/clip.mkv", source / "good.mkv")
        else:
            os.mkfifo(source / "0000.png")
    return _prepare(source, f"folder of good.mp4, {note}, {', '.join(names)}", must="succeed")


def archives(rng: random.Random, inputs: Inputs, folder: Path) -> Case:
    """Return a case of a zip of frames: damaged, or with unusual entries."""
    entries = read_zip(inputs.folder / "classes.zip")
    kind = rng.choice(("bytes", "bytes", "bytes", "entry", "entry", "names", "names", "add", "header", "giant", "bomb"))
    source = folder / "source.zip"
    expected: dict[str, Any] = {}
    if kind == "bytes":
        data, note = damage(rng, (inputs.folder / "classes.zip").read_bytes())
        source.write_bytes(data)
        return _prepare(source, f"zip: {note}")
    if kind == "entry":
        index = rng.randrange(len(entries))
        data, note = damage(rng, entries[index][1])
        entries[index] = (entries[index][0], data)
        note, expected = f"{entries[index][0]}: {note}", {"must": "succeed"}
    elif kind == "names":
        note = rng.choice(("backslashes", "absolute", "parent", "odd", "duplicate", "deep", "latin"))
        entries = [(_rename(rng, note, name), data) for name, data in entries]
        expected = {"must": "succeed"} if note in ("backslashes", "latin") else {}
    elif kind == "add":
        extra = rng.choice(
            (("a/", b""), ("x.zip", b"PK\5\6" + bytes(18)), ("cats/notes.txt", b"x"), ("dataset.json", b"{}"))
        )
        entries.insert(rng.randrange(len(entries)), extra)
        note = f"an entry {extra[0]}"
    elif kind == "header":
        write_zip(source, entries)
        data = bytearray(source.read_bytes())
        place = data.index(b"PK\1\2") + rng.choice((6, 8, 10, 16, 20, 24, 28, 42))
        data[place : place + 2] = rng.randbytes(2)
        source.write_bytes(bytes(data))
        return _prepare(source, f"central directory changed at {place}")
    elif kind == "giant":
        side = rng.choice((20_000, 60_000, 2**31 - 1))
        entries[0] = (entries[0][0], giant_png(side))
        note, expected = f"a picture whose header says {side}", {"must": "succeed"}
    else:
        return _bomb(rng, source, entries)
    write_zip(source, entries)
    return _prepare(source, f"zip: {note}", **expected)


def _rename(rng: random.Random, kind: str, name: str) -> str:
    return {
        "backslashes": name.replace("/", "\\"),
        "absolute": f"/{name}",
        "parent": f"../../{name}",
        "odd": f"{rng.choice(('a:b', 'CON', ' ', '...', 'x' * 300, chr(1), '-'))}/{name}",
        "duplicate": name.rpartition("/")[0] + "/00.png",
        "deep": "a/" * 200 + name,
        "latin": name.replace("clip", "clíp"),
    }[kind]


def _bomb(rng: random.Random, source: Path, entries: list[tuple[str, bytes]]) -> Case:
    """Return a case of a zip with one entry of 3 GB of zeros."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = bytes(2**24)
    num_blocks = rng.choice((4, 190))
    data = b"".join([*(compressor.compress(block) for _ in range(num_blocks)), compressor.flush()])
    size = num_blocks * len(block)
    name = rng.choice((b"cats/clip9/00.png", b"bomb.mp4"))
    crc = 0
    for _ in range(num_blocks):
        crc = zlib.crc32(block, crc)
    write_zip(source, entries)
    raw = source.read_bytes()
    start, end = raw.index(b"PK\1\2"), raw.rindex(b"PK\5\6")
    sizes = struct.pack("<HHHIII", 8, 0, 0x21, crc, len(data), size)
    local = b"PK\3\4" + struct.pack("<HH", 20, 0) + sizes + struct.pack("<HH", len(name), 0) + name + data
    central = b"PK\1\2" + struct.pack("<HHH", 20, 20, 0) + sizes
    central += struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, start) + name
    count = len(entries) + 1
    directory = raw[start:end] + central
    tail = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), start + len(local), 0)
    source.write_bytes(raw[:start] + local + directory + tail)
    return _prepare(source, f"zip: {name.decode()} inflates to {size / 2**20:.0f} MiB")


def giant_png(side: int) -> bytes:
    """Return a PNG whose header states side × side pixels, with little data."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def labels(rng: random.Random, inputs: Inputs, folder: Path) -> Case:
    """Return a case of a file of labels: damaged, incomplete, contradictory, or unusual and valid."""
    source = str(inputs.folder / "classes")
    kind = rng.choice(("csv", "csv", "json", "json", "bytes", "bytes", "valid", "dataset.json"))
    if kind == "dataset.json":
        return _labels_inside(rng, inputs, folder)
    suffix = rng.choice((".csv", ".json")) if kind in ("bytes", "valid") else f".{kind}"
    file = inputs.copy(f"labels{suffix}", folder / f"labels{suffix}")
    must: Any = None
    if kind == "bytes":
        note = damage_file(rng, file)
    elif kind == "valid":
        must = "succeed"
        note = _write_valid_labels(rng, file)
    elif kind == "json":
        tree, note = damage_tree(rng, json.loads(file.read_text()))
        file.write_text(json.dumps(tree))
        must = "refuse" if has_nonfinite(tree) else None
    else:
        must, note = _write_bad_csv(rng, file)
    argv = ["prepare", source, "out.zip", *PREPARE, "--classes", str(file)]
    return Case(argv, f"{file.name}: {note}", ("out.zip",), must=must, check=check_dataset("out.zip"))


def _write_valid_labels(rng: random.Random, file: Path) -> str:
    """Write labels in another valid way."""
    if file.suffix == ".json":
        rows = json.loads(file.read_text())
        note = rng.choice(("integers", "spaces", "order", "long", "unicode"))
        values = {"integers": lambda v: int(v), "long": lambda v: v * 100, "unicode": lambda v: v + "ü🐟"}
        changed = {name: values.get(note, lambda v: v)(value) for name, value in reversed(rows.items())}
        file.write_text(json.dumps(changed, indent=4 if note == "spaces" else None))
        return note
    note = rng.choice(("header", "bom", "quotes", "crlf", "order"))
    rows = list(csv.reader(file.read_text().splitlines()))
    if note == "header":
        rows.insert(0, ["name", "label"])
    rows = rows[::-1] if note == "order" else rows
    with open(file, "w", newline="", encoding="utf-8-sig" if note == "bom" else "utf-8") as stream:
        end = "\r\n" if note == "crlf" else "\n"
        csv.writer(
            stream, quoting=csv.QUOTE_ALL if note == "quotes" else csv.QUOTE_MINIMAL, lineterminator=end
        ).writerows(rows)
    return note


def _write_bad_csv(rng: random.Random, file: Path) -> tuple[Any, str]:
    rows = list(csv.reader(file.read_text().splitlines()))
    note = rng.choice(
        ("conflict", "same twice", "missing", "unknown", "one column", "three columns", "odd", "empty", "encoding")
    )
    index = rng.randrange(len(rows))
    must: Any = "refuse"
    if note == "conflict":
        rows.append([rows[index][0], "other"])
    elif note == "same twice":
        rows.append(rows[index])
        must = None
    elif note == "missing":
        del rows[index]
    elif note == "unknown":
        rows.append(["nothing/like-it", "2"])
    elif note == "one column":
        rows[index] = rows[index][:1]
    elif note == "three columns":
        rows[index].append("x")
    elif note == "odd":
        rows[index][1], must = rng.choice([word for word in ODD_WORDS if word != "\udcff"]), None
    elif note == "empty":
        rows = []
    with open(file, "w", newline="", encoding="utf-16" if note == "encoding" else "utf-8") as stream:
        csv.writer(stream).writerows(rows)
    return must, note


def _labels_inside(rng: random.Random, inputs: Inputs, folder: Path) -> Case:
    """Return a case of a zip of frames with the dataset.json that other programs write, damaged or not."""
    entries = read_zip(inputs.folder / "classes.zip")
    rows: list[Any] = [[name, int("dogs" in name)] for name, _ in entries]
    note, must = "as it is", None
    if rng.random() < 0.8:
        index = rng.randrange(len(rows))
        rows[index] = rng.choice(
            [[rows[index][0], rng.choice(ODD_VALUES)], rng.choice(ODD_VALUES), [rows[index][0], 1], []]
        )
        note = f"row {index} = {str(rows[index])[:60]!r}"
    text = json.dumps({"labels": rows})
    source = folder / "source.zip"
    write_zip(source, [*entries, ("dataset.json", text.encode())])
    return _prepare(source, f"dataset.json with labels, {note}", must=must)


def datasets(rng: random.Random, inputs: Inputs, folder: Path) -> Case:
    """Return a case of a damaged prepared dataset."""
    name = rng.choice(("data.zip", "plain.zip"))
    entries = read_zip(inputs.folder / name)
    data = folder / "data.zip"
    must: Any = None
    kind = rng.choice(("bytes", "bytes", "json", "json", "json", "json", "frame", "sizes", "remove"))
    if kind == "bytes":
        changed, note = damage(rng, (inputs.folder / name).read_bytes())
        data.write_bytes(changed)
    else:
        index = rng.randrange(len(entries) - 1)
        if kind == "json":
            tree, note = damage_tree(rng, json.loads(entries[-1][1]))
            entries[-1] = ("dataset.json", json.dumps(tree).encode())
            must = "refuse" if has_nonfinite(tree) else None
        elif kind == "frame":
            changed, note = damage(rng, entries[index][1])
            entries[index] = (entries[index][0], changed)
        elif kind == "sizes":
            size = rng.choice(((1, 1), (16, 17), (64, 64)))
            entries[index] = (entries[index][0], picture(draw(1, *size)[0], "JPEG"))
            note, must = f"{entries[index][0]} is {size[0]}x{size[1]}", "notice"
        else:
            note, must = f"{entries.pop(index)[0]} is missing", "notice"
        write_zip(data, entries)
    argv, writes = _dataset_command(rng, inputs)
    return Case(argv, f"{name}: {note}", writes, must=must if argv[0] == "inspect" else None, whole=argv[0] != "train")


def _dataset_command(rng: random.Random, inputs: Inputs) -> tuple[list[str], tuple[str, ...]]:
    from .inputs import TRAIN

    command = rng.choice(("inspect", "inspect", "inspect", "inspect", "diagnose", "train", "prepare"))
    if command == "train":
        return ["train", "data.zip", "--out", "run", *TRAIN, "--quiet"], ("run",)
    if command == "diagnose":
        options = ["--num-videos", "2", "--max-frames", "16", "--out", "out.html", "--quiet"]
        return ["diagnose", "data.zip", *options], ("out.html", "out.html_files")
    if command == "prepare":
        return ["prepare", "data.zip", "out.zip", *PREPARE], ("out.zip",)
    return ["inspect", "data.zip", "--contact-sheet", "sheet.png", "--quiet"], ("sheet.png",)
