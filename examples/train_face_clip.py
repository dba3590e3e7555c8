"""Train the small CLIP of `faces-64` on drawn faces and captions of their factors, and print its accuracies.

    OMP_NUM_THREADS=1 python examples/train_face_clip.py OUT [--steps N] [--seed S]

The factors of a drawn face are known, so it is known which captions are true of which images of a batch: a caption is
true of an image if all its facts are. The loss (sigmoid, as in SigLIP, Zhai et al. 2023) uses this matrix of truths
instead of the diagonal. Everything is a function of the seed.

Shapes: B images or captions, F facts, H height, W width.
"""

import argparse
import io
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from face_captions import FACTS, NOUNS, OPENINGS, Fact, choose_facts, write_caption
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

from styleganv.faces.drawing import draw_pose
from styleganv.faces.factors import OPTIONS, motion, sample_face

SIDE = 64
MEAN, STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
#: Images per step; each face is drawn in some poses.
BATCH_SIZE, POSES = 64, 2
LEARNING_RATE, WARMUP = 2e-3, 100
#: Initial scale and bias of the logits.
SCALE, BIAS = 10.0, -1.0
#: Faces for the evaluation, which training does not see, and their poses.
NUM_TEST, TEST_SEED = 512, 10**6


@dataclass(frozen=True)
class Batch:
    """Images and captions.

    Attributes:
        images: uint8 `[B, H, W, 3]`.
        captions: B texts, of which text i is true of image i.
        matches: bool `[B, B]`: image × caption, whether the caption is true of the image.
        truths: bool `[B, F]`: image × fact.
        mentioned: bool `[B, F]`: caption × fact.
    """

    images: NDArray[np.uint8]
    captions: list[str]
    matches: NDArray[np.bool_]
    truths: NDArray[np.bool_]
    mentioned: NDArray[np.bool_]


def draw_batch(rng: np.random.Generator, num_faces: int) -> Batch:
    """Draw faces, each in `POSES` poses, and one caption for each image."""
    images, truths = [], []
    for _ in range(num_faces):
        face, pose = sample_face(rng), motion(int(rng.integers(2**31)), rng.uniform(0, 200, POSES))
        images.append(draw_pose(face, pose, SIDE, SIDE))
        for i in range(POSES):
            now = {name: float(values[i]) for name, values in vars(pose).items()}
            truths.append([fact.is_true(face, now) for fact in FACTS])
    known = np.array(truths)
    mentioned = np.stack([choose_facts(rng, row) for row in known])
    captions = [write_caption(rng, [FACTS[i] for i in np.flatnonzero(row)]) for row in mentioned]
    matches = (~known).astype(np.float32) @ mentioned.T.astype(np.float32) == 0
    return Batch(np.concatenate(images), captions, matches, known, mentioned)


def augment(rng: np.random.Generator, images: NDArray[np.uint8]) -> Tensor:
    """Return images `[B, 3, H, W]` in 0..1, changed as generated frames differ from drawings.

    A part of them is compressed, blurred, shifted by up to 2 pixels, and all get some noise.
    """
    images = np.stack([compress(rng, image) if rng.random() < 0.2 else image for image in images])
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    x = F.pad(x, (2, 2, 2, 2), mode="replicate")
    left, top = rng.integers(5, size=(2, len(x)))
    x = torch.stack([one[:, t : t + SIDE, s : s + SIDE] for one, s, t in zip(x, left, top, strict=True)])
    weight = torch.from_numpy(rng.uniform(0, 1, len(x)) * (rng.random(len(x)) < 0.6)).float()[:, None, None, None]
    x = torch.lerp(x, F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1), weight)
    light = torch.from_numpy(rng.uniform(0.9, 1.1, (len(x), 1, 1, 1))).float()
    level = torch.from_numpy(rng.uniform(0, 0.04, (len(x), 1, 1, 1))).float()
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(int(rng.integers(2**31))))
    return (x * light + level * noise).clamp(0, 1)


def compress(rng: np.random.Generator, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the image as JPEG of a random quality shows it."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=int(rng.integers(50, 95)))
    return np.asarray(Image.open(file))


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer whose tokens are the words of all captions; it ignores case and punctuation."""
    texts = [*OPENINGS, *NOUNS, "an with without on and no"]
    texts += [word for fact in FACTS for word in fact.wordings]
    words = sorted({word for text in texts for word in text.split()})
    vocabulary = {word: i for i, word in enumerate(["<pad>", "<unknown>", "<start>", "<end>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unknown>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Replace(Regex(r"[^\w\s]"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <end>", special_tokens=[("<end>", 3)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unknown>", bos_token="<start>", eos_token="<end>"
    )


def build_model(vocabulary_size: int) -> CLIPModel:
    """Return an untrained CLIP of about 1.1 million parameters."""
    text = {"hidden_size": 96, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4}
    text |= {"vocab_size": vocabulary_size, "max_position_embeddings": 40}
    text |= {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    vision = {"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 4, "num_attention_heads": 4}
    vision |= {"image_size": SIDE, "patch_size": 16}
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=64))


def as_tensor(features: Any) -> Tensor:
    return features if isinstance(features, Tensor) else features.pooler_output


class Pair(torch.nn.Module):
    """CLIP with its tokenizer, and scale and bias of the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.tokenizer = build_tokenizer()
        self.clip = build_model(len(self.tokenizer))
        self.log_scale = torch.nn.Parameter(torch.tensor(SCALE).log())
        self.bias = torch.nn.Parameter(torch.tensor(BIAS))
        self.naming = torch.nn.Linear(self.clip.config.vision_config.hidden_size, len(FACTS))
        self.parsing = torch.nn.Linear(self.clip.config.text_config.hidden_size, len(FACTS))

    def see(self, x: Tensor) -> Tensor:
        """Return the features of images in 0..1, before their projection."""
        mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
        return self.clip.vision_model(pixel_values=(x - mean) / std).pooler_output

    def embed_images(self, x: Tensor) -> Tensor:
        """Return the embeddings `[B, E]` of images in 0..1."""
        return F.normalize(self.clip.visual_projection(self.see(x)), dim=1)

    def read(self, texts: Sequence[str]) -> Tensor:
        """Return the features of texts, before their projection."""
        tokens = self.tokenizer(list(texts), padding=True, return_tensors="pt")
        return self.clip.text_model(tokens["input_ids"], tokens["attention_mask"]).pooler_output

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Return the embeddings `[B, E]` of texts."""
        return F.normalize(self.clip.text_projection(self.read(texts)), dim=1)

    def losses(self, images: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return the losses of matching images with captions, and of naming the facts of each image and each caption.

        The latter train both networks on every fact at once, which they learn several times as fast.
        """
        seen, read = self.see(images), self.read(batch.captions)
        embeddings, texts = (
            F.normalize(project(x), dim=1)
            for project, x in ((self.clip.visual_projection, seen), (self.clip.text_projection, read))
        )
        logits = self.log_scale.exp() * embeddings @ texts.T + self.bias
        matches, truths, mentioned = (
            torch.from_numpy(values) for values in (batch.matches, batch.truths, batch.mentioned)
        )
        return (
            balanced_loss(logits, matches),
            balanced_loss(self.naming(seen), truths),
            balanced_loss(self.parsing(read), mentioned),
        )


def balanced_loss(logits: Tensor, truths: Tensor) -> Tensor:
    """Return the sigmoid loss of `[B, N]`, in which the true and the false images of a column weigh the same."""
    each = F.binary_cross_entropy_with_logits(logits, truths.float(), reduction="none")
    true = (each * truths).sum(0) / truths.sum(0).clamp_min(1)
    false = (each * ~truths).sum(0) / (~truths).sum(0).clamp_min(1)
    return (true + false).mean() / 2


def train(pair: Pair, num_steps: int, seed: int) -> None:
    """Train on new images and captions in every step."""
    optimizer = torch.optim.AdamW(pair.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    started, means = time.process_time(), np.zeros(3)
    for step in range(num_steps):
        rng = np.random.default_rng([seed, step])
        batch = draw_batch(rng, BATCH_SIZE // POSES)
        rate = min(1.0, (step + 1) / WARMUP) * (1 + np.cos(np.pi * step / num_steps)) / 2
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * float(rate)
        losses = torch.stack(pair.losses(augment(rng, batch.images), batch))
        optimizer.zero_grad()
        losses.sum().backward()
        torch.nn.utils.clip_grad_norm_(pair.parameters(), 1.0)
        optimizer.step()
        means += (losses.detach().numpy() - means) * max(0.02, 1 / (step + 1))
        if (step + 1) % 100 == 0 or step + 1 == num_steps:
            seconds = time.process_time() - started
            numbers = "  ".join(
                f"{name} {x:.3f}" for name, x in zip(("matching", "images", "captions"), means, strict=True)
            )
            print(f"step {step + 1}/{num_steps}  {numbers}  {seconds:.0f} s", flush=True)
        if (step + 1) % 500 == 0:
            print_accuracies(measure(pair, 128))


def probe_prompts() -> Iterator[tuple[str, list[int], list[str]]]:
    """Yield factor, indices of the facts between which to choose, and a prompt for each."""
    colors = ("red", "yellow", "green", "cyan", "blue", "magenta")
    groups = {
        "hue": colors,
        "background_hue": tuple(f"a {color} background" for color in colors),
        "head": OPTIONS["head"],
        "top": ("bald", "hair", "a beanie", "bear ears", "cat ears"),
        "eyes": ("small eyes", "round eyes", "tall eyes", "large eyes"),
        "lids": ("wide open eyes", "half closed eyes"),
        "iris": tuple(f"{iris} eyes" for iris in OPTIONS["iris"]),
        "brows": ("brows", "thin brows", "thick brows"),
        "brow_slope": ("worried", "calm", "angry"),
        "mouth": ("a narrow mouth", "a wide mouth"),
        "nose": ("a nose", "a nose"),
        "cheeks": ("blush", "blush"),
        "glasses": ("glasses", "round glasses", "square glasses"),
        "smile": ("smiling", "sad"),
        "talk": ("an open mouth", "a closed mouth"),
    }
    negative = {("brows", 0), ("nose", 1), ("cheeks", 1), ("glasses", 0)}  # the fact "without"
    for factor, phrases in groups.items():
        indices, prompts = [], []
        for number, phrase in enumerate(phrases):
            is_negative = (factor, number) in negative
            index = next(
                i
                for i, fact in enumerate(FACTS)
                if fact.factor == factor and phrase in fact.wordings and (fact.place == "without") == is_negative
            )
            indices.append(index)
            prompts.append(write_caption(_First(), [Fact(factor, FACTS[index].place, (phrase,), FACTS[index].is_true)]))
        yield factor, indices, prompts


class _First:
    """Stands in for a random generator that always chooses the first."""

    def integers(self, count: int) -> int:
        return 0

    def permutation(self, count: int) -> range:
        return range(count)

    def random(self) -> float:
        return 1.0


@torch.no_grad()
def measure(pair: Pair, num_faces: int) -> dict[str, tuple[float, float]]:
    """Return per factor the accuracy of choosing the true prompt, and that of guessing, both 0..1."""
    batch = draw_batch(np.random.default_rng(TEST_SEED), num_faces)
    images = torch.from_numpy(batch.images).permute(0, 3, 1, 2).float() / 255
    embeddings = torch.cat([pair.embed_images(part) for part in images.split(256)])
    accuracies = {}
    for factor, indices, prompts in probe_prompts():
        truths = torch.from_numpy(batch.truths[:, indices])
        decided = truths.sum(1) == 1
        chosen = (embeddings @ pair.embed_texts(prompts).T)[decided].argmax(1)
        correct = truths[decided].gather(1, chosen[:, None]).float().mean()
        accuracies[factor] = (float(correct), 1 / len(prompts))
    return accuracies


def print_accuracies(accuracies: dict[str, tuple[float, float]]) -> None:
    print("   ".join(f"{factor} {accuracy:.0%}" for factor, (accuracy, _) in accuracies.items()), flush=True)


def save(pair: Pair, folder: Path) -> None:
    """Write weights in float16, tokenizer and image normalization in the library's format."""
    pair.clip.half().save_pretrained(folder)
    pair.tokenizer.save_pretrained(folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"  # version 5 of the library writes a name that 4 lacks
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    normalization = {"image_mean": MEAN, "image_std": STD, "size": {"height": SIDE, "width": SIDE}}
    (folder / "preprocessor_config.json").write_text(json.dumps(normalization, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=3600)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    pair = Pair()
    print(f"{sum(p.numel() for p in pair.clip.parameters()):,} parameters, {len(FACTS)} facts", flush=True)
    train(pair, args.steps, args.seed)
    save(pair, args.out)
    pair.float()
    for factor, (accuracy, guess) in measure(pair, NUM_TEST).items():
        print(f"| {factor} | {accuracy:.1%} | {guess:.0%} |")


if __name__ == "__main__":
    main()
