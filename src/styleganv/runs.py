"""Start and resume training runs: open dataset, settings and models, and hand the loop its trainer."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from styleganv import distributed
from styleganv.config import RunConfig, load_settings, read_settings, save_settings
from styleganv.data.dataset import VideoDataset, dataset_of_run
from styleganv.data.inspect import choose_slot_distance
from styleganv.errors import StyleganvError, describe
from styleganv.evaluation import can_evaluate, distance
from styleganv.files import atomic_write, check_destination
from styleganv.methods import build_trainer, get_method
from styleganv.methods.stylegan_v.finetune import (
    copy_matching_weights,
    copy_projected,
    describe_differences,
    load_pretrained,
    match_pretrained,
)
from styleganv.methods.stylegan_v.trainer import GanTrainer, build_networks
from styleganv.model_folder import MODEL_FILES
from styleganv.openmp import working_threads
from styleganv.progress import Progress
from styleganv.record import RECORD, RunRecord, describe_dataset, new_id, new_session, read_record
from styleganv.training import loop
from styleganv.training.batches import ClipDataset
from styleganv.training.checkpoint import has_checkpoint, load_checkpoint, set_damaged_aside
from styleganv.training.control import OUTPUT_FILE, STOP_FILE, remove_stop_request
from styleganv.training.fitting import choose_memory, memory_errors, memory_options
from styleganv.training.preflight import check_data, check_settings, dry_run, run_summary
from styleganv.training.trainer import Trainer
from styleganv.video_model import VideoModel

logger = logging.getLogger(__name__)

#: Files and folders of a run whose loss does not end it.
REPORT_FILES = ("log.jsonl", "curves.png", "index.html")
REPORT_FOLDERS = ("snapshots", "tensorboard", "wandb", "mlruns")
#: Files of a run, besides its folders.
RUN_FILES = ("settings.yaml", "data.txt", "checkpoint.pt", "checkpoint.previous.pt", RECORD, *REPORT_FILES)
#: All that a run folder may hold before a new run starts in it.
RUN_CONTENTS = (
    ".lock",
    STOP_FILE,
    OUTPUT_FILE,
    *RUN_FILES,
    *(f"{folder}/{name}" for folder in ("model", "best") for name in MODEL_FILES),
    *(f"{name}/*" for name in (*REPORT_FILES, *REPORT_FOLDERS)),
    *REPORT_FOLDERS,
)
#: How long to wait for the lock of a run: `styleganv runs` takes it for a moment, to see whether it is free.
LOCK_SECONDS = 0.3
#: Training settings that a resumed run may change; they do not affect the math (threads only affect rounding).
FREE = ("total_clips", "minutes", "target_distance", "num_workers", "num_threads", "compile")


def train(
    data: Path | str,
    out: Path | str,
    config: RunConfig,
    *,
    finetune: Path | str | None = None,
    or_resume: bool = False,
    preset: str | None = None,
    command: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Train on a prepared dataset into a new run folder.

    Args:
        data: dataset written by `styleganv prepare`.
        out: run folder; it must not hold a run already.
        finetune: model folder or run to initialize from; matching weights of its generator and, if it has one, its
            discriminator are copied.
        or_resume: resume the run in `out` if it exists, for jobs that are requeued after a crash.
        preset: name of the preset that `config` started from, for the log and the record.
        command: command line that started the training, for the record.
        progress: called with the completed thousandths, 1000, and a note; an exception that it raises ends training.

    Returns:
        The model folder, `out/model`.

    Raises:
        StyleganvError: if dataset, settings and memory do not fit together, if training diverges, or if another process
            uses `out`.
        InterruptedTraining: after Ctrl-C, SIGTERM, SIGHUP or a request to stop, once everything is saved.
    """
    out = Path(out)
    with distributed.processes() as device, _lock(out):
        if has_checkpoint(out):
            if not or_resume:
                raise StyleganvError(
                    f"{out} already holds a run: resume it with --resume {out}, or choose another --out."
                )
            distributed.run_on_first(partial(set_damaged_aside, out / "checkpoint.pt"))
            return _resume(out, data, config if finetune is None else None, device, command, progress)
        distributed.run_on_first(partial(_check_new, out))
        dataset = VideoDataset(data)
        trainer = _new_trainer(config, dataset, device, finetune)
        distributed.run_on_first(partial(_describe, out, trainer.config, dataset, preset))
        record = RunRecord(new_id(), preset, None if finetune is None else str(finetune))
        return _run(trainer, dataset, out, record, command, progress)


@contextmanager
def _lock(run: Path) -> Iterator[None]:
    """Lock a run folder for this process, or for all processes of torchrun.

    The operating system releases the lock when process 0 ends, however that happens. What is created here for a run
    which then does not start is removed.

    Raises:
        StyleganvError: if another process uses the folder, or it cannot be written.
    """
    lock, is_new = FileLock(run / ".lock", timeout=LOCK_SECONDS), not (run / ".lock").exists()
    missing = [parent for parent in run.parents if not parent.exists()]

    def acquire() -> None:
        try:
            run.mkdir(parents=True, exist_ok=True)
            lock.acquire()
            remove_stop_request(run)  # of an earlier training
        except Timeout as error:
            raise StyleganvError(f"Another process uses {run}: wait until it ends, or choose another --out.") from error
        except OSError as error:
            raise StyleganvError(f"Cannot write {run} ({error.strerror}): choose another --out.") from error

    distributed.run_on_first(acquire)
    try:
        yield
    finally:
        if is_new and lock.is_locked and not (run / "settings.yaml").exists():
            with suppress(OSError):
                (run / ".lock").unlink()
                for folder in (run, *missing):
                    folder.rmdir()  # fails if it holds anything
        lock.release()


def _describe(run: Path, config: RunConfig, data: VideoDataset, preset: str | None) -> None:
    """Write what a resumed run is checked against."""
    save_settings(config, run / "settings.yaml", preset)
    with atomic_write(run / "data.txt", overwrite=True) as tmp_path:
        tmp_path.write_bytes(os.fsencode(data.path.resolve()) + f"\n{data.content_hash}\n".encode())


def _check_new(out: Path) -> None:
    """Raise a StyleganvError if a new run would replace files that no run has written.

    A file in the place of a folder, or the reverse, only stops the report that belongs there.
    """
    check_destination(out, overwrite=True, contents=RUN_CONTENTS)
    # A run that was killed before its first checkpoint has settings, and starts over.
    overwrite = True if (out / "settings.yaml").exists() else None
    files = [out / name for name in RUN_FILES if name not in REPORT_FILES or (out / name).is_file()]
    folders = [out / name for name in REPORT_FOLDERS if (out / name).is_dir()]
    check_destination(*files, overwrite=overwrite)
    check_destination(out / "model", out / "best", overwrite=overwrite, contents=MODEL_FILES)
    check_destination(*folders, overwrite=overwrite, contents=("*",))


def _new_trainer(config: RunConfig, data: VideoDataset, device: torch.device, finetune: Path | str | None) -> Trainer:
    """Return a trainer with new or pretrained networks; its config is the run's."""
    if finetune is None:
        if config.training.freeze_d:
            raise StyleganvError("--freeze-d requires a pretrained discriminator: pass --finetune too.")
        return build_trainer(_complete(config, data, device), data, device)
    if config.model.method not in ("stylegan-v", "stylegan2"):
        raise StyleganvError(
            f"--finetune requires --method stylegan-v or stylegan2, got {config.model.method}: omit --finetune."
        )
    pretrained = load_pretrained(finetune)
    given, config = config, _complete(match_pretrained(config, pretrained), data, device)
    networks = build_networks(config, data, device)
    replaced = describe_differences(given, config)
    notes = [*([replaced] if replaced else []), *copy_matching_weights(pretrained, config, *networks)]
    trainer = GanTrainer(config, *networks)
    if trainer.projected is not None:
        notes.append(copy_projected(pretrained, trainer.projected))
    for note in notes:
        _log(note)
    return trainer


def _complete(config: RunConfig, data: VideoDataset, device: torch.device) -> RunConfig:
    """Check the settings and the dataset, and return the settings with those that are chosen by dataset and memory."""
    _check(config)
    check_data(config, data)  # before anything takes time; warnings follow later
    return _fit_memory(_choose_slot_distance(config, data), data, device)


def resume(
    run: Path | str,
    *,
    data: Path | str | None = None,
    config: RunConfig | None = None,
    command: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Resume a run exactly at its last checkpoint: weights, optimizers, augmentation and data order.

    Args:
        data: path of the dataset, if it was moved.
        config: the run's own settings; `total_clips`, `minutes`, `target_distance`, `num_workers`, `num_threads`,
            `compile` and the logging group may differ.
        command: command line that resumes it, for the record.

    Raises:
        StyleganvError: if the run is damaged, in use, or was trained on another dataset or with other settings.
    """
    run = Path(run)
    if not has_checkpoint(run):
        raise StyleganvError(f"No run found in {run}: pass the folder given to --out.")
    with distributed.processes() as device, _lock(run):
        return _resume(run, data, config, device, command, progress)


def _resume(
    run: Path,
    data: Path | str | None,
    config: RunConfig | None,
    device: torch.device,
    command: str | None,
    progress: Progress | None,
) -> Path:
    """Resume a run that this process has locked."""
    state = load_checkpoint(run / "checkpoint.pt")
    saved = load_settings(run / "settings.yaml")
    config = _keep_chosen_settings(config, saved) if config else saved
    free = {name: getattr(config.training, name) for name in FREE}
    if config != replace(saved, logging=config.logging, training=replace(saved.training, **free)):
        raise StyleganvError(
            "A resumed run keeps its settings, except --total-clips, --minutes, --target-distance, --num-workers, "
            "--num-threads, --compile and the logging options: start a new run with --finetune "
            f"{run / 'model'} instead."
        )
    _check(config)
    dataset = _open_dataset(run, data)
    trainer = build_trainer(config, dataset, device)
    try:
        trainer.load_state_dict(state)
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        raise StyleganvError(
            f"The checkpoint of {run} does not match {run / 'settings.yaml'} ({describe(error)}): restore the original "
            "files."
        ) from error
    return _run(trainer, dataset, run, _read_record(run), command, progress)


def _read_record(run: Path) -> RunRecord:
    """Return the record of a run, or a new one for a run of before and for a damaged one."""
    record = None
    try:
        record = read_record(run)
    except StyleganvError as error:
        _log(f"{error} A new record begins.")
    return record or RunRecord(new_id(), read_settings(run / "settings.yaml").preset)


def _keep_chosen_settings(config: RunConfig, saved: RunConfig) -> RunConfig:
    """Return the settings with those of the saved ones that `train` has chosen, unless they set them.

    These are the slot distance, and micro-batches and gradient checkpointing, which do not change the result.
    """
    model, training = config.model, config.training
    if model.slot_distance == "auto":
        model = replace(model, slot_distance=saved.model.slot_distance)
    if not (training.micro_batch_size or training.gradient_checkpointing):
        names = ("micro_batch_size", "gradient_checkpointing")
        training = replace(training, **{name: getattr(saved.training, name) for name in names})
    return replace(config, model=model, training=training)


def _open_dataset(run: Path, data: Path | str | None) -> VideoDataset:
    """Return the dataset of a run, checked by its hash."""
    try:
        path, content_hash = dataset_of_run(run)
    except (OSError, ValueError) as error:
        raise StyleganvError(
            f"Cannot read {run / 'data.txt'}, which names the dataset: restore it, or start a new run with --finetune "
            f"{run / 'model'}."
        ) from error
    if data is None and not path.exists():
        raise StyleganvError(
            f"The dataset of {run} is no longer at {path}: pass its new path (styleganv train DATA --resume {run})."
        )
    dataset = VideoDataset(data or path)
    if dataset.content_hash != content_hash:
        raise StyleganvError(
            f"{dataset.path} is not the dataset that {run} was trained on: pass the original "
            f"(styleganv train DATA --resume {run}), or start a new run with --finetune {run / 'model'}."
        )
    return dataset


def _choose_slot_distance(config: RunConfig, data: VideoDataset) -> RunConfig:
    """Return the settings with a number as slot distance, and log one that was estimated."""
    if config.model.slot_distance != "auto" or config.model.method != "stylegan-v" or config.model.motion != "conv":
        return config
    _log("Estimating the slot distance from the dataset …")
    chosen, *_ = distributed.all_gather(choose_slot_distance(config, data))  # rounding may differ between machines
    _log(f"Slot distance: {chosen.model.slot_distance} frames.")
    return chosen


def _fit_memory(config: RunConfig, data: VideoDataset, device: torch.device) -> RunConfig:
    """Return the settings with micro-batches and gradient checkpointing that fit the GPUs, and log a change."""
    estimate_memory = get_method(config.model.method).implementation().estimate_memory
    fitting = choose_memory(config, ClipDataset(data, config.training), estimate_memory, device, _is_supported)
    if fitting != config:
        _log(f"To fit in the memory of the GPU, added {memory_options(fitting, config)}.")
    return fitting


def _is_supported(config: RunConfig) -> bool:
    try:
        _check(config)
    except StyleganvError:
        return False
    return True


def _check(config: RunConfig) -> None:
    """Raise a `StyleganvError` for the first invalid setting."""
    get_method(config.model.method).check(config)  # first, because its errors name the method's requirements
    check_settings(config)


def _run(
    trainer: Trainer, data: VideoDataset, out: Path, record: RunRecord, command: str | None, progress: Progress | None
) -> Path:
    """Check dataset and machine, then train."""
    config = trainer.config
    session = new_session(
        trainer.device, num_processes=distributed.world_size(), clips_seen=trainer.clips_seen, command=command
    )
    record = replace(record, dataset=describe_dataset(data), settings=asdict(config)).resumed(session)
    clips = ClipDataset(data, config.training, frame_sampler=trainer.frame_sampler)
    default_threads = torch.get_num_threads()

    def evaluate(videos: VideoModel) -> dict[str, float]:
        with working_threads(default_threads):  # a run's number of threads suits its small steps
            return distance(videos, data, config.logging.eval_clips)

    is_evaluated = can_evaluate(data)
    with working_threads(config.training.num_threads):
        for warning in check_data(config, data):
            _log(warning)
        if not is_evaluated and config.training.target_distance is not None:
            raise StyleganvError(
                f"--target-distance requires evaluations, but {data.path} has too few long videos: pass --minutes."
            )
        if not is_evaluated and config.logging.eval_every is not None:
            _log("Too few videos are long enough for an evaluation; skipping evaluations.")
        cost = None
        if trainer.step == 0:
            build = partial(build_trainer, config, data, trainer.device)
            estimate_memory = get_method(config.model.method).implementation().estimate_memory
            with memory_errors(config, _is_supported):
                cost = dry_run(config, clips, build, estimate_memory, trainer.device, _is_supported)
        _log(run_summary(trainer, data, record.preset, cost))
        with memory_errors(config, _is_supported):
            loop.run(trainer, clips, out, record=record, evaluate=evaluate if is_evaluated else None, progress=progress)
    return out / "model"


def _log(message: str) -> None:
    if distributed.rank() == 0:
        logger.info(message)
