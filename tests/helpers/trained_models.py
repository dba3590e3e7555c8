"""Models trained in seconds on drawn shapes: a generator by regression, a CLIP by captions.

A GAN would take minutes. Regression from given latents (GLO, Bojanowski et al. 2018) trains a small generator with the
same split: appearance follows the content seed, position the motion seed.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from shapes import Factors, draw_video, sample_factors

from styleganv import noise
from styleganv.editing.clip_model import MEAN, STD
from styleganv.methods.stylegan_v.config import GeneratorConfig
from styleganv.methods.stylegan_v.generator import Generator
from styleganv.model_folder import save_model

SIDE, FRAMES, FPS = 16, 24, 25.0
COLORS, SHAPES = ("red", "green", "blue"), ("circle", "bar")
CONTENTS, MOTIONS = 18, 6


def factors_of(content: int, motion: int) -> Factors:
    """Return the factors that the trained generator shows for these seeds."""
    seen, moves = (sample_factors(np.random.default_rng((seed, kind))) for kind, seed in ((1, content), (2, motion)))
    return replace(
        seen,
        color=COLORS[content % len(COLORS)],
        shape=SHAPES[content // len(COLORS) % len(SHAPES)],
        size="large",
        texture="plain",
        path="circle",
        speed="medium",
        start=moves.start,
        direction=moves.direction,
        angle=moves.angle,
        rhythm="steady",
    )


def video_of(content: int, motion: int) -> torch.Tensor:
    """Return the drawn video `[T, 3, H, W]` in −1..1."""
    drawn = draw_video(factors_of(content, motion), num_frames=FRAMES, height=SIDE, width=SIDE)
    return torch.from_numpy(drawn).permute(0, 3, 1, 2).float() / 127.5 - 1


def trained_generator(folder: Path, steps: int) -> Path:
    """Train a generator on `CONTENTS` content and `MOTIONS` motion seeds; return its model folder."""
    torch.manual_seed(0)
    generator = Generator(
        GeneratorConfig(
            SIDE,
            SIDE,
            z_dim=16,
            w_dim=16,
            channel_base=512,
            channel_max=32,
            motion_noise_dim=16,
            motion_code_dim=32,
            num_frequencies=16,
            slot_distance=8,
        )
    )
    videos = torch.stack([torch.stack([video_of(c, m) for m in range(MOTIONS)]) for c in range(CONTENTS)])
    z = torch.from_numpy(np.stack([noise.normal(c, noise.CONTENT, 0, 16) for c in range(CONTENTS)]))
    slots = noise.SeededNoise(range(MOTIONS), 16)(
        torch.arange(MOTIONS), torch.arange(generator.num_slots(FRAMES)).expand(MOTIONS, -1)
    )
    optimizer = torch.optim.Adam(generator.parameters(), lr=0.01, betas=(0.5, 0.99))
    random = torch.Generator().manual_seed(0)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 0.01 * min(1, 2 - 2 * step / steps)
        content = torch.randint(CONTENTS, [8], generator=random)
        motion = torch.randint(MOTIONS, [8], generator=random)
        times = torch.randint(FRAMES, [8, 4], generator=random)
        w = generator.mapping(z[content])
        frames = generator.synthesize(w, times.double(), slots[motion])
        loss = F.mse_loss(frames, videos[content[:, None], motion[:, None], times])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        generator.mapping.update_mean(w.detach().mean(dim=0))
    save_model(folder, generator, data={"fps": FPS, "class_names": []}, training={})
    return folder


def caption(factors: Factors) -> str:
    return f"a {factors.color} {factors.shape}"


def trained_clip(folder: Path, steps: int) -> Path:
    """Train a tiny CLIP on the captions of drawn shapes; return its folder, in the library's format.

    The library takes seconds to import, so only tests that use it do.
    """
    pytest.importorskip("transformers", reason="pip install styleganv[clip]")
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

    words = ["<pad>", "<end>", "a", *COLORS, *SHAPES]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <end>", special_tokens=[("<end>", 1)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<end>")
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    torch.manual_seed(0)
    model = CLIPModel(
        CLIPConfig(
            text_config={
                **sizes,
                "vocab_size": len(words),
                "max_position_embeddings": 8,
                "bos_token_id": 0,
                "eos_token_id": 1,
                "pad_token_id": 0,
            },
            vision_config={**sizes, "image_size": SIDE, "patch_size": 4},
            projection_dim=16,
        )
    )
    mean, std = (torch.tensor(x)[:, None, None] for x in (MEAN, STD))
    kinds = [f"a {color} {shape}" for color in COLORS for shape in SHAPES]
    tokens = fast(kinds, padding=True, return_tensors="pt")
    which = torch.tensor([kinds.index(caption(factors_of(c, 0))) for c in range(CONTENTS)])
    videos = torch.stack([torch.stack([video_of(c, m) for m in range(MOTIONS)]) for c in range(CONTENTS)])
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    random = torch.Generator().manual_seed(0)
    for _ in range(steps):
        content = torch.randint(CONTENTS, [32], generator=random)
        motion, time = (torch.randint(n, [32], generator=random) for n in (MOTIONS, FRAMES))
        x = videos[content, motion, time]
        x = x + 0.1 * torch.randn(x.shape, generator=random)
        images = model.get_image_features(pixel_values=(x / 2 + 0.5 - mean) / std)
        texts = model.get_text_features(**tokens)
        a, b = (F.normalize(y if isinstance(y, torch.Tensor) else y.pooler_output, dim=1) for y in (images, texts))
        loss = F.cross_entropy(10 * a @ b.T, which[content])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder
