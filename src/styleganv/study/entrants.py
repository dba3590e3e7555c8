"""Who takes part in a study: every method, and every ablation of one."""

from dataclasses import dataclass, replace

from styleganv.methods import METHODS, apply_ablation, apply_method
from styleganv.recipes import Settings, preset


@dataclass(frozen=True)
class Entrant:
    """A method, perhaps without something; `published` as in its record."""

    title: str
    method: str
    ablation: str | None = None
    published: tuple[str, str, str] | None = None

    def settings(self, preset_name: str, *, minutes: float, seed: int) -> Settings:
        """Those of the preset for this method, without pictures and evaluations, which would take of the time."""
        settings = apply_ablation(apply_method(preset(preset_name), self.method), self.ablation)
        never = settings.training.clips + 1
        return replace(
            settings,
            training=replace(settings.training, minutes=minutes, seed=seed),
            report=replace(settings.report, snapshot_every=never, evaluate_every=None),
        )


def all_entrants() -> dict[str, Entrant]:
    """By the name that `--models` takes: methods, each followed by its ablations."""
    found = {}
    for name, method in METHODS.items():
        found[name] = Entrant(method.title, name, published=method.published)
        for ablation, variant in method.ablations.items():
            found[ablation] = Entrant(variant.title, name, ablation)
    return found
