"""What the server tells pages unasked, as JSON over a WebSocket: that sources have changed, and values from OSC.

A page that is slow to read misses messages that later ones of the same address replace.
"""

import asyncio
from contextlib import suppress
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect

from styleganv.studio.osc import OscMessage

#: Messages that a client has not read.
MAX_PENDING = 256
SOURCES_CHANGED = {"type": "sources"}


class _Client:
    def __init__(self) -> None:
        self.pending: list[dict[str, Any]] = []
        self.has_message = asyncio.Event()

    def add(self, message: dict[str, Any]) -> None:
        if message is SOURCES_CHANGED and message in self.pending:
            return
        self.pending.append(message)
        if len(self.pending) > MAX_PENDING:
            last = {one.get("address"): i for i, one in enumerate(self.pending)}
            self.pending.pop(next((i for i, one in enumerate(self.pending) if last[one.get("address")] > i), -1))
        self.has_message.set()


class LiveMessages:
    """The connected pages. All methods run in the event loop."""

    def __init__(self) -> None:
        self._clients: set[_Client] = set()

    def tell_sources_changed(self) -> None:
        """Tell all pages to get the list of sources again."""
        self._send(SOURCES_CHANGED)

    def tell_osc(self, message: OscMessage) -> None:
        """Send all pages a value from OSC."""
        self._send({"type": "osc", "address": message.address, "args": list(message.args)})

    def _send(self, message: dict[str, Any]) -> None:
        for client in self._clients:
            client.add(message)

    async def serve(self, socket: WebSocket) -> None:
        """Send messages to one page until it disconnects; what it sends is ignored."""
        client = _Client()
        self._clients.add(client)
        tasks = [asyncio.create_task(_ignore_messages(socket)), asyncio.create_task(_send_messages(socket, client))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                with suppress(WebSocketDisconnect, RuntimeError):  # The page has gone.
                    task.result()
        finally:
            self._clients.discard(client)
            for task in tasks:
                task.cancel()


async def _ignore_messages(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def _send_messages(socket: WebSocket, client: _Client) -> None:
    while True:
        await client.has_message.wait()
        client.has_message.clear()
        messages, client.pending = client.pending, []
        for message in messages:
            await socket.send_json(message)
