"""XML files that anybody may have written, read with limits."""

from __future__ import annotations

__all__ = ["read_xml"]

from pathlib import Path
from xml.etree import ElementTree

from caloforge.errors import DetectorError


class _DoctypeError(Exception):
    pass


class _Builder(ElementTree.TreeBuilder):
    """Stops at a DOCTYPE: its entities can expand without end."""

    def doctype(self, *_: object) -> None:
        raise _DoctypeError


def read_xml(path: Path, what: str, most: int, cure: str | None = None) -> ElementTree.Element:
    """Return the root of an XML file.

    Args:
        path: The file.
        what: It is meant to be: `a binning file`.
        most: Bytes that one can have.
        cure: Of a DOCTYPE.

    Raises:
        DetectorError: It cannot be read, is too long, has a DOCTYPE, or is not XML.
    """
    try:
        data = path.read_bytes()
        if len(data) > most:
            raise DetectorError(f"this is not {what}", where=str(path), got=f"{len(data):,} bytes")
        return ElementTree.fromstring(data, ElementTree.XMLParser(target=_Builder()))
    except OSError as error:
        raise DetectorError(f"the file cannot be read: {error.strerror}", where=str(path)) from None
    except _DoctypeError:
        raise DetectorError(f"this is not {what}", where=str(path), got="a DOCTYPE", cure=cure) from None
    except ElementTree.ParseError as error:
        raise DetectorError(f"this is not XML: {error}", where=str(path)) from None
