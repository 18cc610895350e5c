"""The report as a thing: where it lies, what it says, and its JSON."""

from __future__ import annotations

__all__ = ["Report", "to_json"]

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from caloforge import __version__
from caloforge.validation.classifier import Classifier
from caloforge.validation.compare import Comparison
from caloforge.validation.distances import Distance
from caloforge.validation.verdict import Verdict

SCHEMA = 1


@dataclass(frozen=True)
class Report:
    """A finished validation.

    Attributes:
        html: The page, one file that opens offline.
        json: The same numbers for programs.
        comparison: The numbers as objects.
    """

    html: Path
    json: Path
    comparison: Comparison

    @property
    def verdict(self) -> Verdict:
        """The answer."""
        return self.comparison.verdict

    @property
    def worst(self) -> list[Distance]:
        """Distributions and profiles beyond their floor, the farthest first."""
        return sorted((d for d in self.comparison.distances if d.off), key=lambda d: -d.excess)

    @property
    def classifiers(self) -> list[Classifier]:
        """AUC of each family of classifiers."""
        return self.comparison.classifiers


def to_json(
    comparison: Comparison, notes: Sequence[str], speed: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return every number of a comparison as what JSON has; NaN and infinities become None."""
    plan, linearities = comparison.plan, comparison.linearities
    roles = ("reference", "floor", "candidate")
    numbers: dict[str, Any] = _plain(
        {
            "schema": SCHEMA,
            "caloforge": __version__,
            "detector": {"name": comparison.detector.name, "digest": comparison.detector.digest},
            "files": dict(zip(("reference", "candidate", "floor"), comparison.names, strict=True)),
            "showers_in_files": dict(
                zip(("reference", "candidate", "floor"), comparison.counts, strict=True)
            ),
            "showers_compared": plan.size,
            "floor": "halves of the reference" if plan.halves else "independent file",
            "notes": list(notes),
            "speed": [dict(row) for row in speed],
            "verdict": comparison.verdict,
            "findings": comparison.findings,
            "classifiers": {c.name: c for c in comparison.classifiers},
            "mean_separation": comparison.separation,
            "scalars": {s.name: s for s in comparison.scalars},
            "energy_bins": comparison.edges,
            "linearity": dict(zip(roles, linearities, strict=True)),
            "distances": {d.name: {**_members(d), "off": d.off} for d in comparison.distances},
            "profiles": {p.name: _profile(comparison, i) for i, p in enumerate(comparison.profiles)},
            "provenance": dict(zip(("reference", "candidate"), comparison.provenance, strict=True)),
        }
    )
    return numbers


def _profile(comparison: Comparison, i: int) -> dict[str, Any]:
    profile = comparison.profiles[i]
    means = [profile.project(sample.mean_cells[None])[0] for sample in comparison.samples]
    return {
        "edges": profile.edges,
        "unit": "MeV",
        **dict(zip(("reference", "floor", "candidate"), means, strict=True)),
    }


def _members(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(_members(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int | bool) else str(value)
