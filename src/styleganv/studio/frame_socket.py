"""Frames over a WebSocket: the latest request of a viewer is served, and cancels the one before it.

A request keeps its place in the model's queue: when its turn comes, the viewer's latest request is read. A viewer that
does not read its frames is sent no more, so it loses frames, and nothing is stored for it.
"""

import asyncio
import json
import logging
import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect

from styleganv.errors import StyleganvError
from styleganv.studio.frame_stream import FrameStream
from styleganv.studio.images import encode_image, reduce_frame
from styleganv.studio.video_params import MAX_START_SECONDS, number, parse_object
from styleganv.studio.video_source import VideoSource, find_source
from styleganv.studio.work_queue import Priority, QueueClosedError, Turn
from styleganv.timeline.notation import VideoParams
from styleganv.timeline.timeline import Timeline

logger = logging.getLogger(__name__)

MAX_FRAMES_PER_REQUEST = 32
#: Frames per second of a video that may be requested: 120 in slow motion, and 1 in fast motion.
MIN_FPS, MAX_FPS = 0.01, 10_000
#: Pixels of the longer side that frames may be reduced to.
MIN_SIZE, MAX_SIZE = 8, 8192
#: What a client learns of an error that is not its own.
FAILURE = "The studio failed: see its log."


@dataclass(frozen=True)
class FrameRequest:
    """A request for frames of a video.

    Attributes:
        video: the moment of an endless video, or a timeline.
        start: time of the first frame, in seconds.
        size: pixels of the longer side that larger frames are reduced to; None leaves them as they are.
    """

    video: VideoParams | Timeline
    start: float
    fps: float
    num_frames: int
    size: int | None

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "FrameRequest":
        """Return the request that a page sent. Raises StyleganvError if a value is missing or out of range."""
        size, timeline = values.get("size"), values.get("timeline")
        video = VideoParams.from_json(values.get("params", {})) if timeline is None else Timeline.from_json(timeline)
        try:
            return cls(
                video=video,
                start=number(values.get("start"), 0, MAX_START_SECONDS),
                fps=number(values.get("fps"), MIN_FPS, MAX_FPS),
                num_frames=min(int(number(values.get("num_frames"), 1, 1e9)), MAX_FRAMES_PER_REQUEST),
                size=None if size is None else int(number(size, MIN_SIZE, MAX_SIZE)),
            )
        except ValueError as error:
            raise StyleganvError(f"Invalid request from the page ({error}): reload it.") from error


class FrameSocket:
    """The connection of one viewer, who plays one source at a time."""

    def __init__(self, socket: WebSocket, sources: Sequence[VideoSource], public_text: Callable[[str], str]) -> None:
        self._socket, self._sources, self._public_text = socket, sources, public_text
        self._latest: dict[str, Any] | None = None  # request
        self._served: dict[str, Any] | None = None  # the request that was read last
        self._has_request = asyncio.Event()
        self._stream: FrameStream | None = None

    async def serve(self) -> None:
        """Serve one request at a time until the client disconnects or sends no JSON object."""
        tasks = [asyncio.create_task(self._receive()), asyncio.create_task(self._respond())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                with suppress(WebSocketDisconnect, RuntimeError):  # The client has gone.
                    task.result()
            with suppress(WebSocketDisconnect, RuntimeError):
                await self._socket.close(1003)
        finally:
            for task in tasks:
                task.cancel()

    async def _receive(self) -> None:
        while (request := parse_request(await self._socket.receive())) is not None:
            self._latest = request
            self._has_request.set()

    async def _respond(self) -> None:
        while True:
            while self._latest is self._served:
                self._has_request.clear()
                await self._has_request.wait()
            if (response := await self._answer()) is not None:
                await self._socket.send_bytes(response)

    async def _answer(self) -> bytes | None:
        """Return the response to the latest request; None if it has changed to another source meanwhile."""
        request = self._served = self._latest or {}
        try:
            source = find_source(self._sources, request.get("source"))
            future = source.queue.submit(Priority.FRAMES, self, partial(self._read, source))
            return await asyncio.wrap_future(future)
        except QueueClosedError:
            raise WebSocketDisconnect from None
        except StyleganvError as error:
            text = self._public_text(str(error))
        except Exception:
            logger.exception("Cannot generate frames:")
            text = FAILURE
        return pack({"id": (self._served or request).get("id"), "error": text}, [])

    def _read(self, source: VideoSource, turn: Turn) -> bytes | None:
        """Return the response to the latest request, in the thread of the source."""
        request = self._served = self._latest or {}
        if find_source(self._sources, request.get("source")) is not source:
            self._served = None
            return None
        if self._stream is None or self._stream.source is not source:
            self._stream = FrameStream(source)

        def is_over(num_frames: int) -> bool:
            return self._latest is not request or turn.is_over(num_frames)

        return respond_to(self._stream, request, is_over)


def parse_request(message: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the JSON object in a message of a WebSocket; None for anything else."""
    return parse_object(message.get("text") or "")


def respond_to(stream: FrameStream, values: Mapping[str, Any], is_over: Callable[[int], bool]) -> bytes:
    """Return the requested frames; at least one, and no more once `is_over` returns true for their number."""
    request = FrameRequest.from_json(values)
    frames = stream.read(
        request.video, start=request.start, fps=request.fps, num_frames=request.num_frames, is_over=is_over
    )
    if request.size is not None:
        frames = [reduce_frame(frame, request.size) for frame in frames]
    images = [encode_image(frame) for frame in frames]
    header = {"id": values.get("id"), "source": stream.source.name, "version": stream.source.version}
    header |= {"start": request.start, "fps": request.fps, "type": images[0][0] if images else None}
    return pack(header, [image for _, image in images])


def pack(header: dict[str, Any], images: Sequence[bytes]) -> bytes:
    """Return a message: the header's length (4 bytes, little-endian), the header with the images' sizes, the images."""
    text = json.dumps(header | {"sizes": [len(image) for image in images]}).encode()
    return b"".join([struct.pack("<I", len(text)), text, *images])
