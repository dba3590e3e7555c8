"""Progress: counted steps, bars on a terminal, and lines elsewhere."""

import io

import pytest

from styleganv.progress import Stage, progress_bar, track


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_steps_are_reported_from_0_to_the_total() -> None:
    reports: list[tuple[int, int, str]] = []
    assert list(track("ab", lambda *report: reports.append(report), 2, "reading")) == ["a", "b"]
    stage = Stage(lambda *report: reports.append(report), 2, "writing")
    stage.advance("PSNR 30 dB")
    stage.advance()  # keeps the note
    assert reports == [
        (0, 2, "reading"),
        (1, 2, "reading"),
        (2, 2, "reading"),
        (0, 2, "writing"),
        (1, 2, "writing, PSNR 30 dB"),
        (2, 2, "writing, PSNR 30 dB"),
    ]


def test_without_a_callback_nothing_is_reported(capfd: pytest.CaptureFixture[str]) -> None:
    assert list(track("ab", None, 2, "reading")) == ["a", "b"]
    assert capfd.readouterr() == ("", "")


def test_a_terminal_gets_one_bar_per_stage() -> None:
    file = Terminal()
    with progress_bar(file) as progress:
        for name in ("reading", "writing"):
            list(track(range(3), progress, 3, name))
    reading, writing = file.getvalue().strip().split("\n")
    assert "reading: 100%" in reading and "3/3" in reading and "\r" in reading
    assert "writing: 100%" in writing


def test_other_files_get_lines_of_the_start_the_end_and_at_most_one_per_percent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds = iter(range(10_000))
    monkeypatch.setattr("time.monotonic", lambda: next(seconds))
    file = io.StringIO()
    with progress_bar(file) as progress:
        for name in ("reading", "writing"):
            list(track(range(1000), progress, 1000, name))
    lines = file.getvalue().splitlines()
    assert len(lines) == 2 * 101 and "\r" not in file.getvalue()
    assert [line.split("|")[0] for line in lines[:3]] == ["reading:   0%", "reading:   1%", "reading:   2%"]
    assert lines[100].startswith("reading: 100%") and lines[101].startswith("writing:   0%")


def test_quick_stages_write_two_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 0.0)
    file = io.StringIO()
    with progress_bar(file) as progress:
        list(track(range(50), progress, 50, "reading"))
        list(track([], progress, 0, "nothing"))
    lines = file.getvalue().splitlines()
    assert [line.split(":")[0] for line in lines] == ["reading", "reading", "nothing"] and "100%" in lines[1]


def test_what_was_done_before_says_nothing_about_the_time_that_remains(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: seconds[0])
    file = io.StringIO()
    with progress_bar(file) as progress:
        progress(500, 1000, "training")
        seconds[0] = 100.0
        progress(510, 1000, "training")  # ten steps in 100 s: 490 remain
    assert file.getvalue().splitlines()[1].split("<")[1].startswith("1:21:40")
