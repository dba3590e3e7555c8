"""Parameters of a video in the query of a URL, in the notation of the page's address."""

from collections.abc import Mapping

from styleganv.timeline.notation import VideoParams


def params_from_query(query: Mapping[str, str]) -> VideoParams:
    """Return the parameters in a query such as `content=3&psi=0.8&dir=content 1:1.5&grid=2x3`; other keys are ignored.

    Raises:
        StyleganvError: if one is mistyped or out of range.
    """
    names = {field: field for field in VideoParams.__dataclass_fields__} | {"directions": "dir"}
    return VideoParams.from_json({field: query[name] for field, name in names.items() if name in query})
