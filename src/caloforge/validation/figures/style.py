"""How figures look: the field's style (mplhep) and colours that follow the page's light or dark theme."""

from __future__ import annotations

__all__ = ["LIGHT", "MARKERS", "Look", "axis_label", "short", "unit_scale"]

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from caloforge.validation.charts import Line, Point
from caloforge.validation.verdict import plain

LIGHT: Mapping[str, str] = {
    "ink": "#1d2329",
    "soft": "#5d6772",
    "rule": "#e3e0da",
    "geant4": "#4a5b6e",
    "floor": "#8d979f",
    "candidate-0": "#ca3b09",
    "candidate-1": "#096db8",
    "candidate-2": "#008e69",
    "candidate-3": "#ad5597",
    "candidate-4": "#b89700",
    "candidate-5": "#3aa2dc",
}
"""Colours by name: of a printed figure, and the light theme of the page. Candidates are the vermilion, blue,
green, purple, orange and sky blue of Okabe and Ito, which the colour-blind tell apart, darkened for paper."""

MARKERS = ("circle", "square", "diamond", "up", "down", "plus")
"""Shapes of the candidates' points, so that colour is never alone."""


@dataclass(frozen=True)
class Look:
    """Which candidate has which colour.

    Attributes:
        names: All candidates of the report in their order; a chart may show some of them.
    """

    names: tuple[str, ...] = ()

    def place(self, name: str, position: int) -> int:
        """Return the number of the candidate that a line belongs to.

        Args:
            name: Of the line: a candidate's, or beginning with it.
            position: Of the line among the candidates' lines of its chart, if no name fits.
        """
        fits = [i for i, known in enumerate(self.names) if name == known or name.startswith(f"{known},")]
        return (fits[0] if fits else position) % len(MARKERS)

    def places(self, lines: tuple[Line, ...] | tuple[Point, ...]) -> list[int]:
        """Return the numbers of all lines; those that are no candidate's have 0."""
        found, seen = [], 0
        for line in lines:
            found.append(self.place(line.name, seen) if line.role == "candidate" else 0)
            seen += line.role == "candidate"
        return found


@cache
def font_style() -> dict[Any, Any]:
    """Return matplotlib's settings for text in the field's style."""
    import mplhep

    keys = ("font", "mathtext")
    return {key: value for key, value in mplhep.style.ROOT.items() if key.startswith(keys)}


def unit_scale(unit: str, largest: float) -> tuple[str, float]:
    """Return the unit that suits numbers up to `largest`, and what to divide by: MeV become GeV.

    Example:
        >>> unit_scale("MeV", 2e5)
        ('GeV', 1000.0)
    """
    return ("GeV", 1000.0) if unit == "MeV" and largest >= 5000 else (unit, 1.0)


def axis_label(label: str, unit: str) -> str:
    """Return `label [unit]`, or the label alone for a ratio."""
    return f"{label} [{unit}]" if unit else label


def short(name: str, most: int = 22) -> str:
    """Cut a name that is too long for a legend.

    Example:
        >>> short("a-very-long-file-name-indeed.h5", 12)
        'a-very…ed.h5'
    """
    if len(name) <= most:
        return name
    # half a formula would be none, and the font has no angle brackets
    name, head = plain(name).replace("⟨", "").replace("⟩", ""), most // 2
    return name if len(name) <= most else f"{name[:head]}…{name[head - most + 1 :]}"
