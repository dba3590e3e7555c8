"""Checks and measurements on a GPU as one Markdown file; see gpu.sh.

Each part is a process of its own with a limited time. A part that fails or takes too long does not stop the others; the
report says so. It is rewritten after every part.
"""

import argparse
import datetime
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARTS_FILE = Path(__file__).with_name("gpu_parts.py")
#: Seconds of each part at most, of ten minutes; training and generation are per resolution. --minutes scales them, and
#: limits all together.
LIMITS = {"machine": 25, "tests": 110, "training": 90, "generation": 20, "processes": 60, "compile": 150}
SIZES, TINY_SIZES = (256, 64, 1024, 512, 128), (16, 32)
NOT_DONE = """
## Not measured

- "Training" above is not compiled: compiling takes minutes per resolution. "Compile" shows what it saves at 64².
- float16 on cards without bfloat16 does not exist; such cards train in float32.
"""


@dataclass(frozen=True)
class Part:
    """A process that prints Markdown, and its time limit in seconds."""

    name: str
    command: list[str]
    limit: float


def list_parts(options: argparse.Namespace) -> list[Part]:
    """Return all parts, the most important first."""
    sizes = options.sizes or (TINY_SIZES if options.tiny else SIZES)
    common = ["--device", options.device, *(["--tiny"] if options.tiny else [])]

    def measure(name: str, *arguments: str) -> Part:
        command = [sys.executable, str(PARTS_FILE), name, *arguments, *common]
        return Part(" ".join([name, *arguments[1:]]), command, LIMITS[name])

    tests = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", str(ROOT / "tests")]
    parts = [measure("machine"), Part("tests", tests, LIMITS["tests"])]
    parts.append(measure("processes"))
    for size in sizes:
        parts += [measure(name, "--size", str(size)) for name in ("training", "generation")]
        if size == sizes[0]:
            parts.append(measure("compile"))
    return [part for part in parts if not options.parts or part.name.split()[0] in options.parts]


def run_part(part: Part, limit: float) -> tuple[str, bool]:
    """Return the Markdown of a part, and whether it succeeded."""
    if limit < 1:
        return "No time was left.\n", False
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])}
    process = subprocess.Popen(
        part.command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=ROOT,
        env=environment,
        start_new_session=os.name == "posix",
    )
    try:
        output, _ = process.communicate(timeout=limit)
        code: int | None = process.returncode
    except subprocess.TimeoutExpired:
        code = None
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)  # with its own processes
        process.kill()
        output, _ = process.communicate()
    if code == 0:
        return output, True
    if part.name == "tests" and code == 5:
        return "No test needs a GPU here, or there is none.\n", True
    reason = f"Stopped after {limit:.0f} s." if code is None else f"Failed with exit code {code}."
    return f"**{reason}** The end of its output:\n\n```\n{output[-3000:].strip()}\n```\n", False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--tiny", action="store_true", help="tiny networks and sizes, as a rehearsal")
    parser.add_argument("--minutes", type=float, default=10.0, help="limit of all parts together")
    parser.add_argument("--sizes", type=int, nargs="+", help="resolutions")
    parser.add_argument("--parts", nargs="+", choices=list(LIMITS), help="parts to run; all by default")
    parser.add_argument("--out", type=Path, default=Path("gpu-report.md"))
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    sections, failed = [f"# styleganv on a GPU, {datetime.date.today()}\n\n`{' '.join(sys.argv)}`\n"], []
    for part in list_parts(options):
        started = time.monotonic()
        text, succeeded = run_part(part, min(part.limit * options.minutes / 10, end - started))
        seconds = time.monotonic() - started
        print(f"{part.name}: {'done' if succeeded else 'FAILED'} in {seconds:.0f} s", flush=True)
        failed += [] if succeeded else [part.name]
        sections.append(f"## {part.name.capitalize()} ({seconds:.0f} s)\n\n{text.strip()}\n")
        summary = f"Failed parts: {', '.join(failed) or 'none'}.\n"
        options.out.write_text("\n".join([sections[0], summary, *sections[1:], NOT_DONE.lstrip()]), "utf-8")
    print(f"Report: {options.out}. Please send it back.")


if __name__ == "__main__":
    main()
