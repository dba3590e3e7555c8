"""The safe unpickler runs nothing: real attacks, damaged files and bombs are reported in one sentence."""

import io
import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import warm
from pickles import official_discriminator, official_generator, write_pickle

from styleganv.errors import StyleganvError
from styleganv.interop import pickle_interpreter
from styleganv.interop.pickle_interpreter import PickledObject
from styleganv.interop.safe_unpickler import read_pickle
from styleganv.methods.stylegan_v.config import DiscriminatorConfig, GeneratorConfig
from styleganv.methods.stylegan_v.discriminator import Discriminator
from styleganv.methods.stylegan_v.generator import Generator

REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
PERSISTENT = b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n"


class Call:
    """An object that pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def saved(value: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def storage_bytes() -> bytes:
    """Return the argument of `_load_from_bytes` for a tensor of four numbers."""
    storage, *_ = torch.arange(4.0).__reduce_ex__(2)[1]
    content = storage.__reduce__()[1][0]
    assert isinstance(content, bytes)
    return content


def storage_call(content: bytes) -> bytes:
    return b"ctorch.storage\n_load_from_bytes\nB" + struct.pack("<I", len(content)) + content + b"\x85R"


def tensor(offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    numbers = [b"I%d\n" % n for n in (offset, *size, *stride)]
    sizes, strides = (b"(" + b"".join(part) + b"t" for part in (numbers[1 : 1 + len(size)], numbers[1 + len(size) :]))
    return REBUILD + b"(" + storage_call(storage_bytes()) + numbers[0] + sizes + strides + b"\x89NtR."


def attacks(canary: Path) -> dict[str, bytes]:
    """Return pickles, most of which create `canary` in Python's own unpickler."""
    command, write = f"touch {canary}", f"open({str(canary)!r}, 'w')"
    system = Call(os.system, command)
    array = io.BytesIO()
    np.save(array, np.array([system], dtype=object), allow_pickle=True)
    return {
        "os.system": pickle.dumps(system),
        "eval": pickle.dumps(Call(eval, write)),
        "exec": pickle.dumps({"G_ema": Call(exec, write)}),
        "getattr": pickle.dumps(Call(getattr, Call(__import__, "os"), "system")),
        "subprocess": pickle.dumps(Call(subprocess.check_call, ["touch", str(canary)])),
        "pickle.loads": pickle.dumps(Call(pickle.loads, pickle.dumps(system))),
        "torch.load": pickle.dumps(
            Call(
                torch.load,
                Call(io.BytesIO, saved(system)),
                None,
                None,
            )
        ),
        "numpy.load": pickle.dumps(Call(np.load, Call(io.BytesIO, array.getvalue()), None, True)),
        "a call instead of a storage": storage_call(saved(system)) + b".",
        "a call in addition to a storage": storage_call(saved([torch.zeros(2), system])) + b".",
        "a pickle instead of a storage": storage_call(pickle.dumps(system)) + b".",
        "INST": b"(" + text(command) + b"ios\nsystem\n.",
        "OBJ": b"(cos\nsystem\n" + text(command) + b"o.",
        "a dotted name": b"\x80\x04" + text("collections") + text("OrderedDict.__init__.__globals__") + b"\x93.",
        "a dotted module": b"\x80\x04" + text("collections.OrderedDict") + text("__init__") + b"\x93.",
        "a name that is not text": b"\x80\x04K\x01K\x02\x93.",
        "a persistent id": b"\x80\x04" + text("x") + b"Q.",
        "a named persistent id": b"Px\n.",
        "EXT1": b"\x80\x02\x82\x01.",
        "EXT2": b"\x80\x02\x83\x01\x00.",
        "EXT4": b"\x80\x02\x84\x01\x00\x00\x00.",
        "an external buffer": b"\x80\x05\x97\x98.",
        "copyreg": b"ccopyreg\n_reconstructor\n(ccollections\nOrderedDict\ncbuiltins\nobject\nNtR.",
        "an extension": b"ccopyreg\nadd_extension\n(" + text("os") + text("system") + b"K\x01tR.",
        "a call of a type": b"cbuiltins\nint\n(K\x01tR.",
        "a call of a value": b"\x80\x02]K\x01\x85R.",
        "an attribute of a function": REBUILD + b"}" + text("__code__") + b"Nsb.",
        "an attribute of a class": b"ccollections\nOrderedDict\nN}" + text("__init__") + b"Ns\x86b.",
        "an attribute of a list": b"]}" + text("__class__") + b"Nsb.",
        "named arguments": b"\x80\x04comegaconf.nodes\nAnyNode\n)}" + text("a") + b"K\x01s\x92.",
        "a network that is not a class": PERSISTENT + b"}" + text("type") + text("function") + b"s\x85R.",
        "a network that is not a dictionary": PERSISTENT + text("os") + b"\x85R.",
        "an unhashable key": b"}]K\x01s.",
        "a deep key": b"})" + b"\x85" * 100_000 + b"K\x01s.",
    }


@pytest.mark.parametrize("name", attacks(Path("x")))
def test_attacks_are_rejected_and_nothing_runs(name: str, tmp_path: Path) -> None:
    canary, path = tmp_path / "canary", tmp_path / "attack.pkl"
    path.write_bytes(attacks(canary)[name])
    with pytest.raises(StyleganvError, match=r"Unsafe pickle .*attack\.pkl .* rejected without running any of it"):
        read_pickle(path)
    assert not canary.exists()


@pytest.mark.parametrize(
    "name", ["os.system", "eval", "exec", "subprocess", "pickle.loads", "numpy.load", "INST", "OBJ"]
)
def test_the_attacks_are_real(name: str, tmp_path: Path) -> None:
    """Python's own unpickler runs them."""
    canary = tmp_path / "canary"
    pickle.loads(attacks(canary)[name])
    assert canary.exists()


def test_attributes_are_stored_and_never_set(tmp_path: Path) -> None:
    """State that would change a class or an instance becomes entries of a dictionary."""
    names = ("__class__", "__setstate__", "__reduce__", "__dict__", "state")
    state = b"}(" + b"".join(text(name) + b"K\x01" for name in names) + b"u"
    (tmp_path / "file.pkl").write_bytes(b"\x80\x02comegaconf.nodes\nAnyNode\n)\x81" + state + b"b.")
    node = read_pickle(tmp_path / "file.pkl")
    assert type(node) is PickledObject and node.name == "AnyNode" and node.state == dict.fromkeys(names, 1)


@pytest.mark.parametrize(
    "offset, size, stride", [(0, (5,), (1,)), (1, (4,), (1,)), (0, (2, 2), (3, 1)), (-1, (2,), (1,)), (3, (2,), (-1,)),
                             (0, (2**40, 2**40), (1, 1)), (0, (-1,), (1,)), (0, (2,), (1, 1)), (0, (1,) * 9, (1,) * 9)]
)  # fmt: skip
def test_tensors_stay_within_their_storage(
    offset: int, size: tuple[int, ...], stride: tuple[int, ...], tmp_path: Path
) -> None:
    (tmp_path / "file.pkl").write_bytes(tensor(offset, size, stride))
    with pytest.raises(StyleganvError, match=r"\(tensor"):
        read_pickle(tmp_path / "file.pkl")


def test_tensors_are_unchanged(tmp_path: Path) -> None:
    tensors = [torch.randn(3, 2).t(), torch.randn(4).half()[1:], torch.randn(2).bfloat16(), torch.empty(0, 3)]
    tensors += [torch.tensor([True, False]), torch.arange(3), torch.tensor(2.5, dtype=torch.float64), torch.ones(1, 2)]
    (tmp_path / "file.pkl").write_bytes(pickle.dumps(tensors))
    for ours, theirs in zip(read_pickle(tmp_path / "file.pkl"), tensors, strict=True):
        assert ours.dtype == theirs.dtype and torch.equal(ours, theirs)


BOMBS = {
    "missing bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b"x",
    "missing text": b"X\xff\xff\xff\x7fx",
    "a storage longer than its bytes": storage_call(storage_bytes().replace(b"K\x04", b"K\x05")) + b".",
    "a truncated storage": storage_call(storage_bytes()[:-1]) + b".",
    "a long number": b"I" + b"9" * 100_000 + b"\n.",
    "an empty stack": b"\x85.",
    "a missing memo entry": b"h\x07.",
    "no end": b"\x80\x04K\x01",
    "no instruction": b"hello, world",
    "nothing": b"",
    "a zip": b"PK\x03\x04",
}


@pytest.mark.parametrize("name", BOMBS)
def test_damaged_files_and_bombs_are_reported(name: str, tmp_path: Path) -> None:
    (tmp_path / "file.pkl").write_bytes(BOMBS[name])
    with pytest.raises(StyleganvError, match=r"file\.pkl .*\.$"):
        read_pickle(tmp_path / "file.pkl")


def test_depth_and_sharing_need_little_memory(tmp_path: Path) -> None:
    """Read lists 100,000 deep, shared lists that expand to 2⁶⁴ elements, and a memo entry with a large index."""
    deep = b"]" * 10**5 + b"a" * (10**5 - 1) + b"."
    shared = b"]q\x00" + b"0](h\x00h\x00eq\x00" * 64 + b"."
    for content in (deep, shared):
        (tmp_path / "file.pkl").write_bytes(content)
        assert isinstance(read_pickle(tmp_path / "file.pkl"), list)
    (tmp_path / "file.pkl").write_bytes(b"K\x01r\xff\xff\xff\x7f.")
    assert read_pickle(tmp_path / "file.pkl") == 1


def test_pickles_for_tensorflow_are_named(tmp_path: Path) -> None:
    (tmp_path / "file.pkl").write_bytes(b"\x80\x02(cdnnlib.tflib.network\nNetwork\n)\x81t.")
    with pytest.raises(StyleganvError, match=r"for TensorFlow \(name dnnlib\.tflib\.network\.Network\).*: convert it"):
        read_pickle(tmp_path / "file.pkl")


def test_too_many_instructions_are_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickle_interpreter, "MAX_INSTRUCTIONS", 10_000)
    (tmp_path / "file.pkl").write_bytes(b"]0" * 6_000 + b"N.")
    with pytest.raises(StyleganvError, match="more than 10,000 instructions"):
        read_pickle(tmp_path / "file.pkl")


def test_missing_files_and_folders(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.pkl"):
        with pytest.raises(StyleganvError, match=r"Cannot read .*pass the \.pkl file"):
            read_pickle(path)


@pytest.mark.slow
def test_mutated_pickles_do_nothing(tmp_path: Path) -> None:
    """Fuzz valid pickles while Python's audit hooks watch; each is read or rejected."""
    torch.manual_seed(0)
    sizes = dict.fromkeys(("z_dim", "w_dim", "channel_max", "motion_noise_dim", "motion_code_dim"), 2)
    generator = Generator(GeneratorConfig(8, 8, **sizes, num_frequencies=2, motion_kernel=2, amplitude=False))
    discriminator = Discriminator(
        DiscriminatorConfig(8, 8, channel_max=2, condition="project", condition_dim=2, max_gap=4)
    )
    path = write_pickle(
        tmp_path / "valid.pkl", official_generator(generator), official_discriminator(discriminator), protocol=4
    )
    script = Path(__file__).with_name("mutations.py").read_text()  # in a process of its own: audit hooks stay
    done = warm.run([sys.executable, "-c", script, path])
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    read, rejected = map(int, done.stdout.split())
    assert read > 10 and rejected > 100
