"""Start and resume training runs: opens data, settings and models, and hands the loop its trainer."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from styleganv import distributed
from styleganv.config import RunConfig, load_settings, save_settings
from styleganv.data.dataset import VideoDataset
from styleganv.errors import StyleganvError
from styleganv.evaluation import can_evaluate, distance
from styleganv.methods import build_trainer, get_method
from styleganv.methods.stylegan_v.finetune import as_trained, open_source, start_from
from styleganv.methods.stylegan_v.trainer import GanTrainer, build_networks
from styleganv.openmp import working_threads
from styleganv.training import loop
from styleganv.training.checkpoint import load_checkpoint
from styleganv.training.feed import RealClips
from styleganv.training.preflight import check_data, check_settings, rehearse
from styleganv.training.report import say
from styleganv.training.trainer import Trainer
from styleganv.video_model import VideoModel


def train(
    data: Path | str,
    out: Path | str,
    config: RunConfig,
    *,
    finetune: Path | str | None = None,
    or_resume: bool = False,
) -> Path:
    """Train on a prepared data set into a new run folder.

    Args:
        data: a data set that `styleganv prepare` wrote.
        out: the run folder; it must not hold a run already.
        finetune: a model folder or run to start from: what fits of its generator and, if it has one, discriminator.
        or_resume: if `out` holds a run already, continue it from its last checkpoint: one command for jobs that
            are started again after a process or a machine died.

    Returns:
        The model folder, `out/model`.

    Raises:
        StyleganvError: if data, settings or memory do not fit, or if training diverges.
        InterruptedTraining: after Ctrl-C or SIGTERM, when everything is saved.
    """
    out = Path(out)
    if or_resume and (out / "checkpoint.pt").exists():
        return resume(out, data=data, config=config if finetune is None else None)
    with distributed.processes() as device:
        dataset = VideoDataset(data)
        if (out / "checkpoint.pt").exists():
            raise StyleganvError(
                f"{out} already holds a run: continue it with --resume {out}, or choose another --out."
            )
        if finetune is not None and config.model.method not in ("stylegan-v", "stylegan2"):
            raise StyleganvError(f"--finetune is for StyleGAN-V and StyleGAN2: leave it out for {config.model.method}.")
        source = None if finetune is None else open_source(finetune)
        if source is not None:
            config = as_trained(config, source)
        elif config.training.freeze_d:
            raise StyleganvError("--freeze-d keeps what a discriminator has learned: give --finetune too.")
        _check(config)
        remarks: list[str] = []
        if source is None:
            trainer = build_trainer(config, dataset, device)
        else:
            networks = build_networks(config, dataset, device)
            remarks = start_from(source, config, *networks)
            trainer = GanTrainer(config, *networks)
        if distributed.rank() == 0:
            for remark in remarks:
                say(remark)
            out.mkdir(parents=True, exist_ok=True)
            save_settings(config, out / "settings.yaml")
            (out / "data.txt").write_text(f"{dataset.path.resolve()}\n{dataset.content_hash}\n")
        return _run(trainer, dataset, out, config)


def resume(run: Path | str, *, data: Path | str | None = None, config: RunConfig | None = None) -> Path:
    """Continue a run exactly where its last checkpoint is: weights, optimisers, strength and data order.

    Args:
        data: the data set's new place, if it was moved.
        settings: the run's own with changes to what does not touch the mathematics: `clips`, `minutes`,
            `workers`, `threads` (which round differently) and the `report` group.
    """
    run = Path(run)
    with distributed.processes() as device:
        state = load_checkpoint(run / "checkpoint.pt")
        saved = load_settings(run / "settings.yaml")
        config = config or saved
        free = {name: getattr(config.training, name) for name in ("clips", "minutes", "workers", "threads")}
        if config != replace(saved, logging=config.logging, training=replace(saved.training, **free)):
            raise StyleganvError(
                "A resumed run keeps its settings, except --total-clips, --minutes, --num-workers, --num-threads and the "
                f"logging options: start a new run with --finetune {run / 'model'} instead."
            )
        _check(config)
        place, content_hash = (run / "data.txt").read_text().splitlines()
        if data is None and not Path(place).exists():
            raise StyleganvError(
                f"The data set of {run} is no longer at {place}: give its new place, train DATA --resume {run}."
            )
        dataset = VideoDataset(data or place)
        if dataset.content_hash != content_hash:
            raise StyleganvError(
                f"{dataset.path} is not the data set {run} was trained on: give that one with --data, "
                f"or start a new run with --finetune {run / 'model'}."
            )
        trainer = build_trainer(config, dataset, device)
        try:
            trainer.load_state_dict(state)
        except (KeyError, ValueError, RuntimeError) as error:
            raise StyleganvError(
                f"{run / 'checkpoint.pt'} does not belong to {run / 'settings.yaml'}: restore that file."
            ) from error
        return _run(trainer, dataset, run, config)


def _check(config: RunConfig) -> None:
    """Raise a `StyleganvError` that names the first setting that cannot work."""
    method = get_method(config.model.method)
    method.check(config)  # first, as its text says what this method needs
    check_settings(config)


def _run(trainer: Trainer, data: VideoDataset, out: Path, config: RunConfig) -> Path:
    """Check data and machine, then train."""
    training = config.training
    clips = RealClips(
        data,
        num_frames=training.num_frames,
        max_span=training.max_span,
        seed=training.seed,
        mirror=training.mirror,
        conditional=training.conditional,
        draw=trainer.draw,
    )
    ordinary = torch.get_num_threads()

    def evaluate(videos: VideoModel) -> dict[str, float]:
        with working_threads(ordinary):  # those of the run are for its small steps
            return distance(videos, data, config)

    evaluated = can_evaluate(data)
    with working_threads(training.num_threads):
        remarks = check_data(config, data)
        if not evaluated and config.logging.eval_every is not None:
            remarks.append("Too few videos are long enough for an evaluation, so the run is not evaluated.")
        if trainer.step == 0:
            build = partial(build_trainer, config, data, trainer.device)
            estimate = get_method(config.model.method).implementation().estimate_memory
            with loop.memory_errors():
                remarks.append(rehearse(config, data, clips, build, estimate, trainer.device))
        if distributed.rank() == 0:
            for remark in remarks:
                say(remark)
        loop.run(trainer, clips, data, out, config, evaluate if evaluated else None)
    return out / "model"
