"""How a model is loaded, saved and published, under the names that diffusers and huggingface_hub use.

folder, run, name, USER/NAME ──from_pretrained──▶ VideoModel ──save_pretrained──▶ folder
                                                             ──push_to_hub──────▶ USER/NAME
"""

import re
import tempfile
from pathlib import Path
from typing import Any, Self, cast

import torch
from torch import nn

from styleganv.errors import StyleganvError
from styleganv.label_space import LabelSpace
from styleganv.model_folder import FORMAT, is_model, save_again
from styleganv.options import Precision

#: A repository of the Hub.
REPOSITORY = re.compile(r"\w[\w.-]*/[\w.-]+")


class ModelHubMixin:
    """Loading, saving and publishing of a `VideoModel`.

    Loading and publishing are done by the package's public functions, which lie above this file. They are looked up
    when they are called.
    """

    network: nn.Module
    name: str
    fps: float
    labels: LabelSpace
    config: dict[str, Any]
    source: Path | None

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: Path | str,
        *,
        revision: str | None = None,
        token: str | None = None,
        device: str | torch.device | None = None,
        torch_dtype: torch.dtype = torch.float32,
    ) -> Self:
        """Load a model from a folder, a run, the package or the Hugging Face Hub.

        Args:
            pretrained_model_name_or_path: model folder, run, name of a model that comes with the package, or
                `user/name` on the Hub. What exists locally comes first, unless there is a `revision`.
            revision: branch, tag or commit of the Hub.
            token: access token of the Hub. None: that of `hf auth login` or HF_TOKEN.
            device: torch device. None: the GPU if available.
            torch_dtype: type that convolutions compute in, float32 or bfloat16.

        Raises:
            StyleganvError: as `styleganv.load` and `styleganv.pull`, and if the model is not of the class this is
                called on.
        """
        import styleganv

        path, name = Path(pretrained_model_name_or_path), str(pretrained_model_name_or_path)
        if revision is not None or (REPOSITORY.fullmatch(name) and not is_model(path) and not path.exists()):
            path = styleganv.pull(name, revision=revision, token=token)
        model = styleganv.load(path, device=device, precision=precision_of(torch_dtype))
        if not isinstance(model, cls):
            raise StyleganvError(f"{name} is a model of {model.name}: call VideoModel.from_pretrained.")
        return model

    def save_pretrained(self, save_directory: Path | str, *, overwrite: bool = False) -> None:
        """Write a model folder with the present weights, atomically.

        The other files of the folder that it was loaded from come along: card, preview, discriminators, `clip/`.

        Raises:
            StyleganvError: if the folder exists or cannot be written, or the model states no method.
        """
        if "model" not in self.config:
            raise StyleganvError(
                f"This model of {self.name} was built without a config, which names its method: build it with e.g. "
                "config={'model': 'stylegan-v'}."
            )
        data = {"fps": self.fps, **self.labels.to_dict()}
        config = {"format": FORMAT, "training": {}} | self.config | {"data": self.config.get("data", {}) | data}
        save_again(save_directory, self.network, config, source=self.source, overwrite=overwrite)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        commit_message: str = "Upload model with styleganv",
        private: bool = False,
        token: str | None = None,
        license: str | None = None,
    ) -> str:
        """Upload the model with its present weights to the Hugging Face Hub, and return the URL of the commit.

        Args:
            repo_id: `user/name`, created if necessary.
            commit_message: first line of the commit.
            private: create a private repository.
            token: access token of the Hub. None: that of `hf auth login` or HF_TOKEN.
            license: license identifier of the Hub for a new card, e.g. mit.

        Raises:
            StyleganvError: if `repo_id` is no repository, or the Hub rejects the upload or is not reachable.
        """
        import styleganv

        if not REPOSITORY.fullmatch(repo_id):
            raise StyleganvError(f"Unknown repository {repo_id!r}: pass USER/NAME; save_pretrained writes a folder.")
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(Path(folder) / "model")
            return styleganv.push(
                Path(folder) / "model",
                repo_id,
                license=license,
                private=private,
                token=token,
                commit_message=commit_message,
            )


def precision_of(dtype: torch.dtype) -> Precision:
    """Return the precision of that type. Raises StyleganvError if convolutions cannot compute in it."""
    precision = str(dtype).removeprefix("torch.")
    if precision not in ("float32", "bfloat16"):
        raise StyleganvError(f"Type must be torch.float32 or torch.bfloat16, got {dtype}: choose one of them.")
    return cast(Precision, precision)
