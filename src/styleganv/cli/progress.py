"""Progress bars of commands."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from tqdm import tqdm


@contextmanager
def progress_bar(desc: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a `progress(done, total)` callback that draws a bar on stderr."""
    bar: tqdm | None = None
    with ExitStack() as stack:

        def update(done: int, total: int) -> None:
            nonlocal bar
            if bar is None:
                bar = stack.enter_context(tqdm(desc=desc, unit=unit, total=total, smoothing=0))
            bar.update(done - bar.n)

        yield update
