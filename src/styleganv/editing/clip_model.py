"""CLIP (Radford et al. 2021) of the `transformers` library as two functions: pictures and texts to unit vectors.

The library's image processor works on files of bytes, without gradients; here pictures stay tensors.

Shapes: N pictures or texts, H height, W width, E embedding width.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from styleganv.errors import StyleganvError
from styleganv.options import DEFAULT_CLIP

#: What CLIP's pictures are normalised with where the model's folder does not say.
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class ClipModel:
    """A network that puts pictures and texts into one space.

    Attributes:
        images: frames float `[N, 3, H, W]` in −1..1 → `[N, E]` of length 1; gradients flow.
        texts: N texts → `[N, E]` of length 1.
    """

    images: Callable[[Tensor], Tensor]
    texts: Callable[[Sequence[str]], Tensor]


def load_clip(place: Path | str, *, device: torch.device | str = "cpu") -> ClipModel:
    """The CLIP in a local folder, or of that name on the Hugging Face hub.

    Args:
        place: a folder with config.json, weights and tokenizer, or a name such as openai/clip-vit-base-patch32.

    Raises:
        StyleganvError: if `transformers` is not installed, or there is no such model.
    """
    try:
        from transformers import AutoTokenizer, CLIPModel
    except ImportError as error:
        raise StyleganvError("Editing by text needs the transformers library: pip install styleganv[clip].") from error
    try:
        loaded: Any = CLIPModel.from_pretrained(place, output_loading_info=True)
        model, found = loaded
        if found["missing_keys"]:  # the library would fill them with random numbers
            raise ValueError(f"its weights lack {sorted(found['missing_keys'])[0]}")
        tokenizer: Any = AutoTokenizer.from_pretrained(place)
        size = _picture_size(model)
    except Exception as error:  # the library raises what its files, the hub and the network do
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise StyleganvError(
            f"There is no CLIP at {place} ({reason}): give a folder that holds one, or its name on the hub, such as "
            f"{DEFAULT_CLIP}."
        ) from error
    model.eval().requires_grad_(False).to(device)
    mean, std = (torch.tensor(x, device=device)[:, None, None] for x in _normalisation(Path(place)))

    def images(frames: Tensor) -> Tensor:
        x = frames.to(device).clamp(-1, 1) / 2 + 0.5
        x = F.interpolate(x, (size, size), mode="bicubic", antialias=True)
        return F.normalize(_tensor(model.get_image_features(pixel_values=(x - mean) / std)), dim=1)

    @torch.no_grad()
    def texts(words: Sequence[str]) -> Tensor:
        longest = model.config.text_config.max_position_embeddings
        tokens = tokenizer(list(words), padding=True, truncation=True, max_length=longest, return_tensors="pt")
        found = model.get_text_features(
            input_ids=tokens["input_ids"].to(device), attention_mask=tokens["attention_mask"].to(device)
        )
        return F.normalize(_tensor(found), dim=1)

    return ClipModel(images, texts)


def _picture_size(model: Any) -> int:
    return int(model.config.vision_config.image_size)


def _tensor(found: Any) -> Tensor:
    """Versions of the library differ: some wrap the embedding."""
    return found if isinstance(found, Tensor) else found.pooler_output


def _normalisation(folder: Path) -> tuple[Sequence[float], Sequence[float]]:
    try:
        said = json.loads((folder / "preprocessor_config.json").read_text())
        return said["image_mean"], said["image_std"]
    except (OSError, KeyError, ValueError):
        return MEAN, STD
