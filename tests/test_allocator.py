import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

FAULTS = """
import resource
import torch
from styleganv.allocator import keep_freed_memory

def layers():
    x = torch.zeros(4 * 2**20)
    for _ in range(4):
        x = x + 1
        y = torch.cat([x, x[:1]])

if {keep}:
    keep_freed_memory()
layers()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    layers()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc" or "LD_PRELOAD" in os.environ, reason="another allocator")
@pytest.mark.skipif(HUGE_PAGES.exists() and "[always]" in HUGE_PAGES.read_text(), reason="few pages to count")
def test_freed_memory_is_used_again_instead_of_being_fetched_anew() -> None:
    def faults(keep: bool) -> int:
        run = [sys.executable, "-c", FAULTS.format(keep=keep)]
        return int(subprocess.run(run, check=True, capture_output=True, text=True).stdout)

    assert faults(keep=True) < faults(keep=False) / 10
