"""Frames over a WebSocket: the latest request of a client is served, and cancels the one before it."""

import asyncio
import json
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastapi import WebSocket

from styleganv.data.frames import encode_frame
from styleganv.errors import StyleganvError
from styleganv.studio.frame_stream import FrameStream
from styleganv.studio.video_params import VideoParams
from styleganv.studio.video_source import VideoSource, find_source

JPEG_QUALITY = 95
MAX_FRAMES_PER_REQUEST = 32


async def serve_frames(
    socket: WebSocket, sources: Sequence[VideoSource], executors: Sequence[ThreadPoolExecutor]
) -> None:
    """Serve one client, one request at a time, until it disconnects or sends no JSON object."""
    streams: dict[int, FrameStream] = {}
    latest: Any = None
    has_request = asyncio.Event()

    async def receive() -> None:
        nonlocal latest
        while True:
            latest = json.loads(await socket.receive_text())
            has_request.set()

    async def respond() -> None:
        loop = asyncio.get_running_loop()
        while True:
            await has_request.wait()
            has_request.clear()
            request = latest
            if not isinstance(request, dict):
                return
            try:
                number = int(request["model"])
                stream = streams.setdefault(number, FrameStream(find_source(sources, number)))
                response = await loop.run_in_executor(
                    executors[number], respond_to, stream, request, has_request.is_set
                )
            except (StyleganvError, KeyError, TypeError, ValueError) as error:
                response = pack({"id": request.get("id"), "error": str(error)}, [])
            await socket.send_bytes(response)

    tasks = [asyncio.create_task(receive()), asyncio.create_task(respond())]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()


def respond_to(stream: FrameStream, request: dict[str, Any], is_canceled: Callable[[], bool]) -> bytes:
    """Return the requested frames as JPEG; at least one, and no more once the request is canceled."""
    params = VideoParams.from_json(request["params"])
    start, fps = float(request["start"]), float(request["fps"])
    num_frames = min(max(1, int(request["num_frames"])), MAX_FRAMES_PER_REQUEST)
    frames = stream.read(params, start=start, fps=fps, num_frames=num_frames, is_canceled=is_canceled)
    images = [encode_frame(frame, JPEG_QUALITY) for frame in frames]
    return pack({"id": request["id"], "start": start, "fps": fps}, images)


def pack(header: dict[str, Any], images: Sequence[bytes]) -> bytes:
    """Return a message: the header's length (4 bytes, little-endian), the header with the images' sizes, the images."""
    text = json.dumps(header | {"sizes": [len(image) for image in images]}).encode()
    return b"".join([struct.pack("<I", len(text)), text, *images])
