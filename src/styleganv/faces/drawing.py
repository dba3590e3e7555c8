"""Drawing of antialiased faces, as layers of signed distances from back to front.

Shapes: T frames, H height, W width; images are uint8 `[T, H, W, 3]` in 0..255. Inside, lengths are in shorter
frame sides, measured from the head's center in its own upright coordinates.
"""

import colorsys
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from styleganv.faces.factors import BROW_SLOPES, BROWS, EYES, FPS, HEADS, IRISES, LIDS, MOUTHS, Face, Pose, motion

Plane = NDArray[np.float32]  # [T, H, W], broadcastable
RGB = tuple[float, float, float]

EYE_X, EYE_Y = 0.142, -0.055
MOUTH_Y = 0.185
WHITE: RGB = (250, 250, 250)
MOUTH: RGB = (112, 14, 34)
TONGUE: RGB = (232, 96, 108)
DARK: RGB = (38, 28, 36)
FRAME: RGB = (30, 32, 46)
#: Number of frames drawn at once, which fit the cache.
CHUNK = 8


def draw_video(
    face: Face, motion_seed: int, num_frames: int, height: int, width: int, *, fps: float = FPS, start: float = 0.0
) -> NDArray[np.uint8]:
    """Draw a video `[T, H, W, 3]`.

    Args:
        motion_seed: motion seed, independent of the face.
        fps: sampling rate of the motion, in frames per second.
        start: time of the first frame, in frames at 25 fps.
    """
    times = start + np.arange(num_frames) * (FPS / fps)
    return draw_pose(face, motion(motion_seed, times), height, width)


def draw_pose(face: Face, pose: Pose, height: int, width: int) -> NDArray[np.uint8]:
    """Draw a face in each of T poses, `[T, H, W, 3]`."""
    count = len(pose.x)
    frames = np.empty((count, height, width, 3), np.uint8)
    for first in range(0, count, CHUNK):
        part = slice(first, first + CHUNK)
        some = Pose(**{name: values[part] for name, values in vars(pose).items()})
        frames[part] = _Drawing(face, some, height, width).draw()
    return frames


def head_color(face: Face) -> RGB:
    return _hsv(face.hue, face.saturation, face.value)


def background_color(face: Face) -> RGB:
    return pale_color(face.background_hue)


def pale_color(hue: float) -> RGB:
    return _hsv(hue, 0.24, 0.96)


def top_color(face: Face) -> RGB:
    return _hsv(face.top_hue, 0.6, 0.55)


def _hsv(hue: float, saturation: float, value: float) -> RGB:
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return 255 * red, 255 * green, 255 * blue


@dataclass
class _Drawing:
    """Drawing of some frames; each method adds a layer to `canvas [3, T, H, W]`."""

    face: Face
    pose: Pose
    height: int
    width: int

    def draw(self) -> NDArray[np.uint8]:
        side = min(self.height, self.width)
        self.pixel = np.float32(1 / side)
        x, y = (values[:, None, None].astype(np.float32) for values in (self.pose.x, self.pose.y))
        across = (np.arange(self.width, dtype=np.float32) + 0.5 - self.width / 2) * self.pixel - (x - 0.5)
        down = (np.arange(self.height, dtype=np.float32)[:, None] + 0.5 - self.height / 2) * self.pixel - (y - 0.5)
        cos, sin = (f(self.pose.roll)[:, None, None].astype(np.float32) for f in (np.cos, np.sin))
        self.u, self.v = cos * across + sin * down, cos * down - sin * across
        # Coordinates that follow the turning head, for its features.
        self.fu, self.fv = self.u - self._of("turn"), self.v - self._of("nod")
        self.canvas = np.empty((3, *self.u.shape), np.float32)
        self.canvas[:] = np.array(background_color(self.face), np.float32)[:, None, None, None]
        self._behind()
        self._head()
        self._cheeks()
        self._eyes()
        self._nose_and_mouth()
        self._in_front()
        self._brows()
        self._glasses()
        return (np.moveaxis(self.canvas, 0, -1) + np.float32(0.5)).clip(0, 255).astype(np.uint8)

    def _of(self, channel: str) -> Plane:
        return getattr(self.pose, channel)[:, None, None].astype(np.float32)

    def _cover(self, distance: Plane) -> Plane:
        """Return the fraction of each pixel inside a signed distance (negative inside)."""
        return np.clip(np.float32(0.5) - distance / self.pixel, 0, 1)

    def _paint(self, color: RGB | Iterator[Plane], cover: Plane) -> None:
        for channel, value in zip(self.canvas, color, strict=True):
            channel += cover * (np.asarray(value, np.float32) - channel)

    def _outline(self, u: Plane, v: Plane, grow: float = 0.0) -> Plane:
        """Return the signed distance to the head's outline, enlarged by `grow` on all sides."""
        a, b, power = HEADS[self.face.head]
        a, b = a + grow, b + grow
        squares = np.square(u / np.float32(a)), np.square(v / np.float32(b))
        if power == 4:
            return (np.sqrt(np.sqrt(np.square(squares[0]) + np.square(squares[1]))) - 1) * np.float32(min(a, b))
        return (np.sqrt(squares[0] + squares[1]) - 1) * np.float32(min(a, b))

    def _behind(self) -> None:
        """Paint ears, and the parts of a hat behind the head."""
        color, top = top_color(self.face), self.face.top
        a, b, _ = HEADS[self.face.head]
        side = np.abs(self.u)
        if top == "bear ears":
            distance = np.hypot(side - np.float32(0.72 * a), self.v + np.float32(0.78 * b))
            self._paint(color, self._cover(distance - np.float32(0.105)))
            self._paint(_scale(color, 1.45), self._cover(distance - np.float32(0.055)))
        elif top == "cat ears":
            tip, inner, outer = (0.74 * a, -b - 0.1), (0.16 * a, -0.9 * b), (0.96 * a, -0.3 * b)
            distance = _triangle(side, self.v, tip, outer, inner)
            self._paint(color, self._cover(distance))
            self._paint(_scale(color, 1.45), self._cover(distance + np.float32(0.032)))
        elif top == "beanie":
            pompom = np.hypot(self.u, self.v + np.float32(b + 0.05))
            self._paint(_scale(color, 1.6), self._cover(pompom - np.float32(0.062)))

    def _head(self) -> None:
        cover = self._cover(self._outline(self.u, self.v))
        light = np.float32(1.06) - np.float32(0.9) * (np.square(self.u + np.float32(0.1)) + np.square(self.v + 0.12))
        light = np.clip(light, 0.75, 1.05)
        self._paint((np.float32(c) * light for c in head_color(self.face)), cover)

    def _cheeks(self) -> None:
        if self.face.cheeks == "blush":
            distance = np.hypot(np.abs(self.fu) - np.float32(0.205), self.fv - np.float32(0.09)) - np.float32(0.05)
            self._paint((246, 116, 128), self._cover(distance) * np.float32(0.6))

    def _eyes(self) -> None:
        a, b = (np.float32(r) for r in EYES[self.face.eyes])
        side, down = np.abs(self.fu) - np.float32(EYE_X), self.fv - np.float32(EYE_Y)
        edge = (np.hypot(side / a, down / b) - 1) * min(a, b)
        ball = self._cover(edge)
        self._paint(_scale(head_color(self.face), 0.72), ball)
        at_rest = np.float32(LIDS[self.face.lids])
        covered = at_rest + (1 - at_rest) * self._of("blink")
        lid = b * (2 * covered - 1)  # its edge, from the eye's center
        white = ball * self._cover(lid - down)
        self._paint(WHITE, white)
        lashes = np.maximum(np.abs(edge) - np.float32(0.013), np.float32(0.25) * b - down)
        self._paint(DARK, self._cover(lashes) * self._of("blink"))
        # Both eyes look in the same direction, so the mirrored coordinate is mirrored back.
        gaze_u = np.where(self.fu < 0, -self._of("gaze_x"), self._of("gaze_x")) * (np.float32(0.4) * a)
        gaze_v = self._of("gaze_y") * (np.float32(0.35) * b)
        radius = min(a, b)
        look = np.hypot(side - gaze_u, down - gaze_v)
        self._paint(IRISES[self.face.iris], white * self._cover(look - radius * np.float32(0.55)))
        self._paint(DARK, white * self._cover(look - radius * np.float32(0.3)))

    def _nose_and_mouth(self) -> None:
        if self.face.nose == "button":
            distance = np.hypot(self.fu, (self.fv - np.float32(0.065)) * np.float32(1.2)) - np.float32(0.032)
            self._paint(_scale(head_color(self.face), 0.78), self._cover(distance))
        opened = self._of("talk")
        half = np.float32(MOUTHS[self.face.mouth]) * (1 - np.float32(0.25) * opened)
        across = np.square(self.fu / half)
        bend = self._of("smile") * np.float32(0.055) * (1 - across)
        down = self.fv - np.float32(MOUTH_Y) - bend
        tall = np.float32(0.017) + np.float32(0.075) * opened
        mouth = self._cover((np.sqrt(across + np.square(down / tall)) - 1) * tall)
        self._paint(MOUTH, mouth)
        tongue = np.hypot(self.fu / half * np.float32(1.5), (down - tall * np.float32(0.9)) / tall)
        self._paint(TONGUE, mouth * self._cover((tongue - np.float32(0.75)) * tall) * (opened > 0.15))

    def _in_front(self) -> None:
        """Paint hair or a hat."""
        color, (_, b, _) = top_color(self.face), HEADS[self.face.head]
        if self.face.top == "hair":
            cap = self._outline(self.u, self.v, 0.018)
            hairline = self.v + np.float32(0.62 * b) - np.float32(0.9) * np.square(self.u)
            self._paint(color, self._cover(np.maximum(cap, hairline)))
        elif self.face.top == "beanie":
            cap = self._outline(self.u, self.v, 0.03)
            edge = self.v + np.float32(0.56 * b)
            self._paint(color, self._cover(np.maximum(cap, edge)))
            band = np.maximum(self._outline(self.u, self.v, 0.04), np.abs(edge) - np.float32(0.045))
            self._paint(_scale(color, 1.6), self._cover(band))

    def _brows(self) -> None:
        thickness = BROWS[self.face.brows]
        if not thickness:
            return
        angle = math.radians(BROW_SLOPES[self.face.brow_slope])
        side = np.abs(self.fu) - np.float32(EYE_X)
        top = EYES[self.face.eyes][1] + 0.042
        down = self.fv - np.float32(EYE_Y - top) + self._of("brow")
        # Mirrored coordinates: the inner end is the one with the smaller |u|.
        along = side * np.float32(math.cos(angle)) - down * np.float32(math.sin(angle))
        off = side * np.float32(math.sin(angle)) + down * np.float32(math.cos(angle))
        outside = np.maximum(np.abs(along) - np.float32(0.065), 0)
        self._paint(DARK, self._cover(np.hypot(outside, off) - np.float32(thickness)))

    def _glasses(self) -> None:
        if self.face.glasses == "none":
            return
        a, b = EYES[self.face.eyes]
        radius = np.float32(min(max(a, b) + 0.022, EYE_X - 0.012))
        side, down = np.abs(self.fu) - np.float32(EYE_X), self.fv - np.float32(EYE_Y)
        if self.face.glasses == "round":
            distance = np.hypot(side, down) - radius
        else:
            distance = np.maximum(np.abs(side), np.abs(down)) - radius
        ring = np.abs(distance) - np.float32(0.0095)
        bridge = np.maximum(np.abs(down) - np.float32(0.0095), np.abs(self.fu) - (np.float32(EYE_X) - radius))
        temple = np.maximum(np.abs(down) - np.float32(0.0095), radius - side)
        temple = np.maximum(temple, self._outline(self.u, self.v))
        self._paint(FRAME, self._cover(np.minimum(np.minimum(ring, bridge), temple)))


def _scale(color: RGB, factor: float) -> RGB:
    red, green, blue = color
    return min(255.0, red * factor), min(255.0, green * factor), min(255.0, blue * factor)


def _triangle(u: Plane, v: Plane, *corners: tuple[float, float]) -> Plane:
    """Return the signed distance to a triangle with clockwise corners; negative inside."""
    distances = []
    for (u0, v0), (u1, v1) in zip(corners, [*corners[1:], corners[0]], strict=True):
        length = math.hypot(u1 - u0, v1 - v0)
        normal = np.float32((v1 - v0) / length), np.float32((u0 - u1) / length)
        distances.append((u - np.float32(u0)) * normal[0] + (v - np.float32(v0)) * normal[1])
    return np.maximum(np.maximum(distances[0], distances[1]), distances[2])
