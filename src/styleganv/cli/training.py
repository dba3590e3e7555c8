"""Commands that train."""

import io
import os
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from styleganv.cli.console import parse, progress_bar
from styleganv.cli.parsing import parse_names
from styleganv.config import (
    PRESETS,
    ModelConfig,
    RunConfig,
    SettingsFile,
    format_template,
    get_preset,
    load_settings,
    read_settings,
)
from styleganv.errors import StyleganvError
from styleganv.methods import METHODS, ablation_names, apply_ablation, apply_method
from styleganv.options import LaunchOptions, Repeats, StudyOptions, Unset
from styleganv.validation import check


def train_command(
    defaults: RunConfig, preset_name: str, ablations: Sequence[str] = (), command: str | None = None
) -> Callable[..., None]:
    """Return the command `train` with settings that start from a preset or from the run to resume.

    Args:
        defaults, preset_name, ablations: as of `train_defaults`.
        command: command line, for the record of the run.
    """

    def train(
        data: Annotated[
            Positional[Path | None], tyro.conf.DisallowNone, tyro.conf.arg(metavar="[DATA]", help_behavior_hint="")
        ] = None,
        /,
        out: Unset[Path] = None,
        preset: Annotated[str, tyro.conf.arg(help_behavior_hint="")] = preset_name,
        method: str = defaults.model.method,
        resume: Unset[Path] = None,
        or_resume: bool = False,
        finetune: Unset[Path] = None,
        ablation: Unset[str] = None,
        config: Unset[Path] = None,
        settings: OmitArgPrefixes[Annotated[RunConfig, tyro.conf.arg(name="")]] = defaults,
    ) -> None:
        from styleganv.runs import resume as run_resume
        from styleganv.runs import train as run_train

        if resume is not None:
            if out is not None or finetune is not None:
                raise StyleganvError("--resume continues a run in its own folder: omit --out and --finetune.")
            with progress_bar() as progress:
                folder = run_resume(resume, data=data, config=settings, command=command, progress=progress)
        elif data is None or out is None:
            raise StyleganvError("train requires DATA and --out, or --resume: pass them.")
        else:
            with progress_bar() as progress:
                folder = run_train(
                    data,
                    out,
                    settings,
                    finetune=finetune,
                    or_resume=or_resume,
                    preset=preset,
                    command=command,
                    progress=progress,
                )
        if os.environ.get("RANK", "0") == "0":
            print(f"Model: {folder}. Next: styleganv generate {folder} --out videos --seeds 0-7")

    # Names are listed for `train` itself only: a broken package with a method must not stop other commands.
    methods = list(METHODS) if ablations else []
    train.__doc__ = f"""Train on a dataset. Ctrl-C saves and exits; --resume resumes exactly where it stopped.

    Args:
        data: Dataset written by `styleganv prepare`; with --resume, only needed if it was moved.
        out: Run folder to create; required without --resume.
        preset: Preset to start from: {", ".join(PRESETS)}. Default: chosen by device and resolution.
        method: Method to train: {", ".join(methods)}.
        resume: Run folder to resume; only its length, workers, threads and logging may change.
        or_resume: Resume the run in --out if it exists; for requeued jobs.
        finetune: Model, run or pretrained model to start from; matching weights are copied.
        ablation: Variant of the method: {", ".join(ablations)}. Default: the method as published.
        config: YAML file of settings, as `styleganv config` prints it; options override it.
    """
    return train


def train_defaults(argv: list[str]) -> tuple[RunConfig, str, list[str]]:
    """Return the settings that `train` starts from, which the parser needs before it reads the other arguments.

    The preset is adapted to the method, then changed by the settings file, then by the ablation.
    """
    (data,), options = _parse_first(argv)
    if (resumed := options["resume"]) is not None:
        if options["config"] is not None:
            raise StyleganvError("--resume continues a run with its own settings: omit --config.")
        if not (resumed / "settings.yaml").is_file():
            raise StyleganvError(f"No run found in {resumed}: pass the folder given to --out.")
        return load_settings(resumed / "settings.yaml"), "as the run", ablation_names()
    file = SettingsFile(None, {}) if options["config"] is None else read_settings(options["config"])
    if file.method:
        check(f"{options['config']}: model.method", file.method, Literal[tuple(METHODS)])
    name = options["preset"] or file.preset or _fitting_preset(data)
    method = options["method"] or file.method or RunConfig().model.method
    config = file.apply(apply_method(get_preset(name), method))
    config = replace(config, model=replace(config.model, method=method))
    return apply_ablation(config, options["ablation"]), name, ablation_names()


def _parse_first(argv: list[str]) -> tuple[tuple[Path | None], dict[str, Any]]:
    """Return the arguments of `train` for any defaults; a usage error is left to the second reading."""
    command = train_command(RunConfig(model=ModelConfig(method="")), "")
    with redirect_stderr(io.StringIO()), suppress(SystemExit):
        return parse(command, [each for each in argv if each not in ("-h", "--help")], "train")
    return parse(command, [], "train")


def config(
    preset: Annotated[Positional[str], tyro.conf.arg(metavar="PRESET")], /, method: str = RunConfig().model.method
) -> None:
    """Print a settings file for `styleganv train --config`, with a comment for each setting.

    Args:
        preset: Preset to start from, e.g. tiny-cpu; `styleganv train --help` lists them.
        method: Method that the settings are adapted to, e.g. digan.
    """
    print(format_template(apply_method(get_preset(preset), method), preset), end="")


def _fitting_preset(data: Path | None) -> str:
    """Return the preset for this machine and the resolution of the dataset."""
    if data is None:  # --help does not wait for torch
        return "tiny-cpu"
    import torch

    from styleganv.data.dataset import VideoDataset

    if not torch.cuda.is_available():
        return "tiny-cpu"
    dataset = VideoDataset(data)
    side = max(dataset.height, dataset.width)
    presets = {64: "64", 128: "128", 256: "256-faces", 512: "512"}
    return next((name for limit, name in presets.items() if side <= limit), "1024")


def demo(out: Path = Path("runs/demo"), minutes: Unset[float] = None, quick: bool = False) -> None:
    """Show the pretrained models on one page, then fine-tune one on newly drawn videos.

    Args:
        out: Folder to write to; open its index.html.
        minutes: Training time in minutes. Default: 3, or 0.02 with --quick.
        quick: Only check the installation, in less than a minute.
    """
    from styleganv.demo import demo as run

    with progress_bar() as progress:
        run(out, minutes=minutes, quick=quick, progress=progress)


def study(
    data: Annotated[Positional[tuple[Path, ...]], tyro.conf.arg(metavar="[DATA ...]", help_behavior_hint="")] = (),
    /,
    out: Path = Path("runs/study"),
    methods: Unset[str] = None,
    protocols: Annotated[str, tyro.conf.arg(help_behavior_hint="")] = "",
    num_repeats: Repeats = 1,
    options: OmitArgPrefixes[Annotated[StudyOptions, tyro.conf.arg(name="")]] = StudyOptions(),
    launch: OmitArgPrefixes[Annotated[LaunchOptions, tyro.conf.arg(name="")]] = LaunchOptions(),
    print_commands: bool = False,
    show_real: bool = True,
) -> None:
    """Train methods and ablations on the same data for the same time, and compare them.

    Rerun the command to continue an interrupted study; add datasets, methods or repeats to extend it.

    Args:
        data: Datasets written by `styleganv prepare`. Default: the built-in faces.
        out: Folder for models, measurements, and comparison.md (.csv, .tex) with animations.
        methods: Comma-separated methods and ablations. Default: all methods, with the ablations of their papers.
        protocols: Additional protocols of `styleganv evaluate`, e.g. fvd2048_16f. Default: none.
        num_repeats: Trials per method and dataset (seeds 0, 1, …); 2 or more give a standard error.
        print_commands: Print one command per trial, e.g. for an array job, and run none; rerun to compare.
        show_real: Include real videos in the animations; disable if they must not be published.
    """
    from styleganv.study.study import create_trials, trial_commands
    from styleganv.study.study import study as run

    chosen: dict[str, Any] = {
        "methods": None if methods is None else parse_names(methods),
        "protocols": parse_names(protocols),
        "num_repeats": num_repeats,
        "options": options,
    }
    if print_commands:
        for command in trial_commands(create_trials(data, out, **chosen), launch):
            print(command)
        return
    with progress_bar() as progress:
        page = run(data, out, **chosen, launch=launch, show_real=show_real, progress=progress)
    print(f"Comparison: {page}")
