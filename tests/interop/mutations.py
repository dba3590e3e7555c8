"""Fuzzer of the pickle reader: `python mutations.py VALID.pkl` reads copies with changed bytes.

It prints the number of files read and rejected, and fails if Python's audit events show anything but reading.
"""

import codecs
import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from styleganv.errors import StyleganvError
from styleganv.interop.checkpoint_conversion import convert_generator
from styleganv.interop.import_checkpoint import extract_tensors
from styleganv.interop.pickle_interpreter import PickledObject
from styleganv.interop.safe_unpickler import read_pickle

HARMLESS = {"open", "builtins.id", "mmap.__new__", "object.__getattr__", "sys._getframe", "gc.get_objects"}
VALID = Path(sys.argv[1])
CONTENT = VALID.read_bytes()
watching, seen = False, set()
counts = {"read": 0, "rejected": 0}


def watch(event: str, arguments: tuple[object, ...]) -> None:
    if watching:
        writes = event == "open" and (
            arguments[0] != str(MUTATED) or (int(str(arguments[2])) & os.O_ACCMODE) != os.O_RDONLY
        )
        if event not in HARMLESS or writes:
            seen.add(f"{event} {arguments}")


MUTATED = VALID.with_name("mutated.pkl")
edits = st.lists(st.tuples(st.integers(0, len(CONTENT) - 1), st.integers(0, 255)), max_size=3)


@settings(max_examples=300, database=None, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(edits=edits, end=st.one_of(st.just(len(CONTENT)), st.integers(0, len(CONTENT))))
def mutate(edits: list[tuple[int, int]], end: int) -> None:
    global watching
    content = bytearray(CONTENT)
    for position, value in edits:
        content[position] = value
    MUTATED.write_bytes(content[:end])
    watching = True
    try:
        value = read_pickle(MUTATED)
        if isinstance(value, dict) and isinstance(value.get("G_ema"), PickledObject):
            convert_generator(extract_tensors(value["G_ema"], len(CONTENT)))
        counts["read"] += 1
    except StyleganvError:
        counts["rejected"] += 1
    finally:
        watching = False
    assert not seen, seen


convert_generator(extract_tensors(read_pickle(VALID)["G_ema"], len(CONTENT)))  # torch imports modules at first use
b"x".decode("raw-unicode-escape"), codecs.escape_decode(b"x")  # so does Python, for strings of protocol 0
sys.addaudithook(watch)
mutate()
print(counts["read"], counts["rejected"])
