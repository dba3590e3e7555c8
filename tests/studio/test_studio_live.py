"""Values from OSC: packets, what is refused, and their way to the page."""

import asyncio
import json
import random
import socket
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from serving import serving_here

pytest.importorskip("websockets")
from websockets.asyncio.client import connect

from styleganv.errors import StyleganvError
from styleganv.studio import live, server
from styleganv.studio.live import LiveMessages
from styleganv.studio.osc import OscMessage, open_osc_socket, parse_packet
from styleganv.studio.studio_options import StudioOptions


def text(value: str) -> bytes:
    """A string of OSC: its end is marked by one to four zeros."""
    data = value.encode()
    return data + bytes(4 - len(data) % 4)


def message(address: str, tags: str, *args: bytes) -> bytes:
    return b"".join([text(address), text(f",{tags}"), *args])


def bundle(*parts: bytes) -> bytes:
    return b"#bundle\0" + bytes(8) + b"".join(struct.pack(">i", len(part)) + part for part in parts)


#: The two examples in the specification of OSC 1.0.
SPECIFIED = {
    "2f6f7363696c6c61746f722f342f6672657175656e6379002c66000043dc0000": ("/oscillator/4/frequency", (440.0,)),
    "2f666f6f000000002c69697366660000000003e8ffffffff68656c6c6f0000003f9df3b640b5b22d": (
        "/foo",
        (1000, -1, "hello", 1.234, 5.678),
    ),
}


@pytest.mark.parametrize("data, expected", SPECIFIED.items())
def test_examples_of_the_specification(data: str, expected: tuple[str, tuple[Any, ...]]) -> None:
    (found,) = parse_packet(bytes.fromhex(data))
    assert found.address == expected[0] and list(map(type, found.args)) == list(map(type, expected[1]))
    for arg, value in zip(found.args, expected[1], strict=True):
        assert arg == (pytest.approx(value) if isinstance(value, float) else value)


def test_bundles_and_all_types() -> None:
    one = message("/a/psi", "TFNis", struct.pack(">i", -7), text("four"))
    two = message("/b", "")
    assert parse_packet(bundle(one, bundle(two), two)) == [
        OscMessage("/a/psi", (True, False, None, -7, "four")),
        OscMessage("/b", ()),
        OscMessage("/b", ()),
    ]
    assert parse_packet(bundle()) == []
    assert parse_packet(text("/old")) == [OscMessage("/old", ())]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"/a",
        text("a"),
        text("/"),
        text("/a b"),
        text("/a*"),
        text("//a"),
        text("/" + "a" * 300),
        b"/\xff\0\0",
        text("/a") + b"x\0\0\0",
        message("/a", "i"),
        message("/a", "i", b"\0\0\0"),
        message("/a", "b", bytes(4)),
        message("/a", "[i]", bytes(4)),
        message("/a", "s", b"abcd"),
        message("/a", "T" * 65),
        message("/a", "f", struct.pack(">f", float("nan"))),
        message("/a", "f", struct.pack(">f", float("inf"))),
        b"#bundle\0" + bytes(8) + struct.pack(">i", -4),
        b"#bundle\0" + bytes(8) + struct.pack(">i", 100) + text("/a"),
        b"#bundle\0" + bytes(8) + b"\0\0",
        bundle(bundle(bundle(bundle(bundle(text("/a")))))),
        bundle(text("/a"), text("a")),
    ],
)
def test_malformed_packets_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        parse_packet(data)


def test_random_bytes_raise_nothing_else() -> None:

    rng, valid = (
        random.Random(0),
        bundle(message("/a/psi", "TFifs", bytes(8), text("four")), message("/b", "i", bytes(4))),
    )
    for _ in range(3000):
        data = bytearray(valid)
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        with suppress(ValueError):
            parse_packet(bytes(data[: rng.randrange(len(data) + 1)]))


def test_values_reach_the_page(models: list[Path]) -> None:
    receiver = open_osc_socket("127.0.0.1", 0)

    async def receive(url: str) -> list[Any]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            async with connect(url.replace("http", "ws") + "live", origin=url.rstrip("/")) as page:
                await page.send("ignored")
                for data in (b"malformed", message("/psi", "f", struct.pack(">f", 0.5)), message("/next", "T")):
                    sender.sendto(data, receiver.getsockname())
                return [json.loads(await asyncio.wait_for(page.recv(), 20)) for _ in range(2)]

    with serving_here(models[:1], osc_socket=receiver) as url:
        assert asyncio.run(receive(url)) == [
            {"type": "osc", "address": "/psi", "args": [0.5]},
            {"type": "osc", "address": "/next", "args": [True]},
        ]


class SlowPage:
    """A page that reads nothing until a burst of messages has been sent."""

    def __init__(self) -> None:
        self.is_open = asyncio.Event()
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, str]:
        await self.is_open.wait()
        return {"type": "websocket.disconnect"}

    async def send_json(self, value: dict[str, Any]) -> None:
        self.sent.append(value)
        await asyncio.sleep(0)


async def receive_burst(burst: list[tuple[str, int]]) -> list[tuple[str, int]]:
    messages, page = LiveMessages(), SlowPage()
    serving = asyncio.create_task(messages.serve(page))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    for address, value in burst:
        messages.tell_osc(OscMessage(address, (value,)))
    await asyncio.sleep(0.01)
    page.is_open.set()
    await serving
    assert not messages._clients
    return [(each["address"], *each["args"]) for each in page.sent]


def test_slow_page_gets_the_latest_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MAX_PENDING", 3)
    burst = [(f"/x{value % 5}", value) for value in range(1000)]
    assert asyncio.run(receive_burst(burst)) == [("/x0", 995), ("/x1", 996), ("/x2", 997)]


def test_press_and_release_of_one_moment_both_arrive() -> None:
    burst = [("/pad", 1), ("/pad", 0), ("/fader", 3), ("/pad", 1)]
    assert asyncio.run(receive_burst(burst)) == burst


def test_taken_osc_port_is_an_error_before_models_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "open_sources", lambda *_, **__: pytest.fail("A model was loaded."))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(StyleganvError, match=f"Cannot receive OSC on 127.0.0.1:{port} .* another --osc-port"):
            server.run_studio(["model"], StudioOptions(port=0, osc_port=port), open_page=False)
