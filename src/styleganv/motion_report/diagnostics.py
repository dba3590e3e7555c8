"""The table of diagnostics. A new diagnostic is one `DiagnosticSpec` here, and the function that measures it.

Shapes: V videos.
"""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from styleganv.motion_report import figures, model_motion, motion
from styleganv.motion_report.measurements import DRIFT_TIMES, ClipMeasurements
from styleganv.motion_report.specs import DiagnosticSpec, LikeData, Range, Section

Array = NDArray[np.float64]

LOOPS = Section("Loops", "Does a video return to earlier frames?")
REVERSAL = Section("Motion reversal", "Does motion reverse more often than in the dataset?")
SPEED = Section("Speed", "Do things move as fast as in the dataset, with the same variation?")
DRIFT = Section("Drift", "Does the content stay the same, however long the video?")
FLICKER = Section("Flicker", "Do static parts stay constant?")
STICKING = Section("Texture sticking", "Does texture move with the surface it is on?")
CONTENT_AND_MOTION = Section("Content and motion", "Are content and motion independent?")
FRAME_RATE = Section("Frame rate", "Does the video stay the same at every frame rate?")
SLOTS = Section("Slot boundaries", "Is the transition between motion codes visible?")


def appearance_drift(clips: ClipMeasurements, data: ClipMeasurements | None) -> Array:
    """Return the distance between each clip's first and last third, relative to the distance between videos, `[V]`.

    The values are NaN for a single video.
    """
    between = [motion.distance(a, b) for a, b in combinations(clips.appearances[:, 0], 2)]
    scale = max(float(np.mean(between)), 1e-9) if between else np.nan
    return np.array([motion.distance(first, last) for first, last in clips.appearances]) / scale


def speed_distance(clips: ClipMeasurements, data: ClipMeasurements | None) -> Array:
    """Return the Wasserstein-1 distance between the speeds of both sets, over the dataset's mean speed, `[1]`.

    For the dataset itself, return the distance between its even and its odd clips.
    """
    if data is not None:
        scale = max(float(data.speeds.mean()), 1e-9)
        return np.array([motion.distribution_distance(clips.speeds.ravel(), data.speeds.ravel()) / scale])
    even, odd = clips.speeds[::2].ravel(), clips.speeds[1::2].ravel()
    scale = max(float(clips.speeds.mean()), 1e-9)
    return np.array([motion.distribution_distance(even, odd) / scale if len(odd) else 0.0])


def at_most_entanglement(means: Mapping[str, float | None]) -> Range:
    """Return the range of drift that another motion seed explains, with a margin."""
    hold = means.get("hold")
    return Range(hold, high=1.25 * (hold or 0.0) + 0.05)


_SPECS = (
    DiagnosticSpec(
        name="loop",
        title="Loop score",
        unit="0 to 1",
        description="Fraction of the first frame's colors that later frames still have.",
        section=LOOPS,
        measure_clip=lambda clip: float(clip.loop_curve[1:].mean()),
        expected=LikeData(0.0, 0.02),
        too_high="Videos keep or regain their first colors more than in the dataset.",
        too_low="Videos lose their first colors faster than in the dataset.",
        figures=(figures.plot_loop_curves,),
    ),
    DiagnosticSpec(
        name="period",
        title="Periodicity",
        unit="0 to 1",
        description="How exactly a video repeats earlier frames: 1 is a loop or a steady oscillation.",
        section=LOOPS,
        measure_clip=lambda clip: motion.second_peak(clip.autocorrelation),
        expected=LikeData(0.0, 0.1),
        too_high="Videos repeat themselves more than in the dataset.",
        too_low="Videos repeat themselves less than in the dataset.",
        figures=(figures.plot_autocorrelations,),
    ),
    DiagnosticSpec(
        name="turns",
        title="Motion reversal",
        unit="times per second",
        description="How often the motion of the entire frame reverses and retraces its path.",
        section=REVERSAL,
        measure_clip=lambda clip: motion.reversal_rate(clip.frames) * clip.fps,
        expected=LikeData(0.25, 0.05),
        too_high="Motion reverses more often than in the dataset: it oscillates.",
        too_low="Motion reverses less often than in the dataset.",
        figures=(figures.plot_values, figures.show_self_similarity),
    ),
    DiagnosticSpec(
        name="speed",
        title="Speed",
        unit="frame sides per second",
        description="Mean speed of the moving parts, in shorter frame sides per second.",
        section=SPEED,
        measure_clip=lambda clip: float(clip.speeds.mean()),
        expected=LikeData(0.2),
        too_high="Things move faster than in the dataset.",
        too_low="Things move slower than in the dataset.",
        figures=(figures.plot_speeds,),
    ),
    DiagnosticSpec(
        name="speed_spread",
        title="Speed distribution",
        unit="× the dataset's mean speed",
        description="Distance between the distributions of speed; for the dataset, between its two halves.",
        section=SPEED,
        measure_clips=speed_distance,
        requires_data=True,
        expected=LikeData(0.0, 0.15, only_above=True),
        too_high="Speeds are not distributed as in the dataset.",
        figures=(),
    ),
    DiagnosticSpec(
        name="drift",
        title="Appearance drift",
        unit="× the distance between videos",
        description="Color difference between the first and the last third of a clip.",
        section=DRIFT,
        measure_clips=appearance_drift,
        expected=LikeData(0.25, 0.05),
        too_high="Appearance changes more within a clip than in the dataset.",
        too_low="Appearance changes less within a clip than in the dataset.",
    ),
    DiagnosticSpec(
        name="drift_1000",
        title="Drift after 1,000 frames",
        unit="× the distance between videos",
        description="Color difference from time 0, after 1,000 frames. Another motion seed sets the ideal.",
        section=DRIFT,
        probe_model=lambda probe: probe.drift[:, DRIFT_TIMES.index(1000)],
        expected=at_most_entanglement,
        too_high="The content has drifted after 1,000 frames.",
        figures=(figures.plot_drift, figures.show_drift),
    ),
    DiagnosticSpec(
        name="drift_hour",
        title="Drift after an hour",
        unit="× the distance between videos",
        description="Color difference from time 0, after an hour. Another motion seed sets the ideal.",
        section=DRIFT,
        probe_model=lambda probe: probe.hour_drift,
        expected=at_most_entanglement,
        too_high="The content has drifted after an hour.",
        figures=(),
    ),
    DiagnosticSpec(
        name="flicker",
        title="Flicker",
        unit="gray levels",
        description="Temporal noise in static parts.",
        section=FLICKER,
        measure_clip=lambda clip: motion.flicker(clip.frames),
        expected=LikeData(0.25, 0.25),
        too_high="Static parts flicker more than in the dataset.",
        too_low="Static parts flicker less than in the dataset, which may contain camera noise.",
    ),
    DiagnosticSpec(
        name="sticking",
        title="Texture sticking",
        unit="0 to 1",
        description="Whether fine texture moves with its surface (0) or sticks to the screen (1).",
        section=STICKING,
        measure_clip=lambda clip: motion.sticking(clip.frames),
        expected=LikeData(0.0, 0.08),
        too_high="Fine texture follows motion less than in the dataset: it sticks to the screen, or dissolves.",
        too_low="Fine texture follows motion more than in the dataset.",
        figures=(figures.plot_values, figures.show_slices),
    ),
    DiagnosticSpec(
        name="diversity",
        title="Motion diversity",
        unit="× the change over time",
        description="Difference between two motion seeds of one content seed: 1 equals two times of one video.",
        section=CONTENT_AND_MOTION,
        probe_model=lambda probe: model_motion.motion_diversity(probe.grid),
        expected=Range(1.0, low=0.7),
        too_low="All motion seeds give nearly the same motion.",
        figures=(figures.show_grid,),
    ),
    DiagnosticSpec(
        name="transfer",
        title="Motion transfer",
        unit="0 to 1",
        description="Whether one motion seed moves different content seeds in the same way.",
        section=CONTENT_AND_MOTION,
        probe_model=lambda probe: model_motion.motion_transfer(probe.grid),
        expected=Range(1.0, low=0.25),
        too_low="The same motion seed moves different content seeds in different ways.",
        figures=(),
    ),
    DiagnosticSpec(
        name="hold",
        title="Motion–content entanglement",
        unit="× the distance between content seeds",
        description="How much another motion seed changes the colors of one content seed.",
        section=CONTENT_AND_MOTION,
        probe_model=lambda probe: model_motion.entanglement(probe.grid),
        expected=Range(0.0, high=0.5),
        too_high="The motion seed changes the appearance nearly as much as the content seed does.",
        figures=(),
    ),
    DiagnosticSpec(
        name="same_frames",
        title="Frame rate consistency",
        unit="gray levels",
        description="Largest difference between frames of the same time at one and at four times the frame rate.",
        section=FRAME_RATE,
        probe_model=lambda probe: probe.frame_rates[:, 0],
        expected=Range(0.0, high=0.0),
        too_high="The frame at a given time depends on the frame rate.",
        figures=(),
    ),
    DiagnosticSpec(
        name="between",
        title="Interpolation deviation",
        unit="× the step between frames",
        description="How far interpolated frames deviate: at most 1 lies between the neighbors.",
        section=FRAME_RATE,
        probe_model=lambda probe: probe.frame_rates[:, 1],
        expected=Range(1.0, high=1.1),
        too_high="Interpolated frames leave the path from one frame to the next.",
    ),
    DiagnosticSpec(
        name="even",
        title="Interpolation uniformity",
        unit="1 to 4",
        description="Largest of four interpolated steps over their mean: 1 is uniform, 4 is a single jump.",
        section=FRAME_RATE,
        probe_model=lambda probe: probe.frame_rates[:, 2],
        expected=Range(1.0, high=1.5),
        too_high="Interpolated motion is not uniform: frames are held, then jump.",
    ),
    DiagnosticSpec(
        name="slot_jump",
        title="Jump at slot boundaries",
        unit="× the neighboring steps",
        description="Change across a slot boundary over the change just before and after it.",
        section=SLOTS,
        probe_model=lambda probe: np.array([model_motion.slot_jump(profile) for profile in probe.slot_profiles]),
        expected=Range(1.0, low=0.8, high=1.25),
        too_high="The image jumps at slot boundaries.",
        too_low="No jump, but a kink: motion changes its direction at slot boundaries.",
        figures=(figures.plot_slots,),
    ),
)
DIAGNOSTICS = {spec.name: spec for spec in _SPECS}
