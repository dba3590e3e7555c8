"""Who takes part in a study."""

from dataclasses import dataclass, replace

from styleganv.recipes import Settings, ablated, of_kind, preset


@dataclass(frozen=True)
class Entrant:
    """A kind of model, perhaps without something.

    Attributes:
        title: for tables.
        kind: of `recipes.KINDS`.
        ablation: of `recipes.ABLATIONS`, or None.
        published: FVD over 16 frames and over 128 ("–": none) on FaceForensics, SkyTimelapse and UCF101 at 256², as
            the StyleGAN-V paper and those after it print them.
    """

    title: str
    kind: str
    ablation: str | None = None
    published: tuple[str, str, str] | None = None

    def settings(self, preset_name: str, *, minutes: float, seed: int) -> Settings:
        """Those of the preset for this kind, without pictures and evaluations, which would take of the time."""
        settings = ablated(of_kind(preset(preset_name), self.kind), self.ablation)
        never = settings.training.clips + 1
        return replace(
            settings,
            training=replace(settings.training, minutes=minutes, seed=seed),
            report=replace(settings.report, snapshot_every=never, evaluate_every=None),
        )


#: By the name that `--models` takes.
ENTRANTS = {
    "stylegan-v": Entrant("StyleGAN-V", "stylegan-v", published=("47.4 / –", "79.5 / 197.0", "1431.0 / 1773.4")),
    "lstm": Entrant("StyleGAN-V, LSTM motion", "stylegan-v", "lstm"),
    "unconditioned": Entrant("StyleGAN-V, times not told", "stylegan-v", "unconditioned"),
    "more-frames": Entrant("StyleGAN-V, 8 frames a clip", "stylegan-v", "more-frames"),
    "stylegan2": Entrant("StyleGAN2 (images)", "stylegan2"),
    "mocogan": Entrant("MoCoGAN", "mocogan", published=("124.7 / 257.3", "206.6 / 575.9", "2886.9 / 3679.0")),
    "mocogan-stylegan2": Entrant("MoCoGAN + StyleGAN2", "mocogan-stylegan2"),
    "digan": Entrant("DIGAN", "digan", published=("62.5 / 1824.7", "83.1 / 196.7", "1630.2 / 2293.7")),
    "videogpt": Entrant("VideoGPT", "videogpt", published=("185.9 / –", "222.7 / –", "2880.6 / –")),
}
