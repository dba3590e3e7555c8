"""Start and resume training runs: opens data, settings and models, and hands the loop its trainer."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from styleganv import distributed
from styleganv.data.dataset import VideoDataset
from styleganv.errors import StyleganvError
from styleganv.evaluation import can_evaluate, distance
from styleganv.methods import build_trainer, get_method
from styleganv.methods.stylegan_v.finetune import as_trained, open_source, start_from
from styleganv.methods.stylegan_v.trainer import GanTrainer, build_networks
from styleganv.openmp import working_threads
from styleganv.recipes import Settings, load_settings, save_settings
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
    settings: Settings,
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
        return resume(out, data=data, settings=settings if finetune is None else None)
    with distributed.processes() as device:
        dataset = VideoDataset(data)
        if (out / "checkpoint.pt").exists():
            raise StyleganvError(
                f"{out} already holds a run: continue it with --resume {out}, or choose another --out."
            )
        if finetune is not None and settings.model.kind not in ("stylegan-v", "stylegan2"):
            raise StyleganvError(f"--finetune is for StyleGAN-V and StyleGAN2: leave it out for {settings.model.kind}.")
        source = None if finetune is None else open_source(finetune)
        if source is not None:
            settings = as_trained(settings, source)
        elif settings.training.freeze_d:
            raise StyleganvError("--freeze-d keeps what a discriminator has learned: give --finetune too.")
        _check(settings)
        remarks: list[str] = []
        if source is None:
            trainer = build_trainer(settings, dataset, device)
        else:
            networks = build_networks(settings, dataset, device)
            remarks = start_from(source, settings, *networks)
            trainer = GanTrainer(settings, *networks)
        if distributed.rank() == 0:
            for remark in remarks:
                say(remark)
            out.mkdir(parents=True, exist_ok=True)
            save_settings(settings, out / "settings.yaml")
            (out / "data.txt").write_text(f"{dataset.path.resolve()}\n{dataset.content_hash}\n")
        return _run(trainer, dataset, out, settings)


def resume(run: Path | str, *, data: Path | str | None = None, settings: Settings | None = None) -> Path:
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
        settings = settings or saved
        free = {name: getattr(settings.training, name) for name in ("clips", "minutes", "workers", "threads")}
        if settings != replace(saved, report=settings.report, training=replace(saved.training, **free)):
            raise StyleganvError(
                "A resumed run keeps its settings; of training only --clips, --minutes, --workers and --threads may "
                f"change: start a new run with --finetune {run / 'model'} instead."
            )
        _check(settings)
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
        trainer = build_trainer(settings, dataset, device)
        try:
            trainer.load_state_dict(state)
        except (KeyError, ValueError, RuntimeError) as error:
            raise StyleganvError(
                f"{run / 'checkpoint.pt'} does not belong to {run / 'settings.yaml'}: restore that file."
            ) from error
        return _run(trainer, dataset, run, settings)


def _check(settings: Settings) -> None:
    """Raise a `StyleganvError` that names the first setting that cannot work."""
    method = get_method(settings.model.kind)
    method.check(settings)  # first, as its text says what this method needs
    check_settings(settings)


def _run(trainer: Trainer, data: VideoDataset, out: Path, settings: Settings) -> Path:
    """Check data and machine, then train."""
    training = settings.training
    clips = RealClips(
        data,
        num_frames=training.frames,
        max_span=training.max_span,
        seed=training.seed,
        mirror=training.mirror,
        conditional=training.conditional,
        draw=trainer.draw,
    )
    ordinary = torch.get_num_threads()

    def evaluate(videos: VideoModel) -> dict[str, float]:
        with working_threads(ordinary):  # those of the run are for its small steps
            return distance(videos, data, settings)

    evaluated = can_evaluate(data)
    with working_threads(training.threads):
        remarks = check_data(settings, data)
        if not evaluated and settings.report.evaluate_every is not None:
            remarks.append("Too few videos are long enough for an evaluation, so the run is not evaluated.")
        if trainer.step == 0:
            build = partial(build_trainer, settings, data, trainer.device)
            estimate = get_method(settings.model.kind).implementation().estimate_memory
            with loop.memory_errors():
                remarks.append(rehearse(settings, data, clips, build, estimate, trainer.device))
        if distributed.rank() == 0:
            for remark in remarks:
                say(remark)
        loop.run(trainer, clips, data, out, settings, evaluate if evaluated else None)
    return out / "model"
