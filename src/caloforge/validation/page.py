"""The report as one HTML page: figures inline, styles inside, nothing fetched."""

from __future__ import annotations

__all__ = ["count_steps", "page"]

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import groupby
from typing import Any

from jinja2 import Environment
from markupsafe import Markup, escape

from caloforge import __version__
from caloforge.detector import Detector
from caloforge.observables import observables_for
from caloforge.validation.binning import binning
from caloforge.validation.compare import Comparison, Steps
from caloforge.validation.distances import Distance
from caloforge.validation.figures.curves import (
    histogram_figure,
    incident_figure,
    linearity_figures,
    profile_figure,
)
from caloforge.validation.figures.events import shower_pairs
from caloforge.validation.figures.images import MOST_LAYERS, average_images
from caloforge.validation.figures.layers import layers_figure
from caloforge.validation.figures.style import unit_scale
from caloforge.validation.profiles import profiles_for
from caloforge.validation.resampling import SPLITS
from caloforge.validation.verdict import plain

_THEMES = {
    "energy": "Energy",
    "longitudinal": "Longitudinal shape",
    "lateral": "Lateral shape",
    "cells": "Cells",
    "profiles": "Mean profiles",
}

_PANELS = ("Geant4", "Candidate", "Ratio")


@dataclass(frozen=True)
class Figure:
    """An SVG with its caption; `distance` adds its numbers."""

    svg: str
    title: str
    caption: str = ""
    distance: Distance | None = None


def count_steps(detector: Detector) -> int:
    """Return how often `page` reports that it advances, for a detector of this geometry."""
    quantities = {observable.quantity for observable in observables_for(detector)} | {"cell_spectrum"}
    return len(quantities) + len(profiles_for(detector)) + 3


def page(
    comparison: Comparison, notes: Sequence[str], speed: Sequence[Mapping[str, Any]], steps: Steps
) -> str:
    """Draw all figures and fill the page.

    Args:
        comparison: All numbers.
        notes: Lines shown at the top.
        speed: Rows of the speed table.
        steps: Told of each figure.

    Returns:
        HTML.
    """
    folder = files("caloforge.validation") / "template"
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(
        number=_number, signed=_signed, sigmas=_sigmas, cell=_cell, rich=_rich, mean=_mean, chance=_chance
    )
    template = environment.from_string((folder / "report.html").read_text(encoding="utf-8"))
    ranked = sorted(comparison.distances, key=lambda d: -d.excess)
    return template.render(
        c=comparison,
        css=Markup((folder / "report.css").read_text(encoding="utf-8")),
        script=Markup((folder / "report.js").read_text(encoding="utf-8")),
        notes=notes,
        speed=speed,
        columns=list(dict.fromkeys(key for row in speed for key in row)),
        ranked=ranked,
        off=[d for d in ranked if d.off],
        sections=_sections(comparison, steps),
        general=_general(comparison, steps),
        images=_images(comparison, steps),
        pairs=_pairs(comparison, steps),
        version=__version__,
        bar=_bar,
        target=_target(comparison),
    )


def _general(comparison: Comparison, steps: Steps) -> list[Any]:
    steps.advance("drawing response and resolution")
    response, resolution = linearity_figures(comparison.edges, *comparison.linearities)
    energies = [sample.incident.energy for sample in comparison.samples]
    bins = binning(energies[0])
    svg = incident_figure(bins.edges, bins.log, energies)
    captions = (
        (response, "Response", "Mean of the energy in all cells over the incident energy."),
        (resolution, "Resolution", "Spread over mean of the response in its narrowest 90 %."),
        (svg, "Incident energy", "If these differ, everything that grows with energy differs too."),
    )
    return [_shown(Figure(*parts)) for parts in captions]


def _images(comparison: Comparison, steps: Steps) -> list[Any]:
    steps.advance("drawing average images")
    reference, _, candidate = comparison.samples
    triptychs = average_images(
        comparison.detector, reference.mean_cells, candidate.mean_cells, reference.mean_cells_error
    )
    return [
        {
            "title": t.title,
            "panels": [
                (n, Markup(svg)) for n, svg in zip(_PANELS, (t.geant4, t.candidate, t.ratio), strict=True)
            ],
        }
        for t in triptychs
    ]


def _pairs(comparison: Comparison, steps: Steps) -> list[Any]:
    steps.advance("drawing single showers")
    return [
        (
            ("Geant4", p.geant4_energy, Markup(p.geant4)),
            ("Candidate", p.candidate_energy, Markup(p.candidate)),
        )
        for p in shower_pairs(*comparison.shown)
    ]


def _sections(comparison: Comparison, steps: Steps) -> list[Any]:
    """Return the themes with their figures, in the order of the observables."""
    sections = []
    for theme, title in _THEMES.items():
        wanted = [d for d in comparison.distances if d.theme == theme]
        figures = list(
            _profiles(comparison, steps) if theme == "profiles" else _themed(comparison, wanted, steps)
        )
        if figures:
            sections.append({"id": theme, "title": title, "figures": [_shown(f) for f in figures]})
    return sections


def _shown(figure: Figure) -> dict[str, Any]:
    return {
        "svg": Markup(figure.svg),
        "title": figure.title,
        "caption": figure.caption,
        "distance": figure.distance,
    }


def _profiles(comparison: Comparison, steps: Steps) -> Iterator[Figure]:
    by_name = {d.name: d for d in comparison.distances}
    for profile in comparison.profiles:
        steps.advance(f"drawing {profile.name}")
        svg = profile_figure(profile, *comparison.samples)
        yield Figure(svg, profile.label, distance=by_name[profile.name])


def _themed(comparison: Comparison, wanted: Sequence[Distance], steps: Steps) -> Iterator[Figure]:
    many = comparison.detector.n_layers > MOST_LAYERS
    for _, group in groupby(wanted, key=lambda d: d.quantity):
        members = list(group)
        steps.advance(f"drawing {members[0].quantity}")
        if many and members[0].layer is not None:
            label = members[0].label.rsplit(",", 1)[0]
            yield Figure(layers_figure(members, label), f"{label} in each layer")
            members = [max(members, key=lambda d: d.excess)]
        yield from (_histogram(member) for member in members)


def _histogram(distance: Distance) -> Figure:
    y = "Cells per bin" if distance.name == "cell_spectrum" else "Showers per bin"
    return Figure(histogram_figure(distance, distance.name, y), distance.label, _outside(distance), distance)


def _outside(distance: Distance) -> str:
    """Say what the figure cannot show, from one percent on: values outside, showers without a value."""
    if distance.histogram is None:
        return ""
    parts = []
    counts = (distance.histogram.reference, distance.histogram.candidate)
    shares = [(c[-3] + c[-2], c[-1], max(int(c.sum()), 1)) for c in counts]
    for i, text in enumerate(("outside the frame", "not defined")):
        geant4, other = (100 * share[i] / share[2] for share in shares)
        if max(geant4, other) >= 1:
            parts.append(f"{text}: {geant4:.2g} % of Geant4, {other:.2g} % of the candidate")
    return "; ".join(parts)


def _target(comparison: Comparison) -> Callable[[Distance], str]:
    """Return what finds the figure of a distribution; of many layers only the worst has its own."""
    worst: dict[str, Distance] = {}
    for d in comparison.distances:
        if d.quantity not in worst or d.excess > worst[d.quantity].excess:
            worst[d.quantity] = d
    many = comparison.detector.n_layers > MOST_LAYERS
    return lambda d: f"fig-{worst[d.quantity].name if many else d.name}"


def number(value: float, error: float | None = None, sign: str = "") -> str:
    """Write a number with two digits of its error, or three digits if it has none.

    Args:
        value: The number; NaN becomes a dash.
        error: Its error.
        sign: `+` to write the sign of positive numbers, too.

    Example:
        >>> number(0.012345, 0.00214)
        '0.0123 ± 0.0021'
    """
    if math.isnan(value):
        return "—"
    if error is None or not math.isfinite(error) or error <= 0:
        return f"{value:{sign}.3g}"
    digits = 1 - math.floor(math.log10(error))
    value, error, digits = round(value, digits), round(error, digits), max(0, digits)
    return f"{value:{sign}.{digits}f} ± {error:.{digits}f}"


def _number(value: float, error: float | None = None) -> str:
    return number(value, error).replace("-", "−")


def _signed(value: float, error: float) -> str:
    return number(value, error, "+").replace("-", "−")


def _mean(distance: Distance, value: float) -> str:
    """Write a mean with the unit that suits it."""
    if math.isnan(value):
        return "—"
    if distance.name == "cell_spectrum":
        return f"{10**value:.3g} MeV"
    unit, scale = unit_scale(distance.unit, abs(distance.mean))
    return f"{_number(value / scale)} {unit}".strip()


def _rich(label: str) -> Markup:
    """Return a label with its indices as HTML."""
    text = str(escape(plain(label)))
    return Markup(re.sub(r"\b([A-Zsσ])_([a-z0-9]+)", r"\1<sub>\2</sub>", text))


def _sigmas(value: float) -> str:
    return f"{value:.1f} σ" if abs(value) < 100 else f"{value:,.0f} σ"


def _chance(p_value: float) -> str:
    """Write a p-value; none can be below one over the number of cuts."""
    least = 1 / (1 + SPLITS)
    return f"≤ {least:.1g}" if p_value <= least else f"{p_value:.2g}"


def _bar(excess: float) -> float:
    """Return the length of an excess's bar in percent: 1 sigma is nothing, 1000 are all."""
    return min(100.0, max(2.0, 100 * math.log10(max(excess, 1.0)) / 3))


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
