"""Options of the studio's server, shared by the command line and `run_studio`; without torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from styleganv.options import Unset
from styleganv.validation import Interval, Validated


@dataclass(frozen=True)
class StudioOptions(Validated):
    """Where the studio listens, who may connect, and where it stores what."""

    host: str = "127.0.0.1"
    """Address to listen on; any but a loopback address requires a token."""
    port: Annotated[int, Interval(0, 65_535)] = 8000
    """Port to listen on; 0 = any free port."""
    token: Unset[str] = None
    """Access token that clients must supply. Default: random unless --host is loopback."""
    certificate: Unset[Path] = None
    """PEM file of a certificate chain, to serve HTTPS."""
    key: Unset[Path] = None
    """PEM file of its private key. Default: in the file of --certificate."""
    osc_port: Unset[Annotated[int, Interval(0, 65_535)]] = None
    """UDP port for OSC messages, which control the page. Default: none."""
    favorites: Path = Path("favorites")
    """Folder of favorites, created on the first save."""
