"""Frames over a WebSocket: the latest request of a client is served, and cancels the one before it."""

import asyncio
import json
import logging
import struct
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect

from styleganv.data.frames import encode_frame
from styleganv.errors import StyleganvError
from styleganv.studio.frame_stream import FrameStream
from styleganv.studio.video_params import MAX_START_SECONDS, number, parse_object
from styleganv.studio.video_source import VideoSource, find_source
from styleganv.timeline.notation import VideoParams

logger = logging.getLogger(__name__)

JPEG_QUALITY = 95
MAX_FRAMES_PER_REQUEST = 32
#: Frames per second of a video that may be requested: 120 in slow motion, and 1 in fast motion.
MIN_FPS, MAX_FPS = 0.01, 10_000
#: What a client learns of an error that is not its own.
FAILURE = "The studio failed: see its log."


async def serve_frames(
    socket: WebSocket,
    sources: Sequence[VideoSource],
    executors: Sequence[ThreadPoolExecutor],
    public_text: Callable[[str], str],
) -> None:
    """Serve one client, one request at a time, until it disconnects or sends no JSON object."""
    streams: dict[int, FrameStream] = {}
    latest: dict[str, Any] = {}
    has_request = asyncio.Event()

    async def receive() -> None:
        nonlocal latest
        while (request := parse_request(await socket.receive())) is not None:
            latest = request
            has_request.set()

    async def respond() -> None:
        loop = asyncio.get_running_loop()
        while True:
            await has_request.wait()
            has_request.clear()
            request = latest
            try:
                source = find_source(sources, request.get("model"))
                number = sources.index(source)
                stream = streams.setdefault(number, FrameStream(source))
                response = await loop.run_in_executor(
                    executors[number], respond_to, stream, request, has_request.is_set
                )
            except StyleganvError as error:
                response = pack({"id": request.get("id"), "error": public_text(str(error))}, [])
            except Exception:
                logger.exception("Cannot generate frames:")
                response = pack({"id": request.get("id"), "error": FAILURE}, [])
            await socket.send_bytes(response)

    tasks = [asyncio.create_task(receive()), asyncio.create_task(respond())]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            with suppress(WebSocketDisconnect, RuntimeError):  # The client has gone.
                task.result()
        with suppress(WebSocketDisconnect, RuntimeError):
            await socket.close(1003)
    finally:
        for task in tasks:
            task.cancel()


def parse_request(message: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the JSON object in a message of a WebSocket; None for anything else."""
    return parse_object(message.get("text") or "")


def respond_to(stream: FrameStream, request: dict[str, Any], is_canceled: Callable[[], bool]) -> bytes:
    """Return the requested frames as JPEG; at least one, and no more once the request is canceled."""
    params = VideoParams.from_json(request.get("params"))
    try:
        start = number(request.get("start"), 0, MAX_START_SECONDS)
        fps = number(request.get("fps"), MIN_FPS, MAX_FPS)
        num_frames = min(int(number(request.get("num_frames"), 1, 1e9)), MAX_FRAMES_PER_REQUEST)
    except ValueError as error:
        raise StyleganvError(f"Invalid request from the page ({error}): reload it.") from error
    frames = stream.read(params, start=start, fps=fps, num_frames=num_frames, is_canceled=is_canceled)
    images = [encode_frame(frame, JPEG_QUALITY) for frame in frames]
    return pack({"id": request.get("id"), "start": start, "fps": fps}, images)


def pack(header: dict[str, Any], images: Sequence[bytes]) -> bytes:
    """Return a message: the header's length (4 bytes, little-endian), the header with the images' sizes, the images."""
    text = json.dumps(header | {"sizes": [len(image) for image in images]}).encode()
    return b"".join([struct.pack("<I", len(text)), text, *images])
