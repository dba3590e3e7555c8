"""Progressive growing: its schedule, what the networks compute meanwhile, and runs that grow."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from run_state import assert_same_state
from settings import with_training

from styleganv.clip import Clip
from styleganv.config import RunConfig
from styleganv.data.dataset import VideoDataset
from styleganv.errors import StyleganvError
from styleganv.faces.dataset import make_faces
from styleganv.methods import apply_method, get_method
from styleganv.methods.stylegan_v.config import DiscriminatorConfig
from styleganv.methods.stylegan_v.discriminator import Discriminator
from styleganv.methods.stylegan_v.finetune import PretrainedWeights, copy_matching_weights
from styleganv.methods.stylegan_v.growing import Growth, GrowthStage, reduce_frames
from styleganv.methods.stylegan_v.memory import estimate_step_memory_gib
from styleganv.methods.stylegan_v.trainer import GanTrainer, build_networks
from styleganv.nn import fir_kernel, upsample2d
from styleganv.runs import resume, train
from styleganv.training.batches import ClipDataset
from styleganv.training.checkpoint import load_checkpoint

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of 64×64, with two resolutions to grow from."""
    path = tmp_path_factory.mktemp("larger") / "faces.zip"
    make_faces(path, num_videos=8, num_frames=40, resolution=(64, 64))
    return path


@pytest.fixture
def growing(tiny: RunConfig) -> RunConfig:
    return with_training(tiny, grow_from=16, batch_size=4, num_frames=2, total_clips=32)


@pytest.mark.parametrize(
    "progress, stage",
    [
        (0.0, GrowthStage(2, 1.0)),
        (0.2, GrowthStage(2, 1.0)),
        (0.25, GrowthStage(1, 0.0)),
        (0.3125, GrowthStage(1, 0.5)),
        (0.375, GrowthStage(1, 1.0)),
        (0.5, GrowthStage(0, 0.0)),
        (0.5625, GrowthStage(0, 0.5)),
        (0.625, GrowthStage(0, 1.0)),
        (1.0, GrowthStage(0, 1.0)),
    ],
)
def test_resolutions_take_equal_parts_of_the_first_half(progress: float, stage: GrowthStage) -> None:
    growth = Growth(2)
    growth.update(progress, clips_seen=10**6)
    assert growth.stage == stage


@pytest.mark.parametrize(
    "progress, clips, stage",
    [
        (0.0, 0, GrowthStage(2, 1.0)),
        (0.01, 2999, GrowthStage(2, 1.0)),
        (0.01, 3750, GrowthStage(1, 0.5)),
        (0.01, 6000, GrowthStage(0, 0.0)),
        (0.01, 10**9, GrowthStage(0, 1.0)),
        (0.5, 100, GrowthStage(0, 0.0)),  # A short run leaves them earlier.
    ],
)
def test_resolutions_end_after_their_clips_at_the_latest(progress: float, clips: int, stage: GrowthStage) -> None:
    growth = Growth(2, max_clips=3000)
    growth.update(progress, clips)
    assert growth.stage == stage


def test_a_longer_run_does_not_shrink_again() -> None:
    growth, longer = Growth(2), Growth(2)
    growth.update(0.7, 0)
    longer.load_state_dict(growth.state_dict())
    longer.update(0.1, 0)
    assert longer.stage == GrowthStage(0, 1.0)


def test_a_resumed_run_that_is_made_longer_stays_as_large(growing: RunConfig, larger: Path, tmp_path: Path) -> None:
    data = VideoDataset(larger)
    trainer = GanTrainer(growing, *build_networks(growing, data))
    trainer.progress = 0.7
    trainer._grow()
    longer = GanTrainer(growing, *build_networks(growing, data))
    longer.load_state_dict(trainer.state_dict())
    longer.progress = 0.1
    longer._grow()
    assert longer.discriminator.stage == trainer.discriminator.stage == GrowthStage(0, 1.0)
    assert longer.generator.synthesis.num_skipped == 0


def test_the_penalty_has_the_weight_of_the_pixels(growing: RunConfig, larger: Path) -> None:
    """Gradients of the penalty at half the size, from the same frames, with a quarter of gamma."""
    data, norms = VideoDataset(larger), []
    for gamma in (None, 4.0):
        config = with_training(growing, grow_from=32, r1_gamma=gamma)
        trainer = GanTrainer(config, *build_networks(config, data))
        trainer._grow()
        assert trainer.discriminator.stage == GrowthStage(1)
        trainer.optimizer_d.param_groups[0]["lr"] = 0.0
        times = torch.tensor([[0, 4]] * 4)
        frames = torch.rand(4, 2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        trainer.update_r1(Clip(frames, times, None), list(range(4)))
        gradients = [p.grad.norm() for p in trainer.discriminator.parameters() if p.grad is not None]
        norms.append(float(torch.stack(gradients).norm()) / trainer.gamma)
        assert trainer.gamma == (4.0 if gamma else pytest.approx(growing.training.r1_scale * 64 * 64 / 4))
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)
    trainer.growth.update(1.0, 0)
    trainer.generator.synthesis.num_skipped, trainer.discriminator.stage = 0, GrowthStage(1)  # the same discriminator
    trainer.update_r1(Clip(frames, times, None), list(range(4)))
    whole = [p.grad.norm() for p in trainer.discriminator.parameters() if p.grad is not None]
    assert float(torch.stack(whole).norm()) / trainer.gamma == pytest.approx(4 * norms[1], rel=1e-3)


@pytest.mark.long
def test_the_memory_estimate_is_that_of_the_full_resolution(growing: RunConfig, larger: Path) -> None:
    clips = ClipDataset(VideoDataset(larger), growing.training)
    plain = estimate_step_memory_gib(with_training(growing, grow_from=None), clips, CPU)
    assert estimate_step_memory_gib(growing, clips, CPU) >= 0.99 * plain


def test_frames_are_averaged_and_detail_is_faded_in() -> None:
    frames = torch.rand(2, 3, 3, 16, 24)
    half = F.avg_pool2d(frames.flatten(0, 1), 2).unflatten(0, (2, 3))
    torch.testing.assert_close(reduce_frames(frames, GrowthStage(1)), half)
    assert reduce_frames(frames, GrowthStage()) is frames
    blurred = half.repeat_interleave(2, dim=3).repeat_interleave(2, dim=4)
    torch.testing.assert_close(reduce_frames(frames, GrowthStage(0, 0.25)), 0.75 * blurred + 0.25 * frames)


def test_a_generator_that_has_not_grown_enlarges_what_it_has(growing: RunConfig, larger: Path) -> None:
    generator, _ = build_networks(growing, VideoDataset(larger))
    z, times, noise = torch.randn(2, 16), torch.tensor([[0.0, 5.0]] * 2), torch.randn(2, 40, 16)
    full = generator(z, times, noise)
    generator.synthesis.num_skipped = 2
    small = generator(z, times, noise)
    assert small.shape == (2, 2, 3, 16, 16) and full.shape == (2, 2, 3, 64, 64)
    enlarged = upsample2d(upsample2d(small.flatten(0, 1), fir_kernel(4.0)), fir_kernel(4.0)).unflatten(0, (2, 2))
    torch.testing.assert_close(full, enlarged, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("num_frames", [1, 2, 3])
def test_a_new_resolution_enters_the_discriminator_without_a_jump(num_frames: int) -> None:
    torch.manual_seed(0)
    sizes = dict(channel_base=256, channel_max=8, condition_dim=16)
    network = Discriminator(DiscriminatorConfig(height=64, width=64, num_frames=num_frames, grow_from=16, **sizes))
    frames, times = torch.rand(4, num_frames, 3, 64, 64), torch.arange(num_frames).expand(4, -1) * 3.0
    for skipped in (1, 0):
        network.stage = GrowthStage(skipped + 1)
        before = network(reduce_frames(frames, network.stage), times)
        logits = {}
        for fade in (0.0, 0.5, 1.0):
            network.stage = GrowthStage(skipped, fade)
            logits[fade] = network(F.avg_pool2d(frames.flatten(0, 1), 2**skipped).unflatten(0, (4, num_frames)), times)
        torch.testing.assert_close(logits[0.0], before, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(logits[0.5], before, rtol=1e-2)
    network.stage = GrowthStage()
    plain = Discriminator(DiscriminatorConfig(height=64, width=64, num_frames=num_frames, **sizes))
    plain.load_state_dict({k: v for k, v in network.state_dict().items() if not k.startswith("lower_from_rgb.")})
    torch.testing.assert_close(plain(frames, times), logits[1.0])


@pytest.mark.slow
@pytest.mark.usefixtures("no_run_images")
def test_a_run_grows_and_resumes_exactly(growing: RunConfig, larger: Path, tmp_path: Path) -> None:
    sides: list[int] = []
    update = GanTrainer.update_d

    def watched(self: GanTrainer, real: object, *arguments: object) -> None:
        sides.append(real.frames.shape[-1])  # type: ignore[attr-defined]
        update(self, real, *arguments)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GanTrainer, "update_d", watched)
        train(larger, tmp_path / "whole", growing)
    assert sides[-8:] == [16, 16, 32, 32, 64, 64, 64, 64]
    state = load_checkpoint(tmp_path / "whole" / "checkpoint.pt")
    new = [v for k, v in state["generator"].items() if k == "synthesis.blocks.4.to_rgb.weight"]
    assert new[0].abs().max() > 0

    def interrupt(done: int, *_: object) -> None:
        if done >= 400:
            raise KeyboardInterrupt

    saving = with_training(growing)
    saving = type(saving)(
        saving.training, saving.model, saving.augment, type(saving.logging)(log_every=8, save_every=4)
    )
    with pytest.raises(KeyboardInterrupt):
        train(larger, tmp_path / "halves", saving, progress=interrupt)
    assert 0 < load_checkpoint(tmp_path / "halves" / "checkpoint.pt")["step"] < 8
    resume(tmp_path / "halves")
    assert_same_state(tmp_path / "whole" / "checkpoint.pt", tmp_path / "halves" / "checkpoint.pt")


def test_an_impossible_resolution_is_refused_before_anything_is_written(
    growing: RunConfig, larger: Path, tmp_path: Path
) -> None:
    for grow_from in (8, 20, 128):
        with pytest.raises(StyleganvError, match=f"--grow-from {grow_from} is not .*: choose one of 64, 32, 16"):
            train(larger, tmp_path / "run", with_training(growing, grow_from=grow_from))
    assert not (tmp_path / "run").exists()
    changed = apply_method(growing, "digan")
    assert changed.training.grow_from is None and apply_method(growing, "stylegan2").training.grow_from == 16
    with pytest.raises(StyleganvError, match="--grow-from 16 requires --method stylegan-v"):
        get_method("digan").check(with_training(changed, grow_from=16))


def test_growing_from_a_pretrained_model_starts_with_all_its_layers(
    growing: RunConfig, larger: Path, tmp_path: Path
) -> None:
    """The networks of 32×32 are where those of 64×64 start; only what they lack is new."""
    make_faces(tmp_path / "small.zip", num_videos=4, num_frames=40, resolution=(32, 32))
    small, small_d = build_networks(
        with_training(growing, grow_from=None, seed=1), VideoDataset(tmp_path / "small.zip")
    )
    config = with_training(growing, grow_from=32)
    generator, discriminator = build_networks(config, VideoDataset(larger))
    pretrained = PretrainedWeights(Path("small"), small, small_d.state_dict(), small_d.config.condition)
    notes = copy_matching_weights(pretrained, config, generator, discriminator)
    assert [note.split(": ")[-1] for note in notes] == ["synthesis.blocks.4.", "from_rgb, blocks.0."]
    with pytest.raises(StyleganvError, match="--grow-from 16 would skip trained layers of small: pass --grow-from 32"):
        copy_matching_weights(pretrained, growing, generator, discriminator)
    z, times, noise = torch.randn(4, 16), torch.tensor([[0.0, 8.0]] * 4), torch.randn(4, 40, 16)
    generator.synthesis.num_skipped, discriminator.stage = 1, GrowthStage(1)
    frames = small(z, times, noise)
    torch.testing.assert_close(generator(z, times, noise), frames, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(discriminator(frames, times), small_d(frames, times), rtol=1e-4, atol=1e-4)
