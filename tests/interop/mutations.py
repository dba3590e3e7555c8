"""Run as `python mutations.py VALID.pkl`: reads it with bytes changed, again and again, and prints how many were read
and how many refused. Ends badly if a reading does anything but read: Python's audit events say what happens."""

import codecs
import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from styleganv.errors import StyleganvError
from styleganv.interop.import_pickle import tensors_of
from styleganv.interop.pickle_machine import Node
from styleganv.interop.released import generator_from
from styleganv.interop.unpickle import read_pickle

HARMLESS = {"open", "builtins.id", "mmap.__new__", "object.__getattr__", "sys._getframe", "gc.get_objects"}
VALID = Path(sys.argv[1])
CONTENT = VALID.read_bytes()
watching, seen = False, set()
counts = {"read": 0, "refused": 0}


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
    for place, value in edits:
        content[place] = value
    MUTATED.write_bytes(content[:end])
    watching = True
    try:
        found = read_pickle(MUTATED)
        if isinstance(found, dict) and isinstance(found.get("G_ema"), Node):
            generator_from(tensors_of(found["G_ema"], len(CONTENT)))
        counts["read"] += 1
    except StyleganvError:
        counts["refused"] += 1
    finally:
        watching = False
    assert not seen, seen


generator_from(tensors_of(read_pickle(VALID)["G_ema"], len(CONTENT)))  # and torch loads what it loads when first used
b"x".decode("raw-unicode-escape"), codecs.escape_decode(b"x")  # likewise Python, for texts of the oldest pickles
sys.addaudithook(watch)
mutate()
print(counts["read"], counts["refused"])
