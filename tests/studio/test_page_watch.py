"""The pages of runs in Chromium: the list, one run, comparisons, and a real training that is stopped and resumed."""

import json
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import warm
from PIL import Image
from serving import serving_here
from studio_page import BROWSER_MARKS, Page
from test_studio_browser_page import DESKTOP, violations

from styleganv.config import RunConfig, save_settings
from styleganv.studio import run_list

pytest.importorskip("selenium", reason="pip install styleganv[dev]")

pytestmark = BROWSER_MARKS

PHONE = (390, 844)
LONG = "a-very-long-name-" * 6 + "<b>&amp;"


class WatchPage(Page):
    """A page of runs."""

    def __init__(self, browser: Any, url: str, query: str = "") -> None:
        self.browser, self.url = browser, url
        browser.get_log("browser")
        browser.get(url + query)
        self.until(lambda: self.find("main.watch"))

    def texts(self, selector: str) -> list[str]:
        """Return the visible texts of elements, which the page may replace at any time."""
        found: list[str] = self.browser.execute_script(
            "return [...document.querySelectorAll(arguments[0])]"
            ".map((one) => one.innerText.trim().replace(/\\s+/g, ' '))",
            selector,
        )
        return found

    def press(self, selector: str) -> None:
        self.until(lambda: self.find(selector) and self.find(selector)[0].is_enabled())
        self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", self.find(selector)[0])
        self.find(selector)[0].click()

    def cards(self) -> list[str]:
        found: list[str] = self.browser.execute_script(
            "return [...document.querySelectorAll('.card')].map((one) => one.dataset.run)"
        )
        return found

    def overflow(self) -> list[str]:
        """Return the elements beyond the right edge."""
        found: list[str] = self.browser.execute_script(
            "return [...document.querySelectorAll('main.watch *')].filter((one) => one.checkVisibility() && "
            "!one.closest('.table, pre, .u-wrap') && one.getBoundingClientRect().right > innerWidth + 1)"
            ".map((one) => one.outerHTML.slice(0, 200))"
        )
        return found


def write_log(run: Path, clips: range, *, event: str = "end", **scalars: float) -> None:
    """Write a log with these scalars at each number of clips."""
    records: list[dict[str, Any]] = [{"event": "start", "clips_seen": 0, "time": 1000.0}]
    records += [{"clips_seen": n, "time": 1000.0 + n, "clips_per_second": 2.0} | scalars for n in clips]
    records.append({"event": event, "clips_seen": clips[-1], "time": 1000.0 + clips[-1]})
    (run / "log.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records))


def add_run(folder: Path, source: Path, colors: dict[int, str], lr: float) -> Path:
    """Copy a run, with snapshots of one color each, by the clips seen."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("tensorboard", "snapshots", "record.json"))
    (folder / "snapshots").mkdir()
    for clips, color in colors.items():
        Image.new("RGB", (160, 80), color).save(folder / "snapshots" / f"{clips:09d}.png")
    settings = (folder / "settings.yaml").read_text()
    lines = [f"  lr: {lr}" if line.startswith("  lr:") else line for line in settings.splitlines()]
    (folder / "settings.yaml").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def folder(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three runs: one that exploded, a good one, and one with a long name and without snapshots."""
    folder = tmp_path_factory.mktemp("watch") / "runs"
    bad = add_run(folder / "bad", finished_run, {100: "#ff0000", 300: "#00ff00"}, 0.1)
    write_log(bad, range(100, 2100, 100), loss_g=1e3, loss_d=0.1, logits_real=-1.0, event="diverged")
    good = add_run(folder / "good10", finished_run, {200: "#0000ff", 400: "#ffffff"}, 0.002)
    write_log(good, range(100, 1100, 100), loss_g=0.7, loss_d=1.3, logits_real=0.5, event="interrupted")
    write_log(add_run(folder / LONG, finished_run, {}, 0.002), range(100, 300, 100), loss_g=0.8, loss_d=1.2)
    return folder


@pytest.fixture(scope="module")
def studio(folder: Path) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_list, "SEARCH_SECONDS", 0.1)
        with serving_here([folder]) as url:
            yield url


@pytest.fixture
def restored(browser: Any) -> Iterator[Any]:
    """The browser, whose emulated screen ends with the test."""
    yield browser
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_list_of_runs(restored: Any, studio: str, folder: Path) -> None:
    page = WatchPage(restored, studio)
    page.until(lambda: len(page.cards()) == 3)
    assert page.address == {"view": "runs"}
    assert page.cards()[0] == "runs/bad"  # last active
    page.select("run-order", "Name")
    page.until(lambda: page.cards() == [f"runs/{LONG}", "runs/bad", "runs/good10"])
    assert LONG in page.texts(".card h2")[0] and "No snapshot yet" in page.texts(".card")[0]
    page.select("run-order", "State")
    page.until(lambda: page.cards() == ["runs/bad", "runs/good10", f"runs/{LONG}"])
    assert [text.split()[0] for text in page.texts(".status")] == ["Diverged", "Interrupted", "Finished"]
    pictures = page.find(".card img")
    page.until(lambda: [picture.get_property("naturalWidth") for picture in pictures] == [160, 160])
    for width, height in (DESKTOP, PHONE):
        for scheme in ("light", "dark"):
            page.resize(width, height, prefers_color_scheme=scheme)
            assert page.overflow() == [] and violations(page) == []

    page.get("run-filter").send_keys("GOOD")
    page.until(lambda: page.cards() == ["runs/good10"])
    page.get("run-filter").send_keys(" bad")
    page.until(lambda: page.cards() == [] and "No run has this name." in page.texts("#runs")[0])
    page.set("run-filter", "")
    finding = page.until(lambda: page.texts("[data-run='runs/bad'] .findings li"))[0]
    assert "diverged" in finding or "exploded" in finding
    page.press("[data-run='runs/bad'] .findings .link")
    page.until(lambda: page.find("#documentation[open]") and "--lr" in page.texts("#documentation")[0])
    assert violations(page) == []
    page.find("#documentation header button")[0].click()

    shutil.copytree(folder / "good10", folder / "new")
    page.until(lambda: "runs/new" in page.cards())
    page.press("[data-run='runs/new'] h2 a")
    page.until(lambda: page.address == {"view": "run", "run": "runs/new"} and page.find("#film"))
    shutil.rmtree(folder / "new")
    page.until(lambda: "This run does not exist, or no longer." in page.texts("#run")[0])
    page.browser.back()
    page.until(lambda: page.cards() == ["runs/bad", "runs/good10", f"runs/{LONG}"])
    assert [line for line in page.browser.get_log("browser") if line["level"] == "SEVERE"] == []


def color(page: WatchPage, index: int) -> list[int]:
    """Return the color of a picture of the film."""
    found: list[int] = page.browser.execute_script(
        "const image = document.querySelectorAll('.film-pictures img')[arguments[0]];"
        "const canvas = new OffscreenCanvas(1, 1).getContext('2d');"
        "canvas.drawImage(image, 0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3)",
        index,
    )
    return found


def drawing(page: WatchPage, title: str) -> str:
    """Return the picture of a chart."""
    url: str = page.browser.execute_script(
        "return [...document.querySelectorAll('.chart')].find((one) => one.innerText.startsWith(arguments[0]))"
        ".querySelector('canvas').toDataURL()",
        title,
    )
    return url


def test_runs_are_compared(restored: Any, studio: str, folder: Path) -> None:
    page = WatchPage(restored, studio, "?view=run&run=runs/good10")
    page.resize(*DESKTOP)
    page.until(lambda: page.texts(".chart figcaption") == ["Losses", "Logits", "clips_per_second"])
    page.until(lambda: page.texts(".chart:first-child .u-label") == ["clips", "loss_d", "loss_g"])
    assert "All settings" in page.texts("#run")[0]
    page.until(lambda: "interrupted" in page.texts("#log")[0])

    page.press("#film-play")  # from the first snapshot to the last
    page.until(lambda: color(page, 0) == [0, 0, 255])
    page.until(lambda: color(page, 0) == [255, 255, 255] and page.find("#film-play[aria-label=Play]"))

    page.select("compare-run", "runs/bad")
    page.until(lambda: page.browser.current_url.endswith("?view=run&run=runs/good10&with=runs/bad"))
    page.until(lambda: page.texts(".chart:first-child .u-label") == ["clips", "runs/good10", "runs/bad"])
    assert page.texts(".chart figcaption")[:2] == ["loss_d", "loss_g"]
    page.until(lambda: page.texts("#settings tbody tr") == ["training.lr 0.002 0.1"])
    page.set("film-time", 2)  # 300 clips
    page.until(lambda: (color(page, 0), color(page, 1)) == ([0, 0, 255], [0, 255, 0]))
    page.until(lambda: page.texts(".film-pictures .clips") == ["200 clips", "300 clips"])
    page.set("film-time", 0)  # 100 clips: the first run has no snapshot yet
    page.until(lambda: color(page, 0) == [255, 0, 0] and "None yet" in page.texts("#film")[0])

    before = drawing(page, "loss_g")
    page.click("curves-log")
    page.until(lambda: drawing(page, "loss_g") != before)
    before = drawing(page, "loss_g")
    page.set("smoothing", 0.9)
    page.until(lambda: len(page.find(".chart:first-child .u-series")) == 5)  # with the raw values
    assert drawing(page, "loss_g") == drawing(page, "loss_g")
    page.set("smoothing", 0)
    page.select("curves-range", "Last half")
    page.until(lambda: drawing(page, "loss_g") != before)

    from selenium.webdriver.common.action_chains import ActionChains

    over = page.find(".chart:nth-child(2) .u-over")[0]
    page.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", over)
    ActionChains(page.browser).move_to_element(over).perform()
    values = page.until(lambda: [text for text in page.texts(".chart .u-series .u-value") if text not in ("–", "--")])
    assert "1,000" in values and "1.3" in values  # in this chart, and the other ones, too
    ActionChains(page.browser).move_to_element_with_offset(over, -50, 0).click_and_hold().move_by_offset(
        60, 0
    ).release().perform()
    page.until(lambda: page.selected("curves-range") == "Zoomed")
    ActionChains(page.browser).double_click(over).perform()
    page.until(lambda: page.selected("curves-range") == "All clips")

    page.browser.execute_script("performance.clearResourceTimings()")
    with open(folder / "good10" / "log.jsonl", "a") as log:
        log.write('{"clips_seen": 1234, "time": 9999, "loss_g": 4321.0}\n')
    page.until(lambda: "4,321" in page.texts("#numbers")[0])
    page.until(lambda: "loss_g 4,321" in page.texts("#log")[0])
    requests = page.browser.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
    (request,) = [name for name in requests if "/log?" in name]
    assert "after=0" not in request and "runs/good10" in request

    for width, height in (DESKTOP, PHONE):
        for scheme in ("light", "dark"):
            page.resize(width, height, prefers_color_scheme=scheme)
            assert page.overflow() == [] and violations(page) == []
    page.browser.refresh()
    page.until(lambda: len(page.find(".run-head")) == 2)
    page.press("[data-run='runs/bad'] [aria-label^=Remove]")
    page.until(lambda: page.address == {"view": "run", "run": "runs/good10"})
    assert not page.find("[data-action=resume]")[0].is_enabled() and "--token" in page.texts("#control-hint")[0]
    page.press("[data-action=explore]")
    page.until(lambda: page.find("#screen") and page.phase() == "current")
    page.until(lambda: page.address.get("model") == "runs/good10")
    page.click("tab-training")
    page.until(lambda: "Interrupted" in page.texts("#training")[0])
    assert page.get("snapshot-image").get_property("naturalWidth") == 160 and violations(page) == []
    page.browser.back()
    page.until(lambda: page.find("#run") and not page.find("#screen"))


@pytest.mark.long
def test_a_real_training_is_watched_stopped_and_resumed(
    browser: Any, faces: Path, tiny: RunConfig, tmp_path: Path, finished_run: Path
) -> None:
    shutil.copytree(finished_run, tmp_path / "runs" / "other")
    run = tmp_path / "runs" / "mine"
    save_settings(tiny, tmp_path / "settings.yaml")
    words = ["train", faces, "--out", run, "--config", tmp_path / "settings.yaml", "--total-clips", 10**6]
    command = [sys.executable, "-m", "styleganv.cli", *map(str, words)]
    with serving_here([tmp_path / "runs"], token="secret") as url:
        page = WatchPage(browser, url, "?token=secret")
        page.until(lambda: page.cards() == ["runs/other"])
        with warm.Popen(command, stdout=warm.DEVNULL, stderr=warm.DEVNULL) as training:
            try:
                page.until(lambda: page.cards() == ["runs/mine", "runs/other"], 120)
                page.press("[data-run='runs/mine'] h2 a")
                page.until(lambda: "Running" in page.texts("#run")[0] and page.find(".chart"), 120)
                clips = page.texts(".status")[0]
                page.until(lambda: page.texts(".status")[0] != clips)
                page.press("[data-action=stop]")
                page.until(lambda: page.find("#confirmation[open]"))
                assert violations(page) == []
                page.find("#confirmation .row button:last-child")[0].click()  # cancel
                page.until(lambda: not page.find("#confirmation[open]"))
                assert training.poll() is None
                for action, state in (("stop", "Interrupted"), ("resume", "Running"), ("stop", "Interrupted")):
                    time.sleep(0 if action == "resume" else 2)
                    page.press(f"[data-action={action}]")
                    page.press("#confirm")
                    page.until(lambda state=state: state in page.texts("#run")[0], 120)
                    page.until(lambda: not page.find("#confirmation[open]"))
                    if state == "Running":  # It goes on where it ended.
                        line = page.texts(".status")[0]
                        page.until(lambda line=line: page.texts(".status")[0] != line, 120)
                assert training.wait(60) == 0
                assert "Output of the resumed training" in page.texts("#run")[0]
                page.press("[data-action=explore]")
                page.until(lambda: page.find("#screen") and page.phase() == "current", 60)
            finally:
                training.kill()
