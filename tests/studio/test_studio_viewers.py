"""Many viewers of one model, over real WebSockets: fair shares, constant memory, slow clients, new weights."""

import asyncio
import gc
import io
import json
import os
import shutil
import socket
import struct
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from PIL import Image
from serving import serving_here

from styleganv.studio import frame_stream, server, sources
from styleganv.studio.frame_socket import FrameSocket
from styleganv.studio.frame_stream import FrameStream
from styleganv.studio.studio_model import StudioModel
from styleganv.timeline.notation import Term, VideoParams

pytest.importorskip("websockets")
from websockets.asyncio.client import ClientConnection, connect

NUM_VIEWERS, FRAMES_PER_VIEWER = 20, 16


@pytest.fixture(scope="module")
def model(models: list[Path]) -> StudioModel:
    return StudioModel(models[0])


@pytest.fixture(scope="module")
def here(model: StudioModel) -> Iterator[str]:
    """The URL of a studio in this process."""
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(server, "open_sources", lambda *_, **__: [model])
            url = stack.enter_context(serving_here([]))
        yield url


def open_socket(url: str, **options: Any) -> Any:
    return connect(url.replace("http", "ws") + "frames", origin=url.rstrip("/"), compression=None, **options)


def header_of(message: bytes) -> dict[str, Any]:
    (length,) = struct.unpack("<I", message[:4])
    header: dict[str, Any] = json.loads(message[4 : 4 + length])
    return header


def request(name: str, number: int = 1, **values: Any) -> str:
    known = {"id": number, "source": name, "params": {"content": number}, "start": 0, "fps": 25, "num_frames": 4}
    return json.dumps(known | values)


class Audience:
    """Viewers of one model, who play until they have received so many frames together."""

    def __init__(self, name: str, num_frames: int) -> None:
        self.name, self.num_frames = name, num_frames
        self.is_over = asyncio.Event()

    def receive(self, message: Any, seed: int) -> int:
        header = header_of(message)
        assert header["id"] == seed and header["source"] == self.name and "error" not in header, header
        self.num_frames -= len(header["sizes"])
        if self.num_frames <= 0:
            self.is_over.set()
        return len(header["sizes"])

    async def play(self, client: ClientConnection, seed: int, num_frames: int = 4) -> int:
        """Request frames one after the other, like a page; return how many arrived."""
        count = 0
        while not self.is_over.is_set():
            await client.send(request(self.name, seed, start=count / 25, num_frames=num_frames))
            count += self.receive(await client.recv(), seed)
        return count

    async def drag_slider(self, client: ClientConnection, seed: int) -> int:
        """Send a new request every few milliseconds, without waiting; return the number of frames that arrived."""
        count = 0

        async def receive() -> None:
            nonlocal count
            async for message in client:
                count += self.receive(message, seed)

        receiving = asyncio.create_task(receive())
        while not self.is_over.is_set():
            await client.send(request(self.name, seed, params={"content": seed, "psi": time.monotonic() % 1}))
            await asyncio.sleep(0.005)
        receiving.cancel()
        return count


def test_viewers_get_fair_shares(here: str, model: StudioModel) -> None:
    """Also next to one that requests more at a time, one that drags a slider, and one that never reads."""

    async def watch() -> tuple[list[int], int, int]:
        *clients, greedy, slider, silent = [await open_socket(here) for _ in range(NUM_VIEWERS + 3)]
        audience = Audience(model.name, NUM_VIEWERS * FRAMES_PER_VIEWER)
        for i in range(50):
            await silent.send(request(model.name, i, num_frames=32))
        counts = await asyncio.gather(
            *(audience.play(client, i) for i, client in enumerate(clients)),
            audience.play(greedy, 98, num_frames=32),
            audience.drag_slider(slider, 99),
        )
        await asyncio.gather(*(client.close() for client in (*clients, greedy, slider, silent)))
        return counts[:NUM_VIEWERS], counts[-2], counts[-1]

    counts, greedy, slider = asyncio.run(watch())
    assert max(counts) <= 1.5 * min(counts), sorted(counts)
    assert greedy <= 1.5 * min(counts), (greedy, counts)
    assert slider >= min(counts) / 8, (slider, counts)  # One frame of each of its turns is enough for a slider.


@pytest.mark.long
def test_nothing_remains_of_200_viewers(here: str, model: StudioModel) -> None:
    def count() -> int:
        gc.collect()
        return sum(type(each) in (FrameStream, FrameSocket) for each in gc.get_objects())

    async def visit(number: int) -> None:
        client = await open_socket(here)
        await client.send(request(model.name, number, num_frames=1))
        if number % 4:
            assert header_of(await client.recv())["id"] == number
        if number % 3:
            await client.close()
        else:  # without a farewell
            client.transport.abort()

    async def visit_all() -> None:
        for first in range(0, 200, 10):
            await asyncio.gather(*(visit(first + i) for i in range(10)))

    before = count()
    asyncio.run(visit_all())
    deadline = time.monotonic() + 20
    while len(model.streams) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert count() <= before
    assert not any(model.queue._waiting) and not len(model.generator._folded)


def test_slow_client_loses_frames_but_no_time(here: str, model: StudioModel) -> None:
    async def stall() -> list[int]:
        stalled = socket.socket()
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        host, port = here.removeprefix("http://").rstrip("/").split(":")
        stalled.connect((host, int(port)))
        stalled.setblocking(False)
        client = await open_socket(here, sock=stalled, max_queue=1)
        for i in range(400):
            await client.send(request(model.name, i, params={"grid": [2, 3]}, num_frames=1))
            await asyncio.sleep(0.005)
        ids = []
        while not ids or ids[-1] != 399:
            ids.append(header_of(await asyncio.wait_for(client.recv(), 20))["id"])
        await client.close()
        return ids

    ids = asyncio.run(stall())
    assert ids == sorted(ids) and len(ids) < 200


def test_frames_are_reduced_to_the_requested_size(here: str, model: StudioModel) -> None:
    async def get(**values: Any) -> tuple[dict[str, Any], bytes]:
        async with open_socket(here) as client:
            await client.send(request(model.name, num_frames=1, **values))
            message = await client.recv()
            assert isinstance(message, bytes)
            return header_of(message), message

    for values, kind, size in (
        ({}, "WEBP", (32, 32)),
        ({"size": 16}, "WEBP", (16, 16)),
        ({"params": {"grid": [4, 6]}}, "JPEG", (202, 134)),
        ({"params": {"grid": [4, 6]}, "size": 96}, "WEBP", (96, 64)),
    ):
        header, message = asyncio.run(get(**values))
        assert header["type"] == f"image/{kind.lower()}" and header["version"] == model.version
        with Image.open(io.BytesIO(message[-header["sizes"][0] :])) as image:
            assert image.format == kind and image.size == size
    assert "expected a number from 8" in asyncio.run(get(size=1))[0]["error"]


# Runs in training


@pytest.fixture
def run(tmp_path: Path, faces: Path, request: pytest.FixtureRequest) -> Path:
    """A run before its first save, as `styleganv train` leaves it."""
    from styleganv.config import save_settings

    config = request.getfixturevalue("tiny")  # In this file, `tiny` is the module.
    (tmp_path / "run").mkdir()
    save_settings(config, tmp_path / "run" / "settings.yaml")
    (tmp_path / "run" / "data.txt").write_text(f"{faces}\nhash\n")
    return tmp_path / "run"


def save_weights(run: Path, models: list[Path], which: int) -> None:
    """Replace the model of a run, as a save does, by one that differs."""
    new = run.parent / "new"
    shutil.copytree(models[which], new)
    shutil.rmtree(run / "model", ignore_errors=True)
    os.utime(new / "model.safetensors", ns=(0, 10**18 + time.monotonic_ns()))
    new.rename(run / "model")


def test_run_appears_with_its_first_save(run: Path, models: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "REFRESH_SECONDS", 0.05)

    async def follow(url: str) -> None:
        def metadata() -> list[dict[str, Any]]:
            with urllib.request.urlopen(url + "api/sources") as response:
                values: list[dict[str, Any]] = json.load(response)
                return values

        async with open_socket(url) as client, connect(url.replace("http", "ws") + "live", origin=url[:-1]) as live:
            model, real = metadata()
            assert model["name"] == "run" and model["kind"] == "run" and not model["ready"]
            assert model["title"] == "StyleGAN-V" and (model["width"], model["fps"]) == (16, 25)
            assert real["kind"] == "real" and real["ready"]
            await client.send(request("run"))
            header = header_of(await client.recv())
            assert header["error"] == "run has saved no model yet: wait for its first save."
            save_weights(run, models, 0)
            assert json.loads(await asyncio.wait_for(live.recv(), 20)) == {"type": "sources"}
            after = metadata()[0]
            assert after["ready"] and after["version"] != model["version"] and after["width"] == 32
            await client.send(request("run"))
            assert header_of(await client.recv())["version"] == after["version"]

    with serving_here([run]) as url:
        asyncio.run(follow(url))


def test_failed_load_keeps_the_weights_and_streams_drop_old_layers(
    run: Path, models: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    save_weights(run, models, 0)
    model = StudioModel(run)
    stream, idle = FrameStream(model), FrameStream(model)
    (expected,) = stream.read(VideoParams(), start=1, fps=25, num_frames=1)
    idle.read(VideoParams((Term(5),)), start=1, fps=25, num_frames=1)
    old = model.generator
    (run / "model" / "model.safetensors").write_bytes(b"damaged")
    for _ in range(3):
        model.refresh()
    assert model.generator is old
    np.testing.assert_array_equal(stream.read(VideoParams(), start=1, fps=25, num_frames=1)[0], expected)
    save_weights(run, models, 1)
    for _ in range(4):  # The waiting time after failures is counted in calls.
        model.refresh()
    assert model.generator is not old and len(old._folded) == 2
    sources.drop_stale_streams(model)
    (after,) = stream.read(VideoParams(), start=1 + 1 / 25, fps=25, num_frames=1)
    assert after.shape == (16, 32, 3)
    model.queue.close()
    assert not len(old._folded)
    monkeypatch.setattr(frame_stream, "MAX_IDLE_SECONDS", 0.0)
    assert len(model.generator._folded) == 1
    stream.drop()
    assert not len(model.generator._folded)


def test_equal_names_get_numbers(models: list[Path], tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to(models[0])
    paths = [models[0], tiny.save(tmp_path / "other" / "one"), models[1], models[0]]
    for _ in range(2):
        assert [each.name for each in sources.open_sources(paths)] == ["one", "one (2)", "wide", "one (3)"]
