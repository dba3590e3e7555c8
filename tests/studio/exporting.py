"""What commands and export jobs must write, by the studio's own frames."""

from itertools import islice
from pathlib import Path

from styleganv.media import writing
from styleganv.media.enlarging import WATCHABLE, WATCHABLE_IN_GRID, enlarge, watchable_scale
from styleganv.studio.studio_model import StudioModel
from styleganv.studio.video_params import ExportParams
from styleganv.timeline.notation import VideoParams
from styleganv.timeline.timeline import Timeline


def export_frames(model: StudioModel, params: VideoParams | Timeline, export: ExportParams, path: Path) -> None:
    """Write the frames that the page shows, enlarged like those of the commands."""
    smallest = WATCHABLE if params.grid == (1, 1) else WATCHABLE_IN_GRID
    scale = watchable_scale(model.model.height, model.model.width, smallest)
    frames = islice(
        model.frames(params, start=export.start, fps=export.fps / export.speed), round(export.seconds * export.fps)
    )
    writing.write_video(path, (enlarge(frame, scale) for frame in frames), export.fps)
