"""What a manifest has to say of detector, columns and data, and whether a given one says so."""

from __future__ import annotations

__all__ = [
    "cells_output",
    "check_agreement",
    "check_statement",
    "detector_entry",
    "incident_input",
    "noise_input",
    "statement_of",
]

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from caloforge.deploy.bundle.manifest import DetectorEntry, Graph, Layer, Manifest, Tensor
from caloforge.deploy.bundle.validity import Validity
from caloforge.detector import Detector
from caloforge.errors import BundleError
from caloforge.showers.incident import COLUMNS

_AXES = {
    "cartesian": ("x", "y"),
    "polar": ("phi", "r"),
    "hexagonal": ("cell", "none"),
    "cells": ("cell", "none"),
}
_SHOWN = 60  # characters before and after the place where two texts part


def noise_input(shape: Sequence[int]) -> Tensor:
    """Describe the graph's first input."""
    about = "independent standard normal numbers"
    return Tensor(name="noise", shape=tuple(shape), about=about, units=("1",))


def incident_input(columns: Sequence[str]) -> Tensor:
    """Describe the graph's second input, of these columns."""
    return Tensor(
        name="incident",
        shape=(len(columns),),
        about="the incident particle",
        columns=tuple(columns),
        units=tuple(COLUMNS[name][1] for name in columns),
    )


def cells_output(detector: Detector) -> Tensor:
    """Describe the graph's output."""
    return Tensor(
        name="cells",
        shape=(detector.n_cells,),
        about="energy of every cell, layer after layer; within a layer the last axis runs fastest. "
        "The readout's threshold is not applied",
        units=("MeV",),
    )


def detector_entry(detector: Detector) -> DetectorEntry:
    """Say which detector it is, and where its layers are in the output."""
    layers = tuple(
        Layer(
            name=layer.name,
            first_cell=int(layer.cells.start),
            shape=(layer.shape[0], layer.shape[1]),
            axes=_AXES[layer.grid.kind],
        )
        for layer in detector.layers
    )
    return DetectorEntry(name=detector.name, digest=detector.digest, layers=layers)


def check_agreement(manifest: Manifest, detector: Detector, where: Path) -> None:
    """See that a manifest says what follows from the bundle's detector, columns and data.

    Args:
        manifest: Of a bundle that nobody vouches for.
        detector: The bundle's.
        where: The manifest's file.

    Raises:
        BundleError: It says something else; the error names what.
    """
    for key, got, expected in _statements(manifest, detector):
        if got != expected:
            raise BundleError(
                "the manifest contradicts the rest of the bundle",
                where=f"{where}, {key}",
                got=got,
                expected=expected,
                cure="get the bundle again from where it came, or export it again",
            )


def statement_of(manifest: Manifest) -> str:
    """Return what a graph has to say of itself: what goes in, what comes out, what it was trained for."""
    incident = manifest.inputs[1]
    said: dict[str, Any] = {
        "name": manifest.name,
        "detector": manifest.detector.digest,
        "incident": dict(zip(incident.columns or (), incident.units, strict=False)),
        "cells": manifest.output.units[0],
        "threshold_mev": manifest.threshold_mev,
        "valid": manifest.valid.model_dump(mode="json"),
        "weights": manifest.provenance.get("weights_sha256"),
    }
    return json.dumps(said, sort_keys=True, separators=(",", ":"))


def check_statement(said: str | None, manifest: Manifest, where: Path) -> None:
    """See that a graph says of itself what the manifest says of it.

    Args:
        said: By the graph, see `statement_in`.
        manifest: Of its bundle.
        where: The graph's file.

    Raises:
        BundleError: It says something else, or nothing.
    """
    expected = statement_of(manifest)
    if said == expected:
        return
    if said is None:
        raise BundleError(
            "the graph does not say what it is for",
            where=where,
            expected=expected,
            cure="export the run again",
        )
    raise BundleError(
        "the manifest contradicts what the graph says of itself",
        where=where,
        got=_parting(said, expected),
        expected=_parting(expected, said),
        cure="get the bundle again from where it came, or export it again",
    )


def _parting(text: str, other: str) -> str:
    """What stands in a text where it parts from another."""
    pairs = enumerate(zip(text, other, strict=False))
    same = next((i for i, (one, two) in pairs if one != two), min(len(text), len(other)))
    return f"... {text[max(0, same - _SHOWN) : same + _SHOWN]} ..."


def _statements(manifest: Manifest, detector: Detector) -> Iterator[tuple[str, Any, Any]]:
    """What is said, by its key, and what ought to be."""
    noise, incident = manifest.inputs
    yield from _parts("detector", manifest.detector, detector_entry(detector))
    yield "threshold_mev", manifest.threshold_mev, detector.readout.threshold
    yield from _parts("inputs.0", noise, noise_input(noise.shape))
    known = tuple(name for name in COLUMNS if name in (incident.columns or ()))
    yield "inputs.1.columns", incident.columns, known or "some of " + ", ".join(COLUMNS)
    yield from _parts("inputs.1", incident, incident_input(known))
    yield from _parts("output", manifest.output, cells_output(detector))
    yield from _parts("valid", manifest.valid, _trained_for(manifest.provenance))
    for precision, graph in manifest.graphs.items():
        yield from _graph(f"graphs.{precision}", graph, manifest)


def _graph(key: str, graph: Graph, manifest: Manifest) -> Iterator[tuple[str, Any, Any]]:
    yield f"{key}.bytes", graph.bytes, manifest.files[graph.file].bytes
    passed = graph.parity.showers > 0 and graph.parity.max_relative <= graph.parity.tolerance
    yield f"{key}.parity", "passed" if passed else "failed", "passed"
    shape = (manifest.inputs[1].shape[0], len(manifest.detector.layers))
    rows = zip(graph.probe.incident, graph.probe.layers_mev, strict=False)
    yield f"{key}.probe", {(len(asked), len(got)) for asked, got in rows}, {shape}
    yield f"{key}.probe.incident", len(graph.probe.incident), len(graph.probe.layers_mev)


def _parts(key: str, got: BaseModel, expected: BaseModel | None) -> Iterator[tuple[str, Any, Any]]:
    """Part by part, so that an error is short; what is only for people to read may be any text."""
    for name in type(got).model_fields:
        if name != "about":
            yield f"{key}.{name}", getattr(got, name), getattr(expected, name, None)


def _trained_for(provenance: dict[str, Any]) -> Validity | None:
    try:
        return Validity.of_data(provenance["data"])
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
