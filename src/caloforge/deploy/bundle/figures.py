"""Numbers with their floors, as a manifest holds them: of a report, or of a graph in reduced precision."""

from __future__ import annotations

__all__ = ["NOT_MADE", "Acceptance", "Figure", "Report", "Sample", "figure_of"]

import math
from typing import Literal, TypeGuard

from caloforge.deploy.bundle.part import Count, Part

NOT_MADE: Literal["not made"] = "not made"
"""In the place of a report."""


class Figure(Part):
    """A number with what chance alone gives.

    Attributes:
        label: What it is, for people.
        unit: `%`, or empty.
        value: Of the generator against Geant4.
        error: Its standard error, if known.
        floor: The same between two samples of Geant4 of the same size.
        floor_error: Its standard error, if known.
        off: Whether the value is worse than the floor by more than chance.
        fp32: Of the same generator in full precision, where this is about another one.
    """

    label: str
    unit: str = ""
    value: float
    error: float | None = None
    floor: float
    floor_error: float | None = None
    off: bool
    fp32: float | None = None


def figure_of(
    *,
    label: str,
    unit: str,
    off: bool,
    value: float | None,
    error: float | None,
    floor: float | None,
    floor_error: float | None,
    fp32: float | None = None,
) -> Figure | None:
    """Make a figure of a report's number, in which None and NaN are unknown; `Figure` says what they are.

    Returns:
        None where the value or its floor is unknown: without a floor a number means nothing.
    """
    if not (_known(value) and _known(floor)):
        return None
    return Figure(
        label=label,
        unit=unit,
        value=value,
        error=error if _known(error) else None,
        floor=floor,
        floor_error=floor_error if _known(floor_error) else None,
        off=off,
        fp32=fp32,
    )


def _known(number: float | None) -> TypeGuard[float]:
    return number is not None and not math.isnan(number)


class Acceptance(Part):
    """Why a graph of reduced precision was good enough to be shipped.

    Attributes:
        required: The conditions, as they were given.
        figures: By their names in the report.
    """

    required: str
    figures: dict[str, Figure]


class Sample(Part):
    """A shower file that was compared.

    Attributes:
        name: Of the file, without folders.
        showers: In the file.
    """

    name: str
    showers: Count


class Report(Part):
    """What `caloforge validate` found: numbers with their floors.

    Attributes:
        caloforge: Version that made the report.
        files: By role: `reference` (Geant4), `candidate` (this generator), and perhaps `floor`, `training`.
        showers_compared: In each sample.
        floor: Where the floor comes from: an independent file, or halves of the reference.
        verdict: The answer in one sentence.
        text: What it rests on.
        figures: By their names in the report, what matters most first.
    """

    caloforge: str
    files: dict[str, Sample]
    showers_compared: Count
    floor: str
    verdict: str
    text: str
    figures: dict[str, Figure]
