"""Rules for the five datasets of the StyleGAN-V paper, by the name that `prepare --dataset` takes."""

from styleganv.data.rules import faceforensics, mead, rainbow_jelly, sky_timelapse, ucf101
from styleganv.data.rules.rule import DatasetRule
from styleganv.options import DatasetName

RULES: dict[DatasetName, DatasetRule] = {
    "faceforensics": faceforensics.RULE,
    "sky-timelapse": sky_timelapse.RULE,
    "ucf101": ucf101.RULE,
    "rainbow-jelly": rainbow_jelly.RULE,
    "mead": mead.RULE,
}
