"""Feature extractors: their interfaces, verification and errors, with stub TorchScript files."""

import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from stub_extractors import drawn

from styleganv.errors import StyleganvError
from styleganv.metrics.features import WEIGHT_FILES, load_feature_extractor, resize


def clips(count: int, frames: int, side: int = 32) -> torch.Tensor:
    return torch.from_numpy(drawn(0, count, frames, side))


@pytest.mark.parametrize(
    "name, dims, rows",
    [
        ("i3d_kinetics400", 400, 3),
        ("c3d_ucf101", 101, 3),
        ("inception_v3", 2048, 48),
        ("inception_v3_classes", 1008, 48),
    ],
)
def test_torchscript_files(name: str, dims: int, rows: int, weights: Path) -> None:
    extractor = load_feature_extractor(name, weights=weights)
    assert extractor.dims == dims
    assert extractor.sha256 == hashlib.sha256((weights / WEIGHT_FILES[name]).read_bytes()).hexdigest()
    features = extractor(clips(3, 16))
    assert features.shape == (rows, dims) and features.dtype == torch.float32
    assert features.std(dim=0).max() > 0.001
    if name in ("c3d_ucf101", "inception_v3_classes"):
        torch.testing.assert_close(features.sum(dim=1), torch.ones(rows))
        assert features.min() >= 0


def test_i3d_gets_channels_before_time(weights: Path) -> None:
    """The stub averages space and eighths of time, so misplaced channels or frames would change the result."""
    x = clips(2, 16)
    expected = F.adaptive_avg_pool3d(x.transpose(1, 2).float() / 127.5 - 1, [8, 4, 4]).flatten(1)
    mix = torch.jit.load(str(weights / "i3d_torchscript.pt")).mix
    torch.testing.assert_close(load_feature_extractor("i3d_kinetics400", weights=weights)(x), expected @ mix / 20)


def test_weights_are_a_file_or_its_folder(weights: Path) -> None:
    x = clips(1, 16)
    by_file = load_feature_extractor("i3d_kinetics400", weights=weights / "i3d_torchscript.pt")(x)
    assert torch.equal(by_file, load_feature_extractor("i3d_kinetics400", weights=str(weights))(x))


def test_the_hash_is_verified(weights: Path) -> None:
    digest = hashlib.sha256((weights / "i3d_torchscript.pt").read_bytes()).hexdigest()
    assert (
        load_feature_extractor("i3d_kinetics400", weights=weights, sha256=["0" * 64, digest.upper()]).sha256 == digest
    )
    with pytest.raises(StyleganvError, match=digest):
        load_feature_extractor("i3d_kinetics400", weights=weights, sha256=["0" * 64])


def test_a_file_url_is_downloaded_once(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    source = tmp_path / "there" / "i3d_torchscript.pt"
    source.parent.mkdir()
    source.write_bytes((weights / "i3d_torchscript.pt").read_bytes())
    first = load_feature_extractor("i3d_kinetics400", weights=source.as_uri())
    source.unlink()
    assert load_feature_extractor("i3d_kinetics400", weights=source.as_uri()).sha256 == first.sha256
    with pytest.raises(StyleganvError, match=r"Cannot download .*download"):
        load_feature_extractor("i3d_kinetics400", weights=(tmp_path / "nowhere.pt").as_uri())
    assert len(list((tmp_path / "home").rglob("*.pt"))) == 1


@pytest.mark.parametrize("name", WEIGHT_FILES)
def test_missing_weights_are_named_with_the_remedy(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for weights in (None, tmp_path):
        with pytest.raises(StyleganvError) as error:
            load_feature_extractor(name, weights=weights)
        for word in (WEIGHT_FILES[name], str(tmp_path), "--weights", "efficientnet"):
            assert word in str(error.value)


def test_weights_in_the_default_folder_are_found(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    source = tmp_path / "torch" / "hub" / "checkpoints"
    source.mkdir(parents=True)
    (source / "c3d_ucf101.pt").write_bytes((weights / "c3d_ucf101.pt").read_bytes())
    assert load_feature_extractor("c3d_ucf101").dims == 101


def test_wrong_files_are_rejected(weights: Path, narrow_i3d: Path, tmp_path: Path) -> None:
    half = tmp_path / "half.pt"
    half.write_bytes((weights / "i3d_torchscript.pt").read_bytes()[:5000])
    cases = [
        (half, "i3d_kinetics400", "not a complete TorchScript file"),
        (narrow_i3d, "i3d_kinetics400", r"\[1, 399\]"),
        (weights / "inception-2015-12-05.pt", "i3d_kinetics400", "cannot be called as net"),
        (weights / "i3d_torchscript.pt", "inception_v3", "cannot be called as net"),
        (weights / "inception-2015-12-05.pt", "c3d_ucf101", "cannot be called as net"),
    ]
    for path, name, message in cases:
        with pytest.raises(StyleganvError, match=message):
            load_feature_extractor(name, weights=path)


@pytest.fixture(scope="module")
def motion() -> torch.Tensor:
    return load_feature_extractor("efficientnet_lite0_motion")(clips(2, 4))


def test_offline_features_are_those_of_frames_and_their_changes(motion: torch.Tensor) -> None:
    frames = load_feature_extractor("efficientnet_lite0_frames")(clips(2, 4)).unflatten(0, (2, 4))
    assert motion.shape == (2, 2560) and frames.shape == (2, 4, 1280)
    torch.testing.assert_close(motion[:, :1280], frames.mean(dim=1))
    changes = 3 * (frames[:, 1:] - frames[:, :-1]).abs().mean(dim=1)
    torch.testing.assert_close(motion[:, 1280:], changes)


def test_offline_weights_are_pretrained() -> None:
    """A pretrained network places an image closer to its resized copy than to another image."""
    frames = load_feature_extractor("efficientnet_lite0_frames")
    x = clips(6, 1, 64)
    small = resize(x, 48, 48)
    a, b = frames(x), frames(small)
    assert (torch.cdist(a, b).argmin(dim=1) == torch.arange(6)).all()


def test_resizing_is_antialiased() -> None:
    x = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 2, 3, 64, 48), dtype=np.uint8))
    small = resize(x, 16, 12)
    assert small.shape == (1, 2, 3, 16, 12) and small.dtype == torch.uint8
    with Image.fromarray(x[0, 1].permute(1, 2, 0).numpy()) as image:
        pillow = np.asarray(image.resize((12, 16), Image.Resampling.BILINEAR))
    assert np.abs(small[0, 1].permute(1, 2, 0).numpy().astype(int) - pillow).max() <= 1
    assert resize(x, 64, 48) is x


def test_a_url_is_downloaded_once_and_verified(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    file = WEIGHT_FILES["i3d_kinetics400"]
    digest = hashlib.sha256((weights / file).read_bytes()).hexdigest()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(weights))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(StyleganvError, match="Cannot download"):
            load_feature_extractor("i3d_kinetics400", weights=f"{url}/nothing.pt")
        assert load_feature_extractor("i3d_kinetics400", weights=f"{url}/{file}", sha256=[digest]).sha256 == digest
        server.shutdown()
    # Without the server, the cached file is used, and still verified.
    assert load_feature_extractor("i3d_kinetics400", weights=f"{url}/{file}").sha256 == digest
    with pytest.raises(StyleganvError, match="SHA-256"):
        load_feature_extractor("i3d_kinetics400", weights=f"{url}/{file}", sha256=["0" * 64])
    assert len(list((tmp_path / ".cache" / "styleganv" / "weights").iterdir())) == 1
