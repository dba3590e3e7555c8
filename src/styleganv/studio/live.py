"""What the server tells pages unasked, as JSON over a WebSocket: that sources have changed, and values from OSC.

A page that is slow to read gets the latest message of each key, so nothing queues up for it.
"""

import asyncio
from contextlib import suppress
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect

from styleganv.studio.osc import OscMessage

#: Keys with a message that a client has not read; messages with more keys are dropped.
MAX_PENDING = 256


class _Client:
    def __init__(self) -> None:
        self.pending: dict[str, dict[str, Any]] = {}
        self.has_message = asyncio.Event()

    def add(self, key: str, message: dict[str, Any]) -> None:
        if key in self.pending or len(self.pending) < MAX_PENDING:
            self.pending[key] = message
            self.has_message.set()


class LiveMessages:
    """The connected pages. All methods run in the event loop."""

    def __init__(self) -> None:
        self._clients: set[_Client] = set()

    def tell_sources_changed(self) -> None:
        """Tell all pages to get the list of sources again."""
        self._send("sources", {"type": "sources"})

    def tell_osc(self, message: OscMessage) -> None:
        """Send all pages a value from OSC."""
        self._send(message.address, {"type": "osc", "address": message.address, "args": list(message.args)})

    def _send(self, key: str, message: dict[str, Any]) -> None:
        for client in self._clients:
            client.add(key, message)

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
        messages, client.pending = client.pending, {}
        for message in messages.values():
            await socket.send_json(message)
