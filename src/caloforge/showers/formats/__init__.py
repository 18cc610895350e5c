"""Other people's shower formats, one file each; a new one is its file and a line here."""

from __future__ import annotations

__all__ = ["FORMATS", "Format", "open_showers"]

from pathlib import Path
from typing import TYPE_CHECKING

from caloforge.errors import ShowersError, nearest
from caloforge.hdf5 import open_hdf5
from caloforge.particles import pdg_id
from caloforge.showers.formats import calochallenge, calogan, hgcal, lagan, lcd, native, par04
from caloforge.showers.formats.base import Format
from caloforge.showers.journal import is_journal
from caloforge.showers.source import ShowerSource

if TYPE_CHECKING:
    from caloforge.detector import Detector

FORMATS: dict[str, Format] = {
    form.name: form
    for form in (
        native.FORMAT,
        calogan.FORMAT,
        lcd.FORMAT,
        lcd.ANGLE,
        calochallenge.FORMAT,
        par04.FORMAT,
        lagan.FORMAT,
        hgcal.FORMAT,
    )
}


def open_showers(
    path: str | Path,
    detector: Detector | None = None,
    *,
    format: str | None = None,  # noqa: A002 - the user's word for it
    particle: str | None = None,
) -> ShowerSource:
    """Open a shower file of any known format, told by its content.

    Args:
        path: The file.
        detector: What was hit, where the file cannot say; a caloforge file must be of this detector.
        format: Name of the format, if it should not be told from the content.
        particle: Name or PDG id of the incident particle, where the file cannot say.

    Raises:
        ShowersError: Unknown format, a damaged file, or one of another detector.
        ParticleError: No such particle.
    """
    path = Path(path)
    pdg = None if particle is None else pdg_id(particle)
    if format is not None:
        return known_format(format).open(path, detector, pdg)
    name = _recognise(path)
    if name == "caloforge":
        return native.open_native(path, detector, pdg)
    return lcd.LcdFile(path, detector, pdg) if name == "lcd" else FORMATS[name].open(path, detector, pdg)


def known_format(name: str) -> Format:
    """The format of this name.

    Raises:
        ShowersError: There is none.
    """
    if name not in FORMATS:
        known = ", ".join(FORMATS)
        raise ShowersError("unknown shower format", got=name, expected=known, near=nearest(name, FORMATS))
    return FORMATS[name]


def _recognise(path: Path) -> str:
    if path.is_file() and is_journal(path):
        return "caloforge"
    with open_hdf5(path) as file:
        for form in FORMATS.values():
            if form.recognises(file):
                return form.name
        keys = ", ".join(file.keys()[:30]) or "no keys"
    raise ShowersError(
        "the file holds no showers in a format that caloforge knows",
        where=path,
        got=keys,
        expected="; ".join(form.about for form in FORMATS.values()),
    )
