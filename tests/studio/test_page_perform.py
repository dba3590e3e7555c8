"""The tab Perform in Chromium: mappings, MIDI, OSC, audio, the window for a second display, and recording."""

import base64
import io
import json
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from serving import serving_here
from studio_page import BROWSER_MARKS, Page, module, script_first
from test_studio_browser_page import violations

from styleganv.studio.favorites import Favorites
from styleganv.studio.osc import open_osc_socket

pytest.importorskip("selenium", reason="pip install styleganv[dev]")

pytestmark = BROWSER_MARKS

#: Replaces the browser's MIDI by a controller whose messages `sendMidi` sends.
MIDI = """
const input = { name: "Nano", state: "connected" };
navigator.requestMIDIAccess = async () => ({ inputs: new Map([["1", input]]) });
window.sendMidi = (...bytes) => input.onmidimessage({ data: Uint8Array.from(bytes) });
"""
DENIED_MIDI = "navigator.requestMIDIAccess = async () => { throw new DOMException('', 'NotAllowedError'); };"
NO_MIDI = "delete Navigator.prototype.requestMIDIAccess;"


@pytest.fixture
def paused(browser: Any, url: str) -> Iterator[Page]:
    """The page without mappings and emulated screens of earlier tests."""
    yield Page(browser, url, "?play=0")
    browser.execute_script("localStorage.clear()")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


#: Returns the times of the onsets in a WAV file in Base64.
ONSETS = """
async function onsetTimes(Analysis, text) {
  const data = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
  const buffer = await new OfflineAudioContext(1, 1, 48000).decodeAudioData(data);
  const measures = [...new Analysis(48000).push(buffer.getChannelData(0))];
  return measures.filter((one) => one.isOnset).map((one) => one.time);
}
"""


def run(page: Page, name: str, code: str, functions: str = "") -> Any:
    """Return the value of an expression of a module of the page, `m`."""
    return page.browser.execute_async_script(
        f"{functions}const done = arguments[0]; {module(name)}.then(async (m) => done(await ({code})))"
    )


def mappings(page: Page) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(page.browser.execute_script("return localStorage.mappings"))
    return found


def test_midi_learning_ranges_and_files(paused: Page, tmp_path: Path) -> None:
    page, browser = paused, paused.browser
    with script_first(browser, MIDI):
        page = Page(browser, page.url, "?play=0")
        page.click("connect-midi")
        page.until(lambda: page.find("#midi") and page.text("midi") == "MIDI: Nano")

        def learn(control: str, *message: int) -> None:
            page.click("learn")
            page.click(control)
            browser.execute_script("sendMidi(...arguments)", *message)
            page.click("learn")

        browser.execute_script("sendMidi(0xb0, 9, 5)")  # A knob that moves before a control is chosen is not meant.
        learn("psi", 0xB0, 74, 127)
        learn("seed-dice", 0x90, 60, 1)
        assert page.address.get("content", "0") == "0" and page.value("psi") == "1"  # Learning uses neither.
        knob = {
            "input": "midi/1/cc/74",
            "target": "psi",
            "from": [0, 1],
            "to": [0, 1.5],
            "curve": "linear",
            "smoothing": 0,
        }
        note = knob | {"input": "midi/1/note/60", "target": "randomize/content", "to": [0, 1]}
        assert mappings(page) == [knob, note]
        assert page.text("mapping-1") == "Knob 74 → Truncation psi" and "Note C4 → Random content" in page.text(
            "mapping-2"
        )

        def turn(value: int, psi: float) -> None:
            browser.execute_script("sendMidi(0xb0, 74, arguments[0])", value)
            page.until(lambda: float(page.address.get("psi", 1)) == psi)

        turn(64, 0.756)
        page.click("mapping-1")
        page.set("mapping-1-to", 1.2)
        page.set("mapping-1-to-high", 0.2)  # reversed
        page.select("mapping-1-curve", "slow start")
        page.set("mapping-1-from-high", 0.5)
        turn(127, 0.2)  # beyond the range
        turn(32, round(1.2 - (32 / 127 / 0.5) ** 2, 3))
        page.set("mapping-1-from-high", 0)  # An empty range has no meaning.
        assert page.value("mapping-1-from-high") == "0.5"

        seeds = ["0"]
        for velocity, kind in ((1, 0x90), (0, 0x90), (127, 0x91), (64, 0x80), (127, 0x90)):
            browser.execute_script("sendMidi(arguments[0], 60, arguments[1])", kind, velocity)
            seeds.append(run(page, "core/state", "m.view.a.peek().content"))
        assert seeds[1] != "0" and seeds[1] == seeds[2] == seeds[3] == seeds[4] != seeds[5]  # other channel, releases

        saved = mappings(page)
        browser.refresh()
        page.until(lambda: page.find("#midi"))  # connected again without a click
        assert mappings(page) == saved
        page.click("mapping-2-remove")
        page.until(lambda: len(mappings(page)) == 1)
        (tmp_path / "good.json").write_text(json.dumps(saved))
        (tmp_path / "bad.json").write_text(json.dumps([saved[0], saved[1] | {"from": [1, 1]}]))
        page.get("open-mappings").send_keys(str(tmp_path / "bad.json"))
        page.until(lambda: page.errors() == "bad.json: Mapping 2 is invalid: correct or remove it in the file.")
        assert len(mappings(page)) == 1
        page.get("open-mappings").send_keys(str(tmp_path / "good.json"))
        page.until(lambda: mappings(page) == saved and not page.errors())


@pytest.mark.parametrize(
    ("source", "text"), [(DENIED_MIDI, "The browser denied MIDI: allow it"), (NO_MIDI, "This browser has no MIDI: use")]
)
def test_missing_midi_is_one_sentence(paused: Page, source: str, text: str) -> None:
    with script_first(paused.browser, source):
        page = Page(paused.browser, paused.url, "?play=0&tab=perform")
        page.click("connect-midi")
        page.until(lambda: page.errors().startswith(text))


def osc(address: str, tags: str = "", data: bytes = b"") -> bytes:
    texts = [text.encode() + b"\0" * (4 - len(text) % 4) for text in (address, f",{tags}")]
    return b"".join([*texts, data])


@pytest.mark.long
def test_osc_controls_directly_and_by_learning(browser: Any, models: list[Path], tmp_path: Path) -> None:
    folder = Favorites(tmp_path)
    for name in ("b", "a"):
        project = f"# ?model=one&content=5{ord(name)}&t=2.5\nkeyframes: [{{time: 0, content: 1}}]\n"
        folder.save(name, project, [np.zeros((8, 8, 3), np.uint8)] * 2, 10)
    receiver = open_osc_socket("127.0.0.1", 0)
    with (
        serving_here(models[:1], osc_socket=receiver, favorites=tmp_path) as url,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        page = Page(browser, url, "?play=0&tab=perform&dir=content 1:1")
        port = receiver.getsockname()[1]
        page.until(lambda: page.find("#osc") and f"UDP port {port}" in page.text("osc"))

        def send(address: str, value: float | str | bool | None = None) -> None:
            if isinstance(value, str):
                packet = osc(address, "s", value.encode() + b"\0" * (4 - len(value) % 4))
            elif isinstance(value, bool):
                packet = osc(address, "T" if value else "F")
            else:
                packet = osc(address) if value is None else osc(address, "f", struct.pack(">f", value))
            sender.sendto(packet, ("127.0.0.1", port))

        for key, sent, name, shown in (
            ("psi", 0.7, "psi", "0.7"),
            ("psi", 9.0, "psi", "1.5"),
            ("speed", 0.5, "speed", "0.5"),
            ("direction/content-1", -2.0, "dir", "content 1:-2"),
            ("content", "3@0.5,8@0.5", "content", "3@0.5,8@0.5"),
            ("weight/content/2", 0.25, "content", "3@0.5,8@0.25"),
            ("motion", 7.0, "motion", "7"),
            ("label", 2.0, "label", "2"),
            ("time", 12.5, "t", "12.5"),
        ):
            send(f"/styleganv/{key}", sent)
            page.until(lambda name=name, shown=shown: page.address.get(name) == shown)
        send("/styleganv/content", "no seed!")  # Invalid values change nothing.
        send("/styleganv/unknown", 1.0)
        send("/styleganv/randomize/content", False)  # the release of a button
        send("/styleganv/psi", 0.3)
        page.until(lambda: page.address["psi"] == "0.3")
        assert page.address["content"] == "3@0.5,8@0.25"
        send("/styleganv/randomize/content")
        page.until(lambda: page.address["content"].isdigit())
        send("/styleganv/favorite/9")
        send("/styleganv/favorite/2")
        page.until(lambda: (page.address.get("content"), page.address.get("t")) == ("598", "2.5"))
        send("/styleganv/play", True)
        page.until(lambda: "play" not in page.address)
        send("/styleganv/play", False)
        page.until(lambda: page.address.get("play") == "0")

        page.click("learn")
        page.click("psi-value")
        send("/1/fader", 100.0)
        page.until(lambda: mappings(page))
        assert page.text("mapping-1") == "OSC /1/fader → Truncation psi" and mappings(page)[0]["from"] == [0, 127]
        page.click("learn")
        send("/1/fader", 127.0)
        page.until(lambda: page.address.get("psi") == "1.5")
        browser.execute_script("localStorage.clear()")


@pytest.mark.long
def test_audio_from_microphone_and_file(paused: Page, clicks: Path) -> None:
    page = paused
    wav = base64.b64encode(clicks.read_bytes()).decode()
    times = run(page, "perform/analysis", f"onsetTimes(m.Analysis, '{wav}')", ONSETS)
    assert len(times) == 8 and np.abs(np.array(times) - np.arange(0.25, 4, 0.5)).max() < 0.05

    def onsets() -> Any:
        return run(page, "perform/audio", "m.onsets")

    def is_even() -> bool:
        """Return whether there are three new onsets at distances of half a second."""
        steps = np.diff(onsets()[known:])[-2:]
        return len(steps) == 2 and bool(np.abs(steps - 0.5).max() < 0.05)

    page.click("tab-perform")
    page.select("mapping-input", "Onset")
    page.select("mapping-target", "Random content")
    page.click("mapping-add")
    page.select("mapping-input", "Level")
    page.select("mapping-target", "Truncation psi")
    page.click("mapping-add")
    known = 0
    page.find("#audio [value=microphone]")[0].click()
    page.until(is_even)
    page.until(lambda: page.address.get("content", "0") != "0" and "psi" in page.address)
    heard = run(page, "perform/audio", "m.meters")
    assert set(heard) == {"level", "low", "mid", "high", "onset"}
    page.until(lambda: float(page.value("meter-mid")) > 0.2)
    page.until(lambda: float(page.value("meter-mid")) < 0.1)
    page.find("#audio [value=off]")[0].click()
    page.until(lambda: not page.find("#meter-mid"))
    known = len(onsets())
    page.find("#audio [value=file]")[0].click()
    page.get("audio-file").send_keys(str(clicks))
    page.until(is_even)
    assert page.get("audio-player").get_attribute("aria-label") == "clicks.wav"
    page.get("audio-file").send_keys(__file__)
    page.until(lambda: "cannot play test_page_perform.py" in page.errors())
    page.find("#audio [value=off]")[0].click()
    with script_first(
        page.browser,
        "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotAllowedError'); }",
    ):
        page = Page(page.browser, page.url, "?play=0&tab=perform")
        page.find("#audio [value=microphone]")[0].click()
        page.until(lambda: page.errors().startswith("The browser denied the microphone: allow it"))


#: Advances the page's clock by a 60th of a second per animation frame while nothing is to be drawn; steers psi.
STEER = """
const done = arguments[0];
Promise.all([MODULES]).then((modules) => {
  const { players: { a }, steer, change, clock } = Object.assign({}, ...modules);
  const animate = window.requestAnimationFrame.bind(window);
  let now = Math.max(performance.now(), clock.last), moves = 0, last = 0; // The latest tick may be ahead.
  performance.now = () => now;
  window.requestAnimationFrame = (callback) => animate((time) => {
    if (time !== last && !a.isWaiting && !a.frames.length && a.drawnRevision === a.revision) now += 1000 / 60;
    last = time;
    callback(now);
  });
  steer(() => { moves += 1; change({ psi: 1 - moves / 100 }); if (moves === 50) done(); return moves < 50; });
});
""".replace("MODULES", ", ".join(module(f"core/{name}") for name in ("playback", "steering", "state", "clock")))


@pytest.mark.long
def test_steered_video_has_one_frame_per_change_at_equal_distances(paused: Page) -> None:
    page = Page(paused.browser, paused.url)
    page.until(lambda: page.phase() == "current")
    page.record()
    page.browser.execute_async_script(STEER)
    clock, times = page.recorded()[-40:].T
    assert np.abs(np.diff(clock) - 0.04).max() < 1.01 / 60 and abs(np.diff(clock).mean() - 0.04) < 0.002
    assert np.abs(np.diff(times) - 0.04).max() < 1.01 / 60  # The video goes on at its speed.
    assert abs(np.diff(times).mean() - 0.04) < 0.002


def test_video_plays_on_while_the_music_holds_a_level(paused: Page) -> None:
    page = Page(paused.browser, paused.url)
    page.until(lambda: page.phase() == "current")
    page.record()
    page.browser.execute_script(
        f"const all = [{module('core/steering')}, {module('core/state')}];"
        "Promise.all(all).then(([{ steer }, { view }]) =>"
        "steer(() => { view.a.value = { ...view.a.peek() }; return true; }))"
    )
    time.sleep(0.5)  # after which frames that were requested ahead have been drawn
    page.browser.execute_script("frames_.length = 0")
    page.until(lambda: len(page.recorded()) > 10)


@pytest.mark.long
def test_window_shows_the_same_frames_and_recording_saves_them(paused: Page) -> None:
    page, browser = paused, paused.browser
    main = browser.current_window_handle
    page.click("open-window")
    page.until(lambda: len(browser.window_handles) == 2)
    browser.switch_to.window(next(one for one in browser.window_handles if one != main))
    try:
        page.until(lambda: page.find("#mirror") and page.pixels("mirror").shape == (32, 32, 3))
        assert not page.find("button, input, .error, .problem")
        shown = page.pixels("mirror")
        browser.refresh()  # It finds its way back.
        page.until(lambda: page.find("#mirror") and page.pixels("mirror").shape == (32, 32, 3))
        assert np.array_equal(page.pixels("mirror"), shown)
        browser.switch_to.window(main)
        assert np.array_equal(page.pixels(), shown)
        page.until(lambda: "Press f in it for full screen" in page.find("#tab-panel")[0].text)
    finally:
        for handle in browser.window_handles:
            if handle != main:
                browser.switch_to.window(handle)
                browser.close()
        browser.switch_to.window(main)
    page.until(lambda: "The controls stay here." in page.find("#tab-panel")[0].text)

    page.set("fps", 10)  # which a busy machine can record without a gap
    page.click("play")
    page.click("tab-perform")
    page.find("#audio [value=microphone]")[0].click()
    page.until(lambda: page.find("#meter-level"))
    browser.execute_script(
        "const create = URL.createObjectURL; URL.createObjectURL = (blob) => { window.saved = blob;"
        "return create(blob); };"
        "HTMLAnchorElement.prototype.click = function () { window.savedName = this.download; }"
    )
    page.record()
    for option in [one.get_attribute("value") for one in page.find("#record-format option")]:
        page.set("record-format", option)
        page.select("record-scale", "128×128")
        browser.execute_script("frames_.length = 0")
        page.click("record")
        page.until(lambda: len(page.recorded()) >= 15)
        page.click("record")
        clock = page.recorded()[:, 0]
        name, data = page.until(
            lambda: browser.execute_async_script(
                "const done = arguments[0]; if (!window.saved) done(null); else { const reader = new FileReader();"
                "reader.onload = () => done([savedName, reader.result.split(',').at(-1)]); "
                "reader.readAsDataURL(window.saved); window.saved = null; }"
            )
        )
        assert name.startswith("one-") and name.endswith(".mp4" if "mp4" in option else ".webm")
        with av.open(io.BytesIO(base64.b64decode(data))) as container:
            assert container.streams.video[0].width == container.streams.video[0].height == 128
            assert len(container.streams.audio) == 1
            packets = list(container.decode(video=0))
        assert len(clock) - 1 <= len(packets) <= len(clock) + 3
        assert abs(float(packets[-1].time - packets[0].time) - (clock[-1] - clock[0])) < 0.3
        assert np.ptp(packets[-1].to_ndarray(format="rgb24")) > 30


@pytest.mark.parametrize(("size", "scheme"), [((390, 844), "dark"), ((1280, 800), "light")])
def test_perform_is_accessible_and_nothing_overflows(paused: Page, size: tuple[int, int], scheme: str) -> None:
    name = "a-very-long-name" * 8
    saved = [
        {
            "input": f"osc/{name}",
            "target": f"direction/{name}",
            "from": [0, 1],
            "to": [0, 1],
            "curve": "linear",
            "smoothing": 0,
        },
        {"input": "audio/low", "target": "psi", "from": [0, 1], "to": [0, 1.5], "curve": "S-curve", "smoothing": 0.2},
    ]
    paused.browser.execute_script("localStorage.mappings = arguments[0]", json.dumps(saved))
    page = Page(paused.browser, paused.url, "?play=0&tab=perform")
    page.resize(*size, prefers_color_scheme=scheme)
    page.find("#audio [value=microphone]")[0].click()
    page.until(lambda: page.find("#audio-onset"))
    for button in ("mapping-1", "mapping-2", "audio-onset", "learn"):
        page.click(button)
    assert "not in this model" in page.text("mapping-1")
    assert violations(page) == []
    overflow = page.browser.execute_script(
        "const right = document.documentElement.clientWidth;"
        "return [...document.querySelectorAll('#panel *')].filter((one) => !one.closest('.hidden')"
        "&& one.checkVisibility() && one.getBoundingClientRect().right > right + 1).map((one) => one.outerHTML)"
    )
    assert overflow == []
