"""Record a moving picture of the studio's tab Perform: a real session in Chromium, with a beat as microphone.

python examples/perform_picture.py faces-64 docs/studio-perform.webp      on a machine that has nothing else to do
"""

import io
import json
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

import numpy as np
from PIL import Image

sys.path[:0] = [str(Path(__file__).parents[1] / "tests" / name) for name in ("studio", "helpers", "")]

SIZE, SECONDS, FPS, BEAT, RATE = (960, 600), 5, 6, 0.75, 48_000
MAPPINGS = [
    {"input": "audio/low", "target": "psi", "from": [0.3, 1], "to": [0.5, 1.2], "curve": "linear"},
    {"input": "audio/onset", "target": "randomize/motion", "from": [0, 1], "to": [0, 1], "curve": "linear"},
]


def write_beat(path: Path) -> None:
    """Write a WAV of bass drums."""
    time = np.arange(round(8 * BEAT * RATE)) / RATE % BEAT
    sound = 0.9 * np.exp(-time / 0.15) * np.sin(2 * np.pi * (60 + 60 * np.exp(-time / 0.03)) * time)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, len(sound), "NONE", ""))
        file.writeframes((sound * 32767).astype("<i2").tobytes())


def main(model: str, out: str) -> None:
    from serving import open_browser, serving  # of the tests

    with tempfile.TemporaryDirectory() as folder, serving([Path(model)], start=subprocess.Popen) as (_, url):
        beat = Path(folder) / "beat.wav"
        write_beat(beat)
        flags = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--hide-scrollbars"]
        browser = open_browser(f"--use-file-for-fake-audio-capture={beat}", *flags)
        screen = {"width": SIZE[0], "height": SIZE[1], "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        browser.get(url)
        browser.execute_script(
            "localStorage.mappings = arguments[0]", json.dumps([each | {"smoothing": 0.1} for each in MAPPINGS])
        )
        browser.get(url + "?content=3&motion=3&tab=perform")
        time.sleep(5)
        browser.find_element("css selector", "#audio [value=microphone]").click()
        time.sleep(2)
        pages = []
        start = time.monotonic()
        for i in range(SECONDS * FPS):
            time.sleep(max(0, start + i / FPS - time.monotonic()))
            pages.append(Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB"))
        step = round((time.monotonic() - start) * 1000 / len(pages))
        pages = [page.resize((SIZE[0] * 3 // 4, SIZE[1] * 3 // 4), Image.Resampling.LANCZOS) for page in pages]
        browser.quit()
    pages[0].save(out, save_all=True, append_images=pages[1:], duration=step, loop=0, quality=40, method=2)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
