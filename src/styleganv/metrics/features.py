"""Feature extractors: networks from clips to features or class probabilities.

The published networks are TorchScript files that the user provides; the offline ones are part of an installed package.
Every report states the hash of the weights.

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
from styleganv.files import atomic_write, user_cache
from styleganv.metrics.patches import PATCH, PATCHES_PER_CLIP, patch_features
from styleganv.nn.imagenet import efficientnet, normalize_imagenet, offline_weights
from styleganv.video_model import deterministic

#: Customary names of the weight files; the offline extractors have none.
WEIGHT_FILES = {
    "i3d_kinetics400": "i3d_torchscript.pt",
    "c3d_ucf101": "c3d_ucf101.pt",
    "inception_v3": "inception-2015-12-05.pt",
    "inception_v3_classes": "inception-2015-12-05.pt",
}
#: Weight of the changes in `efficientnet_lite0_motion`: both halves then vary about equally over real videos at 25 fps.
CHANGE_WEIGHT = 3.0
#: Height and width of the frames that EfficientNet sees.
EFFICIENTNET_SIZE = (224, 224)


@dataclass(frozen=True)
class FeatureExtractor:
    """A network with its metadata.

    Attributes:
        name: key of `FEATURE_EXTRACTORS`.
        dims: number of features d.
        sha256: hash of the weights file; empty without weights.
        aliased_above: side in pixels above which the network downsamples frames without antialiasing; None = never.
        min_frames: minimum number of frames per clip.
        run: from clips on the device to float32 `[B, d]`; `[B·T, d]` for features of frames, and several rows per clip
            for patches.
    """

    name: str
    dims: int
    sha256: str
    preprocessing: str
    aliased_above: int | None
    min_frames: int
    run: Callable[[Tensor], Tensor]
    device: torch.device
    cached: bool = True

    @torch.inference_mode()
    def __call__(self, clips: Tensor) -> Tensor:
        """Return float32 features on the CPU, without TF32 rounding. Raises StyleganvError if they are not finite."""
        with deterministic():
            features = self.run(clips.to(self.device)).float().cpu()
        if not features.isfinite().all():
            raise StyleganvError(f"{self.name} returns non-finite features: use another --device.")
        return features

    def to_dict(self) -> dict[str, Any]:
        """Return what a report states about the network."""
        return {"name": self.name, "dims": self.dims, "sha256": self.sha256, "preprocessing": self.preprocessing}


def load_feature_extractor(
    name: str,
    *,
    weights: str | Path | None = None,
    sha256: Sequence[str] = (),
    device: torch.device | str = "cpu",
) -> FeatureExtractor:
    """Load a feature extractor: find its weights, verify them, and try them on a small clip.

    Args:
        name: key of `FEATURE_EXTRACTORS`.
        weights: file, folder that holds it, or URL, which is downloaded once. Default: the `weight_folders`.
        sha256: accepted hashes of the file. Default: any.

    Raises:
        StyleganvError: if the file is missing, damaged, or has another hash or interface.
    """
    device = torch.device(device)
    if name not in WEIGHT_FILES:
        return FEATURE_EXTRACTORS[name](offline_weights(), device)
    path = _find(name, weights)
    if sha256 and sha256_of(path) not in {digest.lower() for digest in sha256}:
        raise StyleganvError(
            f"{path} has SHA-256 {sha256_of(path)}, which is not in --sha256: use the right file or pass its hash."
        )
    return FEATURE_EXTRACTORS[name](path, device)


def weight_folders() -> list[Path]:
    """Return the folders that are searched for weights by default."""
    return [user_cache() / "weights", Path(torch.hub.get_dir()) / "checkpoints"]


def _find(name: str, weights: str | Path | None) -> Path:
    file = WEIGHT_FILES[name]
    if weights is not None and "://" in str(weights):
        return _download(str(weights))
    candidates = weight_folders() if weights is None else [Path(weights)]
    for candidate in candidates:
        path = candidate if candidate.is_file() else candidate / file
        if path.is_file():
            return path
    raise StyleganvError(
        f"Weights {file} of {name} not found in {' or '.join(map(str, candidates))}: put the file there, pass its path "
        "to --weights, or choose a protocol with efficientnet in its name, which requires no file."
    )


def _download(url: str) -> Path:
    """Download a file once; its name depends on the URL."""
    name = f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{Path(urlsplit(url).path).name or 'weights'}"
    path = weight_folders()[0] / name
    if not path.is_file():
        try:
            with atomic_write(path, overwrite=True) as tmp_path:
                torch.hub.download_url_to_file(url, str(tmp_path))
        except (OSError, ValueError, RuntimeError) as error:
            raise StyleganvError(
                f"Cannot download {url} ({error}): download the file yourself and pass its path to --weights."
            ) from error
    return path


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _script(path: Path, device: torch.device) -> Any:
    try:
        return torch.jit.load(str(path), map_location=device).eval()
    except (RuntimeError, ValueError) as error:
        raise StyleganvError(f"{path} is not a complete TorchScript file: download it again.") from error


def _try(path: Path, call: str, run: Callable[[Tensor], Tensor], clips: Tensor, expected: tuple[int, int]) -> Tensor:
    """Return `run(clips)`; raise StyleganvError unless it has finite numbers of the expected shape (−1: any width)."""
    try:
        with torch.inference_mode():
            features = run(clips)
    except Exception as error:  # TorchScript raises exceptions of any type
        raise StyleganvError(
            f"{path} cannot be called as {call}, as this protocol requires: pass another file."
        ) from error
    wrong = not isinstance(features, Tensor) or features.ndim != 2 or len(features) != expected[0]
    if wrong or expected[1] not in (-1, features.shape[1]) or not features.isfinite().all():
        actual = list(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise StyleganvError(
            f"{path} called as {call} must return finite numbers of shape {list(expected)}, got {actual}: pass another "
            "file."
        )
    return features


def _test_clip(frames: int, side: int, device: torch.device) -> Tensor:
    ramp = torch.arange(frames * 3 * side * side, device=device) % 256
    return ramp.to(torch.uint8).view(1, frames, 3, side, side)


def _i3d(path: Path, device: torch.device) -> FeatureExtractor:
    """Return I3D, Kinetics-400: 400 features per clip, as in FVD."""
    net = _script(path, device)
    call = "net(x, rescale=True, resize=True, return_features=True)"

    def run(clips: Tensor) -> Tensor:
        x = clips.transpose(1, 2).float().contiguous()
        return net(x, rescale=True, resize=True, return_features=True)

    _try(path, call, run, _test_clip(10, 32, device), (1, 400))
    text = f"{call}, x float [B,3,T,H,W] in 0..255; the network resizes to 224x224, bilinear without antialiasing"
    return FeatureExtractor("i3d_kinetics400", 400, sha256_of(path), text, 224, 10, run, device)


def _c3d(path: Path, device: torch.device) -> FeatureExtractor:
    """Return C3D, UCF-101: class probabilities per clip. Versions of the file differ in their arguments."""
    net = _script(path, device)
    accepted = [argument.name for argument in net.forward.schema.arguments] if hasattr(net, "forward") else []
    options = {name: True for name in ("rescale", "resize") if name in accepted}
    call = f"net({', '.join(['x', *(f'{name}=True' for name in options)])})"

    def scores(clips: Tensor) -> Tensor:
        x = clips if "resize" in options else resize(clips, 112, 112)
        return net(x.transpose(1, 2).float().contiguous(), **options)

    logits = not _are_probabilities(_try(path, call, scores, _test_clip(16, 112, device), (1, 101)))

    def run(clips: Tensor) -> Tensor:
        return scores(clips).softmax(dim=1) if logits else scores(clips)

    resizing = "" if "resize" in options else "; frames resized to 112x112, bilinear, antialiased"
    text = f"{call}, x float [B,3,T,H,W] in 0..255{resizing}; {'softmax of its' if logits else 'its'} 101 outputs"
    return FeatureExtractor(
        "c3d_ucf101", 101, sha256_of(path), text, 112 if "resize" in options else None, 16, run, device
    )


def _inception(path: Path, device: torch.device) -> FeatureExtractor:
    """Return Inception-v3: 2048 features per frame, as in FID."""
    return _inception_v3("inception_v3", "net(x, return_features=True)", {"return_features": True}, 2048, path, device)


def _inception_classes(path: Path, device: torch.device) -> FeatureExtractor:
    """Return Inception-v3: class probabilities per frame, as in the inception score."""
    return _inception_v3("inception_v3_classes", "net(x)", {}, -1, path, device)


def _inception_v3(
    name: str, call: str, options: dict[str, bool], dims: int, path: Path, device: torch.device
) -> FeatureExtractor:
    net = _script(path, device)

    def run(clips: Tensor) -> Tensor:
        return net(clips.flatten(0, 1), **options)

    features = _try(path, call, run, _test_clip(1, 64, device), (1, dims))
    if not options and not _are_probabilities(features):
        raise StyleganvError(f"{path} called as {call} returns no class probabilities: pass the Inception-v3 file.")
    text = f"{call}, x uint8 [N,3,H,W]; the network resizes to 299x299, bilinear without antialiasing"
    return FeatureExtractor(name, features.shape[1], sha256_of(path), text, 299, 1, run, device)


def _are_probabilities(rows: Tensor) -> bool:
    return bool((rows >= 0).all()) and torch.allclose(rows.sum(dim=1), rows.new_ones(()), atol=1e-3)


def _efficientnet(path: Path, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Return a function from clips to pooled ImageNet features of frames `[B, T, 1280]`."""
    net = efficientnet(path, device)

    def run(clips: Tensor) -> Tensor:
        parts, size = [], 4 if device.type == "cpu" else 128  # more would not fit a CPU's caches
        for frames in clips.flatten(0, 1).split(size):
            x = F.interpolate(frames.float() / 255, EFFICIENTNET_SIZE, mode="bilinear", antialias=True)
            parts.append(net.extract_features(normalize_imagenet(x)).mean(dim=(2, 3)))
        return torch.cat(parts).unflatten(0, clips.shape[:2])

    return run


_OFFLINE = "frames resized to 224x224, bilinear, antialiased; EfficientNet-Lite0 (ImageNet), pooled"


def _efficientnet_frames(path: Path, device: torch.device) -> FeatureExtractor:
    features = _efficientnet(path, device)
    name = "efficientnet_lite0_frames"
    return FeatureExtractor(
        name, 1280, sha256_of(path), _OFFLINE, None, 1, lambda clips: features(clips).flatten(0, 1), device
    )


def _efficientnet_motion(path: Path, device: torch.device) -> FeatureExtractor:
    """Return the mean of the frames' features, and how much they change from frame to frame."""
    features = _efficientnet(path, device)

    def run(clips: Tensor) -> Tensor:
        frames = features(clips)
        return torch.cat([frames.mean(dim=1), CHANGE_WEIGHT * frames.diff(dim=1).abs().mean(dim=1)], dim=1)

    text = f"{_OFFLINE}; mean over time, and {CHANGE_WEIGHT:g} x mean absolute change between neighboring frames"
    return FeatureExtractor("efficientnet_lite0_motion", 2560, sha256_of(path), text, None, 2, run, device)


def _patches(num_frames: int, device: torch.device) -> FeatureExtractor:
    """Return random patches of a Laplacian pyramid, without a network.

    They are larger than the frames they come from and fast to recompute, so they are not cached.
    """

    def run(clips: Tensor) -> Tensor:
        try:
            return patch_features(clips, num_frames)
        except ValueError as error:
            raise StyleganvError(
                f"Frames are too small for this protocol ({error}): choose another protocol."
            ) from error

    dims = 1 + num_frames * 3 * PATCH * PATCH
    text = (
        f"{PATCHES_PER_CLIP} random patches of {num_frames} frames of {PATCH}x{PATCH} pixels per clip and level of its "
        "Laplacian pyramid, each preceded by the level's shorter side"
    )
    return FeatureExtractor(f"patches_{num_frames}f", dims, "", text, None, num_frames, run, device, cached=False)


def resize(clips: Tensor, height: int, width: int) -> Tensor:
    """Stretch clips to another size: bilinear, antialiased, rounded to integers."""
    if clips.shape[-2:] == (height, width):
        return clips
    x = F.interpolate(clips.flatten(0, 1).float(), (height, width), mode="bilinear", antialias=True)
    return x.round().clamp(0, 255).to(torch.uint8).unflatten(0, clips.shape[:2])


FEATURE_EXTRACTORS: dict[str, Callable[[Path, torch.device], FeatureExtractor]] = {
    "i3d_kinetics400": _i3d,
    "c3d_ucf101": _c3d,
    "inception_v3": _inception,
    "inception_v3_classes": _inception_classes,
    "efficientnet_lite0_motion": _efficientnet_motion,
    "efficientnet_lite0_frames": _efficientnet_frames,
    "patches_1f": lambda _, device: _patches(1, device),
    "patches_2f": lambda _, device: _patches(2, device),
    "patches_3f": lambda _, device: _patches(3, device),
}
