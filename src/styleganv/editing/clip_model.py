"""CLIP (Radford et al. 2021) of the `transformers` library as two functions from images and texts to unit vectors.

The library's image processor loses gradients; here images stay tensors.

Shapes: N images or texts, H height, W width, E width of an embedding.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from styleganv.errors import StyleganvError, first_line
from styleganv.model_folder import OWN_CLIP
from styleganv.options import DEFAULT_CLIP_MODEL

#: Image normalization of OpenAI's models, used if the model's folder states none.
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class ClipModel:
    """A network that embeds images and texts in one space.

    Attributes:
        embed_images: frames float `[N, 3, H, W]` in −1..1 → `[N, E]` of length 1; gradients flow.
        embed_texts: N texts → `[N, E]` of length 1.
    """

    embed_images: Callable[[Tensor], Tensor]
    embed_texts: Callable[[Sequence[str]], Tensor]

    def distance_from(self, y: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the squared distance `[N]` in 0..4 from the embeddings of `y`, for images `[N, 3, H, W]` in 0..1."""
        embedding = self.embed_images(2 * y - 1)
        return lambda x: (self.embed_images(2 * x - 1) - embedding).square().sum(dim=1)


def choose_clip_model(chosen: Path | str | None, model: Path | None) -> Path | str:
    """Return the CLIP for edits of a model: the chosen folder or name on the Hugging Face Hub, else the model's own in
    the subfolder `OWN_CLIP` of its folder, else OpenAI's.
    """
    if chosen is not None:
        return chosen
    own = None if model is None else model / OWN_CLIP
    return own if own is not None and (own / "config.json").is_file() else DEFAULT_CLIP_MODEL


def is_own_clip(path: Path | str, model: Path | None) -> bool:
    """Return whether `path` is the CLIP in a model's folder."""
    return model is not None and Path(path) == model / OWN_CLIP


def embed_text(clip_model: ClipModel, text: str) -> Tensor:
    """Return the embedding `[1, E]` of one text. Raises StyleganvError for an empty text."""
    if not text.strip():
        raise StyleganvError("The text is empty: describe the wanted video, e.g. 'a green face'.")
    return clip_model.embed_texts([text])


def load_clip_model(path: Path | str, *, device: torch.device | str = "cpu") -> ClipModel:
    """Return the CLIP in a local folder, or of that name on the Hugging Face Hub.

    Args:
        path: folder with config.json, weights and tokenizer, or a name such as openai/clip-vit-base-patch32.

    Raises:
        StyleganvError: if `transformers` is not installed, or the model cannot be loaded.
    """
    try:
        from transformers import AutoTokenizer, CLIPModel
    except ImportError as error:
        raise StyleganvError("Editing by text requires transformers: run pip install 'styleganv[clip]'.") from error
    try:
        loaded: Any = CLIPModel.from_pretrained(path, output_loading_info=True)
        model, info = loaded
        if info["missing_keys"]:  # the library fills them with random numbers
            raise ValueError(f"its weights lack {sorted(info['missing_keys'])[0]}")
        tokenizer: Any = AutoTokenizer.from_pretrained(path)
        image_size = int(model.config.vision_config.image_size)
    except Exception as error:  # the library raises whatever its files, the Hub and the network raise
        raise StyleganvError(
            f"Cannot load CLIP {path} ({first_line(error)}): pass a folder that contains one, or its name on the "
            f"Hugging Face Hub, e.g. {DEFAULT_CLIP_MODEL}."
        ) from error
    model.eval().requires_grad_(False).float().to(device)
    mean, std = (torch.tensor(x, device=device)[:, None, None] for x in _read_normalization(Path(path)))

    def embed_images(frames: Tensor) -> Tensor:
        x = frames.to(device).clamp(-1, 1) / 2 + 0.5
        x = F.interpolate(x, (image_size, image_size), mode="bicubic", antialias=True)
        return F.normalize(_as_tensor(model.get_image_features(pixel_values=(x - mean) / std)), dim=1)

    @torch.no_grad()
    def embed_texts(texts: Sequence[str]) -> Tensor:
        max_length = model.config.text_config.max_position_embeddings
        for text in texts:
            _check_words(text, tokenizer)
        tokens = tokenizer(list(texts), padding=True, truncation=True, max_length=max_length, return_tensors="pt")
        features = model.get_text_features(
            input_ids=tokens["input_ids"].to(device), attention_mask=tokens["attention_mask"].to(device)
        )
        return F.normalize(_as_tensor(features), dim=1)

    return ClipModel(embed_images, embed_texts)


def _check_words(text: str, tokenizer: Any) -> None:
    """Raise a StyleganvError that names the unknown words of a text; OpenAI's tokenizer spells them out instead."""
    unknown_id = tokenizer.unk_token_id
    if unknown_id is None or tokenizer.unk_token in (tokenizer.eos_token, tokenizer.pad_token):
        return
    encoding = tokenizer(text, return_offsets_mapping=True)
    spans = zip(encoding["input_ids"], encoding["offset_mapping"], strict=True)
    unknown = [text[start:end] for token, (start, end) in spans if token == unknown_id]
    if unknown:
        words = sorted(set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens))
        raise StyleganvError(
            f"This model's CLIP does not support {', '.join(map(repr, unknown))}: use its words ({', '.join(words)}), "
            f"or another CLIP, e.g. --clip-model {DEFAULT_CLIP_MODEL}."
        )


def _as_tensor(features: Any) -> Tensor:
    """Unwrap the embedding, which some versions of the library wrap."""
    return features if isinstance(features, Tensor) else features.pooler_output


def _read_normalization(folder: Path) -> tuple[Sequence[float], Sequence[float]]:
    try:
        config = json.loads((folder / "preprocessor_config.json").read_text())
        return config["image_mean"], config["image_std"]
    except (OSError, KeyError, ValueError):
        return MEAN, STD
