"""Who takes part in a study: every method, and every ablation of one."""

from dataclasses import dataclass, replace

from styleganv.config import RunConfig, get_preset
from styleganv.methods import METHODS, apply_ablation, apply_method


@dataclass(frozen=True)
class Entrant:
    """A method, perhaps without something; `published` as in its record."""

    title: str
    method: str
    ablation: str | None = None
    published: tuple[str, str, str] | None = None

    def config(self, preset_name: str, *, minutes: float, seed: int) -> RunConfig:
        """Those of the preset for this method, without pictures and evaluations, which would take of the time."""
        config = apply_ablation(apply_method(get_preset(preset_name), self.method), self.ablation)
        never = config.training.total_clips + 1
        return replace(
            config,
            training=replace(config.training, minutes=minutes, seed=seed),
            logging=replace(config.logging, snapshot_every=never, eval_every=None),
        )


def all_entrants() -> dict[str, Entrant]:
    """By the name that `--models` takes: methods, each followed by its ablations."""
    found = {}
    for name, method in METHODS.items():
        found[name] = Entrant(method.title, name, published=method.published)
        for ablation, variant in method.ablations.items():
            found[ablation] = Entrant(variant.title, name, ablation)
    return found
