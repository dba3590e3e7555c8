"""Upload and download of models: the Hugging Face Hub, or a local folder with the same files.

    model folder or run ──push──▶ user/name, or ./folder ──pull──▶ model folder

A repository is a model folder with a card. Only the files in `PUBLISHED_FILES` are transferred, and none of them can
execute.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from styleganv.errors import StyleganvError
from styleganv.files import atomic_write, check_destination
from styleganv.hub_mixin import REPOSITORY
from styleganv.interop.card import write_card
from styleganv.methods.loading import load
from styleganv.model_folder import CARD, PREVIEW, PUBLISHED_FILES, WEIGHTS, copy_files, model_folder
from styleganv.progress import Progress
from styleganv.record import RECORD, read_record, without_paths, write_record


def push(
    model: Path | str,
    dest: str,
    *,
    license: str | None = None,
    private: bool = False,
    token: str | None = None,
    commit_message: str = "Upload model with styleganv",
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
            commit replaces the old model, which earlier commits keep.
        progress: callback for the preview, if a card is added; see `styleganv.progress`.

    Returns:
        The URL of the commit, or the folder.

    Raises:
        StyleganvError: if the model is invalid, the folder exists or contains other files, or the Hub rejects the
            upload or is not reachable.
    """
    folder = _local(dest)
    if folder is not None:
        check_destination(folder, overwrite=overwrite, contents=PUBLISHED_FILES)
    source = model_folder(model)
    load(source, device="cpu")  # damaged models are not published
    if folder is not None:
        with atomic_write(folder, overwrite=overwrite, contents=PUBLISHED_FILES) as tmp_path:
            copy_files(folder, tmp_path, (CARD, PREVIEW))
            _copy_published(source, tmp_path)
            if not (tmp_path / CARD).exists():
                write_card(source, tmp_path, name=folder.name, license=license, progress=progress)
        return str(folder)
    hub = _package()
    with _hub_errors(dest), tempfile.TemporaryDirectory() as tmp_folder:
        api, tmp_path = hub.HfApi(token=token), Path(tmp_folder)
        api.create_repo(dest, private=private, exist_ok=True)
        old = {file.rfilename for file in api.model_info(dest).siblings} & set(PUBLISHED_FILES)
        _copy_published(source, tmp_path)
        if not (tmp_path / CARD).exists() and CARD not in old:
            write_card(source, tmp_path, name=dest, license=license, progress=progress)
        new = [name for name in PUBLISHED_FILES if (tmp_path / name).exists()]
        changes = [hub.CommitOperationAdd(name, tmp_path / name) for name in new]
        # What the new model lacks; a card and its preview stay.
        changes += [hub.CommitOperationDelete(name) for name in sorted(old - {*new, CARD, PREVIEW})]
        return str(api.create_commit(dest, changes, commit_message=commit_message).commit_url)


def pull(
    source: str,
    dest: Path | str | None = None,
    *,
    revision: str | None = None,
    token: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Download a model, check that it loads, and return its folder.

    Args:
        source: `user/name` on the Hub; or a folder, starting with `.`, `/` or `~`.
        dest: folder to write. None: the cache of huggingface_hub, which downloads nothing twice and works offline.
        revision: branch, tag or commit. None: the main branch.
        token: access token of the Hub. None: that of `hf auth login` or HF_TOKEN.

    Raises:
        StyleganvError: if the model is invalid, `dest` exists or contains other files, or the Hub rejects the
            request or is not reachable.
    """
    folder = _local(source)
    if dest is None:
        cached = _download(source, revision, token) if folder is None else folder
        _check_model(cached, source)
        return cached
    dest = Path(dest)
    check_destination(dest, overwrite=overwrite, contents=PUBLISHED_FILES)
    with atomic_write(dest, overwrite=overwrite, contents=PUBLISHED_FILES) as tmp_path:
        if folder is not None:
            copy_files(folder, tmp_path, PUBLISHED_FILES)
        else:
            _download(source, revision, token, local_dir=tmp_path)
            shutil.rmtree(tmp_path / ".cache", ignore_errors=True)
        _check_model(tmp_path, source)
    return dest


def _copy_published(model: Path, folder: Path) -> None:
    """Copy the files of a model to publish, its record without paths."""
    copy_files(model, folder, [name for name in PUBLISHED_FILES if name != RECORD])
    if record := read_record(model):
        write_record(folder, without_paths(record))


def _download(repository: str, revision: str | None, token: str | None, local_dir: Path | None = None) -> Path:
    """Download the files of one commit to `local_dir`, by default to the cache, and return their folder."""
    hub = _package()
    with _hub_errors(repository):
        return Path(
            hub.snapshot_download(
                repository,
                revision=revision,
                token=token,
                local_dir=local_dir,
                allow_patterns=list(PUBLISHED_FILES),
            )
        )


def _check_model(folder: Path, source: str) -> None:
    """Raise a StyleganvError if the folder is no model or a damaged one."""
    missing = [name for name in WEIGHTS if not (folder / name).exists()]
    if missing:
        raise StyleganvError(f"{source} is not a styleganv model (it has no {missing[0]}): pass another repository.")
    load(folder, device="cpu")


def _local(target: str) -> Path | None:
    """Return a folder, or None for a repository of the Hub; this depends on the text only, not on existing files."""
    if target.startswith((".", "~")) or Path(target).is_absolute():
        return Path(target).expanduser().resolve()
    if REPOSITORY.fullmatch(target):
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
