"""Other people's shower formats, one file each; a new one is its file and a line here."""

from __future__ import annotations

__all__ = ["FORMATS", "Format", "open_showers"]

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from caloforge.errors import ShowersError, nearest
from caloforge.particles import pdg_id
from caloforge.showers.formats import (
    calochallenge,
    calogan,
    edm4hep,
    getting_high,
    hgcal,
    lagan,
    lcd,
    native,
    npz,
    par04,
    par04_root,
    parquet,
    root,
    showerdata,
)
from caloforge.showers.formats.base import Format, Opener
from caloforge.showers.formats.storage import KINDS, Opened, kind_of, open_storage
from caloforge.showers.journal import is_journal
from caloforge.showers.source import ShowerSource

if TYPE_CHECKING:
    from caloforge.detector import Detector

FORMATS: dict[str, Format] = {
    form.name: form
    for form in (
        native.FORMAT,
        npz.FORMAT,
        calogan.FORMAT,
        lcd.FORMAT,
        lcd.ANGLE,
        calochallenge.FORMAT,
        par04.FORMAT,
        lagan.FORMAT,
        getting_high.FORMAT,
        showerdata.FORMAT,
        parquet.FORMAT,
        root.FORMAT,
        par04_root.FORMAT,
        edm4hep.FORMAT,
        hgcal.FORMAT,
    )
}

_TOLD = 30  # names of what is in a file


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
    asked = None if format is None else known_format(format)
    if asked in (None, native.FORMAT) and path.is_file() and is_journal(path):
        return native.open_native(path, detector, pdg)
    if asked is not None:
        _check_kind(path, asked)
    with ExitStack() as stack:
        file = stack.enter_context(open_storage(path))
        form = asked or _recognised(file)
        opener: Opener = lcd.LcdFile if form is lcd.FORMAT and asked is None else form.open
        source = opener(file, detector, pdg)
        stack.pop_all()
    return source


def known_format(name: str) -> Format:
    """The format of this name.

    Raises:
        ShowersError: There is none.
    """
    if name not in FORMATS:
        known = ", ".join(FORMATS)
        raise ShowersError("unknown shower format", got=name, expected=known, near=nearest(name, FORMATS))
    return FORMATS[name]


def _check_kind(path: Path, form: Format) -> None:
    kind = kind_of(path)
    if not issubclass(kind, form.storage):
        raise ShowersError(
            f"no file of the format {form.name!r}",
            where=path,
            got=KINDS[kind],
            expected=" or ".join(KINDS[known] for known in form.storage),
            cure="without --from, the content tells the format",
        )


def _recognised(file: Opened) -> Format:
    forms = [form for form in FORMATS.values() if isinstance(file, form.storage)]
    for form in forms:
        if form.recognises(file):
            return form
    raise ShowersError(
        "the file holds no showers in a format that caloforge knows",
        where=file.path,
        got=", ".join(file.keys()[:_TOLD]) or "no keys",
        expected="; ".join(form.about for form in forms),
    )
