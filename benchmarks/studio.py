"""Speed of the studio in real Chromium: frames per second, latency of a control, several viewers, and
memory over minutes of play.

    python benchmarks/studio.py                 about three minutes per model
    python benchmarks/studio.py --minutes 60    with an hour of play

A pretrained model, and two random networks, as their speed is that of trained ones: 64² of full size, and 128² of a
quarter of the channels.
The table is printed and written to `benchmarks/results/`.
"""

import argparse
import datetime
import json
import os
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from run import machine
from tqdm import tqdm
from websockets.sync.client import connect

from styleganv.methods.stylegan_v.config import GeneratorConfig
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.model_folder import save_model
from styleganv.video_model import choose_device

sys.path += [str(Path(__file__).parents[1] / "tests" / folder) for folder in ("studio", "helpers")]
from serving import open_browser, serving

RESULTS = Path(__file__).parent / "results"
PRETRAINED = "faces-64"
RANDOM = {"64², full size": (64, 16384), "128², a quarter of the channels": (128, 4096)}
#: A control, and a value of it for a number drawn anew, 0..1.
CONTROLS: dict[str, tuple[str, Callable[[float], object]]] = {
    "content seed": ("seed", lambda x: int(1e6 * x)),
    "motion seed": ("motion-seed", lambda x: int(1e6 * x)),
    "truncation": ("psi-value", lambda x: round(0.2 + 1.2 * x, 6)),  # the slider would round to an equal value
    "time": ("time", lambda x: round(1e5 * x, 2)),
}
#: Sets a control and waits for the first picture that obeys it.
CHANGE = """
const [name, value, done] = arguments;
const canvas = document.getElementById("screen"), input = document.getElementById(name);
const before = Number(canvas.dataset.epoch), started = performance.now();
input.value = value;
for (const kind of ["input", "change"]) input.dispatchEvent(new Event(kind, { bubbles: true }));
requestAnimationFrame(function look() {
  if (Number(canvas.dataset.epoch) > before) done(performance.now() - started); else requestAnimationFrame(look);
});
"""
CHANGES, SECONDS = 25, 10


def watch(address: str, source: str, seconds: float, counts: list[float], viewer: int) -> None:
    """Behave like one page: request four frames at a time, and at most 25 per second."""
    start, shown = time.monotonic(), 0
    with connect(address.replace("http", "ws") + "frames", origin=address.rstrip("/")) as socket:
        while (passed := time.monotonic() - start) < seconds:
            if shown / 25 > passed + 0.35:
                time.sleep(0.01)
                continue
            request = {"id": 1, "source": source, "params": {"content": viewer}, "start": shown / 25, "fps": 25}
            socket.send(json.dumps(request | {"num_frames": 4}))
            answer = socket.recv()
            (length,) = struct.unpack("<I", answer[:4])
            shown += len(json.loads(answer[4 : 4 + length])["sizes"])
    counts[viewer] = shown / (time.monotonic() - start)


def viewers(address: str, source: str, count: int, seconds: float) -> list[float]:
    """Return the frames per second of several viewers of different videos."""
    counts = [0.0] * count
    threads = [threading.Thread(target=watch, args=(address, source, seconds, counts, i)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counts


def memory_mib(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) / 1024


def save_random(folder: Path, side: int, channel_base: int) -> None:
    torch.manual_seed(0)
    generator = Generator(GeneratorConfig(side, side, channel_base=channel_base))
    save_model(folder, generator, data={"fps": 25.0, "class_names": []}, training={})
    os.sync()  # else it is written back while the first numbers are taken


def measured(name: str, model: Path, minutes: float) -> list[str]:
    """Lines of the table."""
    rows = []
    # Not a fork of another process, which would share memory with it.
    with serving([model], start=subprocess.Popen) as (process, address):
        page: Any = open_browser("--window-size=1280,1000")
        page.get(address)
        while not page.execute_script("return document.getElementById('screen')?.dataset.epoch"):
            time.sleep(0.5)
        time.sleep(2)
        rates = []
        for _ in range(SECONDS):
            time.sleep(1)
            rates.append(int(page.find_element("id", "displayed-fps").text.split()[0]))
        rows.append(f"| {name} | frames per second, 25 requested | {statistics.mean(rates):.1f} |")
        for control, (element, value) in CONTROLS.items():
            taken = []
            for _ in range(CHANGES):
                time.sleep(0.5)
                taken.append(page.execute_async_script(CHANGE, element, value(random.random())))
            told = f"{statistics.median(taken):.0f} ms ({min(taken):.0f}–{max(taken):.0f})"
            rows.append(f"| {name} | {control} to picture, median of {CHANGES} | {told} |")
        history = [memory_mib(process.pid)]
        crowd = threading.Thread(target=viewers, args=(address, model.name, 20, 60 * minutes))
        crowd.start()
        for _ in tqdm(range(round(minutes * 60 / 10)), desc=f"playing {name}", unit="look"):
            page.execute_script("document.getElementById('randomize').click()")
            time.sleep(10)
            history.append(memory_mib(process.pid))
        crowd.join()
        page.quit()
        told = f"{history[0]:.0f} → {history[len(history) // 2]:.0f} → {history[-1]:.0f} MiB"
        rows.append(f"| {name} | memory over {minutes:g} minutes with 20 viewers and the page | {told} |")
        for count in (1, 2, 4, 20):
            found = viewers(address, model.name, count, SECONDS)
            rows.append(f"| {name} | {count} viewers, frames per second of each | {min(found):.1f}–{max(found):.1f} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0, help="of play while memory is watched, for each model")
    options = parser.parse_args()
    date = datetime.date.today().isoformat()
    load = f"Load average before: {os.getloadavg()[0]:.1f}"
    lines = [
        f"# The studio, {date}",
        "",
        f"{machine(choose_device(None))}; server and browser share them. {load}.",
        "",
    ]
    lines += ["| model | what | measured |", "|---|---|---|"]
    lines += measured(f"{PRETRAINED}, pretrained", Path(PRETRAINED), options.minutes)
    for name, (side, base) in RANDOM.items():
        with tempfile.TemporaryDirectory() as folder:
            save_random(Path(folder) / "model", side, base)
            lines += measured(name, Path(folder) / "model", options.minutes)
    text = "\n".join(lines) + "\n"
    print(text)
    (RESULTS / f"{date}-studio.md").write_text(text)


if __name__ == "__main__":
    main()
