import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import threading
import torch
from styleganv.allocator import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def layers():
    x = torch.ones(2**20)
    for size in (2, 4, 7, 4, 7, 5, 3, 6, 2, 1):
        x = x[:1] + (torch.ones(size * 2**20) + torch.ones(size * 2**20))

def rounds():
    for _ in range(11):  # until the heap has reached its final size
        layers()
    before = faults()
    layers()
    print(faults() - before)

keep_freed_memory()
rounds()
thread = threading.Thread(target=rounds)
thread.start()
thread.join()
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or "LD_PRELOAD" in os.environ, reason="requires glibc's allocator"
)
@pytest.mark.long
def test_freed_memory_is_reused_without_page_faults() -> None:
    """By default there are 14,000 page faults or more, or 25,602 if the second thread has its own heap."""
    run = subprocess.run([sys.executable, "-c", FAULTS], check=True, capture_output=True, text=True)
    main, another = map(int, run.stdout.split())
    assert main < 100 and another < 100
