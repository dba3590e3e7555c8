"""Upload and download of models: the Hugging Face Hub, or a local folder with the same files.

    model folder or run ──push──▶ user/name, or ./folder ──pull──▶ model folder

A repository is a model folder with a card. Only the files in `LAYOUT` are transferred, and none of them can execute.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from styleganv.errors import StyleganvError
from styleganv.files import atomic_write, check_destination
from styleganv.interop.card import CARD, NEIGHBORS, PREVIEW, write_card
from styleganv.methods.loading import load
from styleganv.model_folder import model_folder
from styleganv.progress import Progress
from styleganv.record import RECORD, read_record, without_paths, write_record

WEIGHTS = ("config.json", "model.safetensors")
#: Files that are transferred as they are.
COPIED = (*WEIGHTS, CARD, PREVIEW, NEIGHBORS)
LAYOUT = (*COPIED, RECORD)


def push(
    model: Path | str,
    dest: str,
    *,
    license: str | None = None,
    private: bool = False,
    token: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> str:
    """Upload a model folder or run; a card is added if neither the model nor the repository has one.

    Args:
        model: model folder, run, or name of a pretrained model.
        dest: `user/name` on the Hub, created if necessary; or a folder, starting with `.`, `/` or `~`.
        license: license identifier of the Hub for the card, e.g. mit.
        token: access token of the Hub. None: that of `hf auth login` or HF_TOKEN.
        overwrite: replace a model in the folder; a card in it stays, unless the model has its own. On the Hub a new
            commit keeps the old model.
        progress: callback for the preview, if a card is added; see `styleganv.progress`.

    Returns:
        The URL of the commit, or the folder.

    Raises:
        StyleganvError: if the model is invalid, the folder exists or contains other files, or the Hub rejects the
            upload or is not reachable.
    """
    folder = _local(dest)
    if folder is not None:
        check_destination(folder, overwrite=overwrite, contents=LAYOUT)
    source = model_folder(model)
    load(source, device="cpu")  # damaged models are not published
    if folder is not None:
        with atomic_write(folder, overwrite=overwrite, contents=LAYOUT) as tmp_path:
            old = [folder / name for name in (CARD, PREVIEW) if (folder / name).exists()]
            new = [source / name for name in COPIED if (source / name).exists()]
            for file in (*old, *new):
                shutil.copyfile(file, tmp_path / file.name)
            _write_published_record(source, tmp_path)
            if not (tmp_path / CARD).exists():
                write_card(source, tmp_path, name=folder.name, license=license, progress=progress)
        return str(folder)
    hub = _package()
    with _hub_errors(dest), tempfile.TemporaryDirectory() as card_folder:
        api = hub.HfApi(token=token)
        api.create_repo(dest, private=private, exist_ok=True)
        files = [source / name for name in COPIED if (source / name).exists()]
        _write_published_record(source, Path(card_folder))
        if not (source / CARD).exists() and not api.file_exists(dest, CARD):
            write_card(source, card_folder, name=dest, license=license, progress=progress)
        files += [file for file in Path(card_folder).iterdir() if file.name not in {known.name for known in files}]
        operations = [hub.CommitOperationAdd(file.name, file) for file in files]
        return str(api.create_commit(dest, operations, commit_message="Upload model with styleganv").commit_url)


def pull(
    source: str, dest: Path | str, *, revision: str | None = None, token: str | None = None, overwrite: bool = False
) -> Path:
    """Download a model to the folder `dest` and check that it loads.

    Args:
        source: `user/name` on the Hub; or a folder, starting with `.`, `/` or `~`.
        revision: branch, tag or commit. None: the main branch.
        token: access token of the Hub. None: that of `hf auth login` or HF_TOKEN.

    Raises:
        StyleganvError: if the model is invalid, `dest` exists or contains other files, or the Hub rejects the
            request or is not reachable.
    """
    dest = Path(dest)
    check_destination(dest, overwrite=overwrite, contents=LAYOUT)
    folder = _local(source)
    with atomic_write(dest, overwrite=overwrite, contents=LAYOUT) as tmp_path:
        if folder is not None:
            for file in (folder / name for name in LAYOUT):
                if file.exists():
                    shutil.copyfile(file, tmp_path / file.name)
        else:
            hub = _package()
            with _hub_errors(source):
                api = hub.HfApi(token=token)
                # All files of one commit, even if another is pushed meanwhile.
                info = api.model_info(source, revision=revision)
                for name in sorted({file.rfilename for file in info.siblings} & set(LAYOUT)):
                    api.hf_hub_download(source, name, revision=info.sha, local_dir=tmp_path)
            shutil.rmtree(tmp_path / ".cache", ignore_errors=True)
        missing = [name for name in WEIGHTS if not (tmp_path / name).exists()]
        if missing:
            raise StyleganvError(
                f"{source} is not a styleganv model (it has no {missing[0]}): pass another repository."
            )
        load(tmp_path, device="cpu")
    return dest


def _write_published_record(model: Path, folder: Path) -> None:
    """Write the record of a model, if it has one, without paths."""
    if record := read_record(model):
        write_record(folder, without_paths(record))


def _local(target: str) -> Path | None:
    """Return a folder, or None for a repository of the Hub; this depends on the text only, not on existing files."""
    if target.startswith((".", "~")) or Path(target).is_absolute():
        return Path(target).expanduser().resolve()
    if re.fullmatch(r"[\w.-]+/[\w.-]+", target):
        return None
    raise StyleganvError(f"Unknown model location {target!r}: pass USER/NAME on the Hub, or a folder, e.g. ./{target}.")


def _package() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise StyleganvError("The Hub requires huggingface_hub: run pip install 'styleganv[export]'.") from error
    return huggingface_hub


@contextmanager
def _hub_errors(repository: str) -> Iterator[None]:
    """Turn errors of the Hub's client into a `StyleganvError`."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise StyleganvError(f"{repository} is gated: request access on its page, then run `hf auth login`.") from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise StyleganvError(
            f"{repository} not found on the Hub: check its name and revision, or run `hf auth login` if it is private."
        ) from error
    except errors.LocalTokenNotFoundError as error:
        raise StyleganvError(
            f"Not logged in to the Hugging Face Hub, cannot write {repository}: run `hf auth login`."
        ) from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        remedy = "run `hf auth login` with an account that has access" if status in (401, 403) else "try again later"
        raise StyleganvError(f"The Hub rejected {repository} with status {status}: {remedy}.") from error
    except errors.HFValidationError as error:
        raise StyleganvError(f"Invalid repository name {repository}: pass USER/NAME.") from error
    # The underlying HTTP library differs between versions.
    except (errors.HTTPError, errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError) as error:
        raise StyleganvError(f"Cannot reach the Hub for {repository}: check the network and try again.") from error
