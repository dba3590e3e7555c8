"""Open Sound Control 1.0: values that other programs and devices send over UDP, e.g. `/psi 0.7`.

A packet is a message (address, type tags, arguments) or a bundle of packets. Parts are padded with zeros to multiples
of 4 bytes. The times of bundles are ignored: all messages apply on arrival.
"""

import asyncio
import math
import re
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from styleganv.errors import StyleganvError

#: Printable ASCII without the characters of patterns, and without spaces.
ADDRESS = re.compile(r"(/[^\s#*,/?\[\]{}\x00-\x1f\x7f-\U0010ffff]+)+")
MAX_ADDRESS_LENGTH, MAX_ARGS, MAX_DEPTH = 255, 64, 4
BUNDLE = b"#bundle\0"
CONSTANTS: dict[str, bool | None] = {"T": True, "F": False, "N": None}

Arg = int | float | str | bool | None


@dataclass(frozen=True)
class OscMessage:
    """Arguments for an address, e.g. `/psi`."""

    address: str
    args: tuple[Arg, ...]


def parse_packet(data: bytes, depth: int = 0) -> list[OscMessage]:
    """Return the messages in a packet, with arguments of the types int32, float32, string, true, false and nil.

    Raises:
        ValueError: if the packet is malformed, or an argument has another type or is not finite.
    """
    if not data.startswith(BUNDLE):
        return [_parse_message(data)]
    if depth == MAX_DEPTH:
        raise ValueError(f"bundles are nested more than {MAX_DEPTH} deep")
    messages, rest = [], data[len(BUNDLE) + 8 :]  # after the time
    while rest:
        (size,) = _unpack(">i", rest)
        if not 0 < size <= len(rest) - 4:
            raise ValueError(f"a part of a bundle has {len(rest) - 4} bytes, not {size}")
        messages += parse_packet(rest[4 : 4 + size], depth + 1)
        rest = rest[4 + size :]
    return messages


def _parse_message(data: bytes) -> OscMessage:
    address, rest = _take_string(data)
    if len(address) > MAX_ADDRESS_LENGTH or not ADDRESS.fullmatch(address):
        raise ValueError(f"invalid address {address[:MAX_ADDRESS_LENGTH]!r}")
    tags, rest = _take_string(rest) if rest else (",", b"")  # Old programs omit the tags if there are no arguments.
    if not tags.startswith(",") or len(tags) > MAX_ARGS + 1:
        raise ValueError(f"invalid type tags {tags[:MAX_ARGS]!r}")
    args: list[Arg] = []
    for tag in tags[1:]:
        arg, rest = _take_arg(tag, rest)
        args.append(arg)
    return OscMessage(address, tuple(args))


def _take_arg(tag: str, data: bytes) -> tuple[Arg, bytes]:
    """Return an argument and the bytes after it."""
    if tag in CONSTANTS:
        return CONSTANTS[tag], data
    if tag == "s":
        return _take_string(data)
    if tag not in ("i", "f"):
        raise ValueError(f"unknown type tag {tag!r}")
    (value,) = _unpack(f">{tag}", data)
    if not math.isfinite(value):
        raise ValueError(f"{value} is not finite")
    return value, data[4:]


def _take_string(data: bytes) -> tuple[str, bytes]:
    """Return a string and the bytes after its padding."""
    end = data.find(b"\0")
    if end < 0:
        raise ValueError("a string has no end")
    return data[:end].decode(), data[end + 4 - end % 4 :]


def _unpack(layout: str, data: bytes) -> tuple[Any, ...]:
    try:
        return struct.unpack_from(layout, data)
    except struct.error as error:
        raise ValueError("the packet ends too early") from error


class OscReceiver(asyncio.DatagramProtocol):
    """Passes messages on; malformed packets are dropped."""

    def __init__(self, on_message: Callable[[OscMessage], None]) -> None:
        self._on_message = on_message

    def datagram_received(self, data: bytes, addr: Any) -> None:
        try:
            messages = parse_packet(data)
        except ValueError:
            return
        for message in messages:
            self._on_message(message)


def open_osc_socket(host: str, port: int) -> socket.socket:
    """Return a UDP socket. Raises StyleganvError if the port is not available."""
    receiver = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        receiver.bind((host, port))
    except (OSError, OverflowError, UnicodeError) as error:
        receiver.close()
        raise StyleganvError(
            f"Cannot receive OSC on {host}:{port} ({error}): choose another --osc-port, or omit it."
        ) from error
    receiver.setblocking(False)
    return receiver
