"""How many models of runs are in memory: those that were used last."""

import threading
from collections import OrderedDict
from typing import Protocol

#: Models of runs in a folder that are in memory at a time, besides those that the user named.
MAX_MODELS = 4


class Unloadable(Protocol):
    """Something that can drop its weights, and loads them again when they are needed."""

    def unload(self) -> None:
        """Drop the weights."""


class ModelPool:
    """Keeps at most `max_models` members loaded; the least recently used one is unloaded first."""

    def __init__(self, max_models: int = MAX_MODELS) -> None:
        self.max_models = max_models
        self._loaded: OrderedDict[Unloadable, None] = OrderedDict()
        self._lock = threading.Lock()

    def use(self, member: Unloadable) -> None:
        """Note that a loaded member is used, and unload others if there are too many."""
        with self._lock:
            self._loaded[member] = None
            self._loaded.move_to_end(member)
            while len(self._loaded) > self.max_models:
                self._loaded.popitem(last=False)[0].unload()
