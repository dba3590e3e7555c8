"""Training curves as an image."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from styleganv.files import atomic_write

#: Losses of all methods; those in the log are drawn. Scalar → (label, color).
LOSSES = {
    "loss_g": ("generator", "C0"),
    "loss_d": ("discriminator", "C1"),
    "loss_g_projected": ("generator, second discriminator", "C9"),
    "loss_d_projected": ("second discriminator", "C8"),
    "loss_vqvae": ("VQ-VAE", "C0"),
    "loss_gpt": ("transformer, nats per code", "C1"),
}


def plot_curves(path: Path | str, records: Sequence[Mapping[str, Any]]) -> None:
    """Draw training curves as PNG: losses, logits, augmentation with the R1 penalty, evaluations, over clips seen.

    Args:
        records: records of the log in order, with `clips_seen` and any of `LOSSES`, `logits_real`, `logits_fake`,
            `augment_p`, `r1`, `frechet_efficientnet`, `frechet_efficientnet_floor`. Missing and
            non-finite values are skipped.

    Raises:
        StyleganvError: if `path` cannot be written.
    """
    evaluated = any("frechet_efficientnet" in record for record in records)
    figure = Figure(figsize=(13 + 4.5 * evaluated, 3.6), layout="constrained")
    losses, logits, augment, *more = figure.subplots(1, 3 + evaluated)
    _curves(losses, records, LOSSES, "losses")
    _curves(logits, records, {"logits_real": ("real", "C2"), "logits_fake": ("generated", "C3")}, "logits")
    penalty = augment.twinx()
    _curves(augment, records, {"augment_p": ("augmentation p (left)", "C4")}, "augmentation and R1")
    _curves(penalty, records, {"r1": ("R1 penalty (right)", "C5")}, "")
    augment.set_ylim(bottom=0)
    penalty.set_ylim(bottom=0)
    for axes in more:
        names = {"frechet_efficientnet": ("generated", "C0"), "frechet_efficientnet_floor": ("other real videos", "C7")}
        _curves(axes, records, names, "distance from real videos")
        axes.set_ylim(bottom=0)
    for axes, twin in ((losses, None), (logits, None), (augment, penalty), *((axes, None) for axes in more)):
        axes.set_xlabel("clips seen")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(twin is not None)
        lines = axes.get_lines() + (twin.get_lines() if twin else [])
        named = [line for line in lines if not line.get_label().startswith("_")]
        if named:
            (twin or axes).legend(handles=named, framealpha=0.8, edgecolor="none", fontsize="small")
    with atomic_write(path, overwrite=True) as tmp_path:
        FigureCanvasAgg(figure).print_figure(tmp_path, format="png", dpi=110)


def _curves(axes: Any, records: Sequence[Mapping[str, Any]], names: Mapping[str, tuple[str, str]], title: str) -> None:
    """Draw one line per key; with many points, a running mean over the pale points."""
    axes.set_title(title)
    for key, (label, color) in names.items():
        points = [(r["clips_seen"], r[key]) for r in records if r.get(key) is not None and np.isfinite(r[key])]
        if not points:
            continue
        x, y = np.array(points, dtype=np.float64).T
        window = len(x) // 50
        if window > 1:
            axes.plot(x, y, color=color, alpha=0.25, linewidth=0.8)
            half = window // 2
            y = np.convolve(np.pad(y, (half, window - 1 - half), "edge"), np.full(window, 1 / window), "valid")
        axes.plot(x, y, color=color, label=label, linewidth=1.5, marker="o" if len(x) == 1 else None)
