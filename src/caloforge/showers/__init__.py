"""What was deposited: showers in memory, their store, the streaming reader, and other people's formats."""

from __future__ import annotations

__all__ = [
    "FORMATS",
    "Converted",
    "Incident",
    "ShowerFile",
    "ShowerSource",
    "ShowerWriter",
    "Showers",
    "StreamingReader",
    "convert",
    "inspect",
    "merge",
    "open_showers",
    "picture",
    "shower_files",
]

from caloforge.showers.container import Showers
from caloforge.showers.convert import Converted, convert
from caloforge.showers.files import shower_files
from caloforge.showers.formats import FORMATS, open_showers
from caloforge.showers.incident import Incident
from caloforge.showers.merge import merge
from caloforge.showers.picture import picture
from caloforge.showers.reader import StreamingReader
from caloforge.showers.source import ShowerSource
from caloforge.showers.store import ShowerFile
from caloforge.showers.survey import inspect
from caloforge.showers.writer import ShowerWriter
