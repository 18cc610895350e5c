"""CaloChallenge binning files: XML with ring borders and sectors per layer, in and out."""

from __future__ import annotations

__all__ = ["is_xml", "read_binning_xml", "write_binning_xml"]

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from caloforge.detector.detector import Detector
from caloforge.detector.grids import Grid, PolarGrid
from caloforge.detector.markup import read_xml
from caloforge.detector.reading import described
from caloforge.detector.readout import MAX_LAYERS
from caloforge.documents import Document
from caloforge.errors import DetectorError, ParticleError, nearest
from caloforge.particles import pdg_id
from caloforge.writing import replace_text

_MAX_BYTES = 10_000_000
_SAY_WHICH = (
    "`detector show FILE --particle NAME --eta ETA`, eta in the file's own units; other commands take such "
    "a binning as YAML: docs/detectors.md, Binning files"
)
_MARKS = b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"  # of UTF-8 and UTF-16, before the text


def is_xml(path: str | Path) -> bool:
    """Whether a file begins as XML does; no YAML of a detector can."""
    try:
        with Path(path).open("rb") as file:
            begin = file.read(200)
    except OSError:
        return False
    for mark in _MARKS:
        begin = begin.removeprefix(mark)
    return begin.replace(b"\0", b"").lstrip().startswith(b"<")


def read_binning_xml(path: str | Path, particle: str | None = None, eta: float | None = None) -> Detector:
    """Read a binning file of the CaloChallenge or of FastCaloGAN, whose version 2 has bins below particles.

    The file says nothing about materials and depths: the detector has no stack, its layers count as
    1 mm thick, and only active deposits count. Layer ids and the number of ids, empty layers included,
    the particle and the range of eta are kept.

    Args:
        path: The XML file.
        particle: Which one, if the file has several: its name in the file, any other name, or its PDG id.
        eta: Where, in the units of the file's `etaMin`, if the file has several slices of the particle.

    Raises:
        DetectorError: if the file is missing, is not XML, or not a binning of rings and sectors, or if
            several of its binnings are as they were asked for.
    """
    where = str(path)
    element = _choose(_bins(Path(path)), particle and particle.strip(), eta, where)
    layers = list(_layers(element, where))
    description: dict[str, Any] = {
        "name": re.sub(r"[^\w.-]", "-", Path(path).stem, flags=re.ASCII).lstrip("_.-") or "binning",
        "about": f"CaloChallenge binning for {element.get('name')}: readout only",
        "source": "arXiv:2410.21611",
        "readout": {"deposits": "active", "frame": "particle", "layers": [e for e in layers if e]},
        "binning": _binning(element, len(layers), where),
    }
    return described(Detector, Document(description, {(): 1}), where)


def _bins(path: Path) -> list[ElementTree.Element]:
    root = read_xml(path, "a binning file", _MAX_BYTES)
    for element in root.iter("Particle"):
        for below in element.iter("Bin"):
            for key in ("name", "pid"):
                below.set(key, below.get(key) or _attribute(element, key, str(path)))
    bins = list(root.iter("Bin"))
    if not bins:
        raise DetectorError(
            "this is not a binning file",
            where=str(path),
            expected="<Bins><Bin pid= name=><Layer .../></Bin></Bins>",
        )
    return bins


def _choose(
    bins: list[ElementTree.Element], particle: str | None, eta: float | None, where: str
) -> ElementTree.Element:
    of_it = [one for one in bins if particle in (None, one.get("name"))] or _by_id(bins, particle)
    found = [one for one in of_it if eta is None or _covers(one, eta, where)]
    if len(found) == 1:
        return found[0]
    names = list(dict.fromkeys(one.get("name", "") for one in bins))
    if not of_it or len({one.get("name") for one in found}) > 1:
        raise DetectorError(
            "which particle's binning?" if particle is None else f"no binning for {particle!r}",
            where=where,
            got=particle,
            expected="one of " + ", ".join(names),
            near=nearest(particle, names) if particle else None,
            cure=_SAY_WHICH if len(names) > 1 else None,
        )
    asked = of_it[0].get("name") if particle is None else particle
    raise DetectorError(
        f"which slice of eta of {asked}?" if found else f"no binning for {asked} at this eta",
        where=where,
        got=eta,
        expected="one of " + ", ".join(f"{one.get('etaMin')} to {one.get('etaMax')}" for one in of_it),
        cure=_SAY_WHICH,
    )


def _by_id(bins: list[ElementTree.Element], particle: str | None) -> list[ElementTree.Element]:
    """Those of a particle that the file has under another name: `gamma` is its photon."""
    try:
        pid = str(pdg_id(particle or ""))
    except ParticleError:
        return []
    return [one for one in bins if (one.get("pid") or "").strip() == pid]


def _covers(element: ElementTree.Element, eta: float, where: str) -> bool:
    """Whether a slice has this eta; one that has no ends has all."""
    if element.get("etaMin") is None:
        return True
    low, high = (_real(element, key, where) for key in ("etaMin", "etaMax"))
    return low <= eta < high


def _real(element: ElementTree.Element, key: str, where: str) -> float:
    value = _attribute(element, key, where)
    try:
        return float(value)
    except ValueError:
        raise DetectorError(f"{key} is not a number", where=where, got=value) from None


def _layers(element: ElementTree.Element, where: str) -> Iterator[dict[str, Any]]:
    """Yield each layer as a detector file has it; an empty mapping for a layer without cells."""
    for number, layer in enumerate(element.iter("Layer")):
        if number >= MAX_LAYERS:
            raise DetectorError("too many layers", where=where, expected=f"at most {MAX_LAYERS:,}")
        place = f"{where}, layer number {number}"
        if _integer(layer, "id", place) != number:
            raise DetectorError(
                "the layer ids do not count from 0", where=place, got=layer.get("id"), expected=number
            )
        edges = [edge.strip() for edge in _attribute(layer, "r_edges", place).split(",")]
        alpha = _integer(layer, "n_bin_alpha", place)
        grid = {"kind": "polar", "alpha": alpha, "r_edges": ", ".join(edges) + " mm"}
        yield {"id": number, "grid": grid} if len(edges) > 1 else {}


def _binning(element: ElementTree.Element, layer_ids: int, where: str) -> dict[str, Any]:
    binning: dict[str, Any] = {
        "particle": _attribute(element, "name", where),
        "pid": _integer(element, "pid", where),
        "layer_ids": layer_ids,
    }
    if element.get("etaMin") is not None:
        binning["eta"] = [_attribute(element, "etaMin", where), _attribute(element, "etaMax", where)]
    return binning


def _attribute(element: ElementTree.Element, key: str, where: str) -> str:
    value = element.get(key)
    if value is None:
        raise DetectorError(f"<{element.tag}> has no attribute {key!r}", where=where)
    return value


def _integer(element: ElementTree.Element, key: str, where: str) -> int:
    value = _attribute(element, key, where)
    if not re.fullmatch(r"[+-]?\d{1,9}", value.strip()):
        raise DetectorError(f"{key} is not a whole number", where=where, got=value)
    return int(value)


def write_binning_xml(detector: Detector, path: str | Path) -> None:
    """Write the CaloChallenge binning file of a detector with polar grids.

    Raises:
        DetectorError: if a layer is not polar, the detector does not say which particle it is for, or the
            file cannot be written.
    """
    if detector.binning is None:
        raise DetectorError(
            f"the detector {detector.name!r} does not say which particle its binning is for",
            expected="the key `binning` in the detector file",
            cure="add binning: {particle: electron, pid: 11}",
        )
    binning = detector.binning
    attributes = {"pid": str(binning.pid)}
    if binning.eta is not None:
        attributes |= {"etaMin": f"{binning.eta[0]:.17g}", "etaMax": f"{binning.eta[1]:.17g}"}
    root = ElementTree.Element("Bins")
    element = ElementTree.SubElement(root, "Bin", attributes | {"name": binning.particle})
    grids = {layer.id: _polar(layer.grid, layer.name) for layer in detector.layers}
    for number in range(binning.layer_ids or detector.layers[-1].id + 1):
        ElementTree.SubElement(element, "Layer", {"id": str(number)} | _rings(grids.get(number)))
    ElementTree.indent(root, "   ")
    replace_text(Path(path), ElementTree.tostring(root, encoding="unicode") + "\n")


def _polar(grid: Grid, layer: str) -> PolarGrid:
    if not isinstance(grid, PolarGrid):
        raise DetectorError(
            "a CaloChallenge binning file has polar grids only",
            where=f"layer {layer}",
            got=f"a {grid.kind} grid",
        )
    return grid


def _rings(grid: PolarGrid | None) -> dict[str, str]:
    if grid is None:
        return {"r_edges": "0", "n_bin_alpha": "1"}
    edges = (str(int(edge)) if edge.is_integer() else repr(edge) for edge in grid.r_edges)
    return {"r_edges": ",".join(edges), "n_bin_alpha": str(grid.alpha)}
