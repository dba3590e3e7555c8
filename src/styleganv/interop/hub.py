"""Models to and from the Hugging Face hub, or a folder laid out like a repository there.

    model folder or run ──push──▶ user/name, or ./folder ──pull──▶ model folder

A repository is a model folder with a card: the files of `LAYOUT` and no others are sent and fetched. So nothing that
executes can come along.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from styleganv.errors import StyleganvError
from styleganv.files import atomic_write
from styleganv.interop.card import CARD, PREVIEW, write_card
from styleganv.methods.loading import load
from styleganv.model_folder import model_folder

WEIGHTS = ("config.json", "model.safetensors")
LAYOUT = (*WEIGHTS, CARD, PREVIEW)


def push(
    model: Path | str, dest: str, *, license: str | None = None, private: bool = False, token: str | None = None
) -> str:
    """Publish a model folder or run, with a card where neither it nor the repository has one.

    Args:
        dest: `user/name` on the hub, made where it does not exist; or a folder, which begins with `.`, `/` or `~`.
        license: for the card; an identifier that the hub knows, such as mit.
        private: whether a new repository can be seen by its owner only.
        token: of the hub; the one that `hf auth login` or HF_TOKEN left, where left out.

    Returns:
        Where it is now: an address, or the folder.

    Raises:
        StyleganvError: if there is no valid model, the folder holds anything but an earlier model, or the hub refuses
            or cannot be reached.
    """
    source = model_folder(model)
    load(source, device="cpu")  # what is damaged is not published
    folder = _local(dest)
    if folder is not None:
        _refuse_other_than_a_model(folder)
        with atomic_write(folder) as tmp_path:
            tmp_path.mkdir()
            kept = [folder / name for name in (CARD, PREVIEW) if (folder / name).exists()]
            own = [source / name for name in LAYOUT if (source / name).exists()]
            for file in (*kept, *own):
                shutil.copyfile(file, tmp_path / file.name)
            if not (tmp_path / CARD).exists():
                write_card(source, tmp_path, name=folder.name, license=license)
        return str(folder)
    hub = _package()
    with _hub_errors(dest), tempfile.TemporaryDirectory() as made:
        api = hub.HfApi(token=token)
        api.create_repo(dest, private=private, exist_ok=True)
        files = [source / name for name in LAYOUT if (source / name).exists()]
        if not (source / CARD).exists() and not api.file_exists(dest, CARD):
            write_card(source, made, name=dest, license=license)
            files += [file for file in Path(made).iterdir() if file.name not in {known.name for known in files}]
        added = [hub.CommitOperationAdd(file.name, file) for file in files]
        return str(api.create_commit(dest, added, commit_message="Model of styleganv").commit_url)


def pull(source: str, dest: Path | str, *, revision: str | None = None, token: str | None = None) -> Path:
    """Fetch a model into the new folder `dest`, whole or not at all, and check that it loads.

    Args:
        source: `user/name` on the hub; or a folder, which begins with `.`, `/` or `~`.
        revision: a branch, tag or commit of the hub; its main branch where left out.
        token: of the hub; the one that `hf auth login` or HF_TOKEN left, where left out.

    Raises:
        StyleganvError: if there is no valid model, `dest` exists, or the hub refuses or cannot be reached.
    """
    dest = Path(dest)
    if dest.exists():
        raise StyleganvError(f"{dest} exists already: give a new folder for the model.")
    folder = _local(source)
    with atomic_write(dest) as tmp_path:
        tmp_path.mkdir()
        if folder is not None:
            for file in (folder / name for name in LAYOUT):
                if file.exists():
                    shutil.copyfile(file, tmp_path / file.name)
        else:
            hub = _package()
            with _hub_errors(source):
                api = hub.HfApi(token=token)
                # One commit for all files, whatever is pushed meanwhile.
                info = api.model_info(source, revision=revision)
                for name in sorted({file.rfilename for file in info.siblings} & set(LAYOUT)):
                    api.hf_hub_download(source, name, revision=info.sha, local_dir=tmp_path)
            shutil.rmtree(tmp_path / ".cache", ignore_errors=True)
        missing = [name for name in WEIGHTS if not (tmp_path / name).exists()]
        if missing:
            raise StyleganvError(f"{source} is not a model of styleganv, as it has no {missing[0]}: give another.")
        load(tmp_path, device="cpu")
    return dest


def _local(place: str) -> Path | None:
    """The folder that `place` names, or None for a repository of the hub; what it is never depends on the disk."""
    if place.startswith((".", "~")) or Path(place).is_absolute():
        return Path(place).expanduser().resolve()
    if re.fullmatch(r"[\w.-]+/[\w.-]+", place):
        return None
    raise StyleganvError(f"{place} is no place for a model: give USER/NAME of the hub, or a folder such as ./{place}.")


def _refuse_other_than_a_model(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or {file.name for file in folder.iterdir()} - set(LAYOUT)):
        raise StyleganvError(f"{folder} holds more than a published model: choose a new folder.")


def _package() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise StyleganvError("The hub needs the package huggingface_hub: pip install 'styleganv[export]'.") from error
    return huggingface_hub


@contextmanager
def _hub_errors(repository: str) -> Iterator[None]:
    """Every way in which the hub can fail, as one sentence."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise StyleganvError(f"{repository} is gated: ask for access on its page, then hf auth login.") from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise StyleganvError(
            f"The hub has no {repository}, or not for you: check its name and revision, or hf auth login if private."
        ) from error
    except errors.LocalTokenNotFoundError as error:
        raise StyleganvError(f"The hub does not know you, so {repository} cannot be written: hf auth login.") from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        remedy = "hf auth login as somebody who may" if status in (401, 403) else "try again later"
        raise StyleganvError(f"The hub refused {repository} with status {status}: {remedy}.") from error
    except errors.HFValidationError as error:
        raise StyleganvError(f"{repository} is no name of a repository: give USER/NAME.") from error
    # Of the HTTP library underneath, which is another one from version to version.
    except (errors.HTTPError, errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError) as error:
        raise StyleganvError(f"The hub cannot be reached for {repository}: check the network and try again.") from error
