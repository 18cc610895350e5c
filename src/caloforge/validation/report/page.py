"""The report as one HTML page that opens offline; figures become part of it as they are scrolled to."""

from __future__ import annotations

__all__ = ["Judged", "Origin", "Summary", "number", "page"]

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from markupsafe import Markup

from caloforge import __version__
from caloforge.validation import figures
from caloforge.validation.charts import Chart, Cloud, Maps, Points, Table
from caloforge.validation.figures.glyphs import outline
from caloforge.validation.measure import Number
from caloforge.validation.metrics.distances import LARGEST_P, Distance
from caloforge.validation.report.export import chart_data, file_name
from caloforge.validation.report.frame import framed
from caloforge.validation.report.text import cell, chance, floor, mean, number, rich, sigmas, value
from caloforge.validation.require import Outcome
from caloforge.validation.study import Finding, Study, Tell, faults_first
from caloforge.validation.verdict import Verdict, plain

_THEMES = {
    "energy": ("Energy", "How much is deposited: in all cells, in each layer, and over the incident energy."),
    "longitudinal": ("Longitudinal shape", "How deep the shower goes, where it starts and where it peaks."),
    "lateral": ("Lateral shape", "Where each layer's energy lies across the axis, and how wide it is."),
    "cells": ("Cells", "How many cells are hit, how hard, and how much the brightest hold."),
    "profiles": ("Mean profiles", "Mean energy along the depth, across the layers and along the radius."),
    "images": ("Average images", "Mean energy of each cell. Cells that no shower hits stay empty."),
    "fluctuations": (
        "Single cells",
        "How much each cell varies at given energy of its layer, and how it goes with its neighbours.",
    ),
    "correlations": (
        "Correlations",
        "Which observables go together: more than single distributions.",
    ),
    "showers": (
        "Single showers",
        "Random showers of Geant4 beside the candidates' of nearest energy: of one kind, but never equal.",
    ),
    "classifiers": (
        "Classifiers",
        "Networks and trees that learn to tell candidate from Geant4. An AUC of 0.5 is guessing.",
    ),
    "generative": (
        "Generative metrics",
        "Whether the sample is complete, diverse and not learned by heart.",
    ),
    "bins": ("In bins", "The same distributions where energy, angle or position of the particle are fixed."),
    "scans": ("Scans", "What the model does between and beyond the energies that it was trained on."),
}
_MEASURES = {
    "separation": "Separation",
    "chi2": "χ²/ndf",
    "ks": "KS",
    "wasserstein": "Wasserstein/σ",
    "difference": "Area between",
    "relative": "Relative, %",
    "mse": "Squared",
}
_MOST_RANKED = 12
_HOME = "generative"
"""Page of the numbers of a study without charts."""


@dataclass(frozen=True)
class Origin:
    """Where a sample comes from.

    Attributes:
        name: Of its file.
        showers: In it.
        provenance: How it was made, may be empty.
    """

    name: str
    showers: int
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Judged:
    """What is said of one candidate.

    Attributes:
        name: Of the candidate, as in the charts.
        origin: Its file.
        verdict: The answer.
        keys: The few numbers that matter most, at most six.
        findings: What a reader must know.
        distances: All distributions and profiles; empty if they were not compared.
    """

    name: str
    origin: Origin
    verdict: Verdict
    keys: tuple[Number, ...]
    findings: tuple[Finding, ...] = ()
    distances: tuple[Distance, ...] = ()


@dataclass(frozen=True)
class Summary:
    """All that the page says besides figures.

    Attributes:
        detector: Its name.
        size: Showers compared of each sample.
        reference: Geant4.
        floor: More Geant4, None for halves of the reference.
        candidates: What is judged, one or more.
        studies: Their numbers, in the order of the candidates, and their methods.
        remarks: What a reader must know of reference, floor and training.
        notes: More lines for the top.
        speed: Rows of a table of milliseconds per shower; the keys are the columns.
        outcomes: What requirements came to.
    """

    detector: str
    size: int
    reference: Origin
    floor: Origin | None
    candidates: tuple[Judged, ...]
    studies: tuple[Study, ...] = ()
    remarks: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    speed: tuple[Mapping[str, Any], ...] = ()
    outcomes: tuple[Outcome, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the candidates."""
        return tuple(c.name for c in self.candidates)


@dataclass(frozen=True)
class Figure:
    """A chart as the page shows it.

    Attributes:
        chart: What it shows.
        svgs: Its panels.
        ratio: Width over height of each panel.
        width: Of a panel at full size, CSS pixels.
        data: Its numbers as JSON.
        distances: Distance of each candidate if the chart is a distribution, otherwise empty.
        judged: Whether it is known if candidates differ by more than chance here.
        excess: Largest excess of a candidate, -1 without.
        off: Whether any candidate differs by more than chance here, or a fault is seen here.
    """

    chart: Chart
    svgs: tuple[str, ...]
    ratio: float
    width: float
    data: str
    distances: tuple[Distance, ...]
    judged: bool
    excess: float
    off: bool

    @property
    def wide(self) -> bool:
        """Whether it takes a whole row."""
        return isinstance(self.chart, Maps | Cloud | Table)

    @property
    def find(self) -> str:
        """What the filter looks at."""
        chart = self.chart
        return f"{chart.key} {plain(chart.title)} {chart.quantity} {chart.theme}".lower()


def page(summary: Summary, charts: Sequence[Chart], tell: Tell | None = None) -> str:
    """Draw all figures and fill the page.

    Args:
        summary: What it says.
        charts: What it shows; points with a Pareto front go to the summary.
        tell: Told of each figure.

    Returns:
        HTML that fetches nothing.
    """
    drawn, words = _draw(summary, charts, tell)
    environment = framed()
    filters = {
        "number": number,
        "value": value,
        "floor": floor,
        "sigmas": sigmas,
        "cell": cell,
        "rich": rich,
        "mean": mean,
        "chance": chance,
    }
    environment.filters.update(
        filters, bar=_bar, file=file_name, urgent=faults_first, measure=lambda key: _MEASURES.get(key, key)
    )
    pareto = [f for f in drawn if isinstance(f.chart, Points) and f.chart.pareto]
    themed = [f for f in drawn if f not in pareto]
    return environment.get_template("page.html").render(
        s=summary,
        one=len(summary.candidates) == 1,
        pages=_pages(summary, themed),
        pareto=pareto,
        ranked=_ranked(summary),
        compared=_compared(summary),
        most=_MOST_RANKED,
        known={f.chart.key for f in drawn},
        words={key: Markup(outline(text)) for key, text in sorted(words.items())},
        speed_columns=list(dict.fromkeys(key for row in summary.speed for key in row)),
        version=__version__,
        measures=_measures(summary),
    )


def _draw(
    summary: Summary, charts: Sequence[Chart], tell: Tell | None
) -> tuple[list[Figure], dict[str, str]]:
    look = figures.Look(summary.names)
    by_name = [{d.name: d for d in c.distances} for c in summary.candidates]
    faults = {f.chart for c in summary.candidates for f in c.findings}
    in_bins = _in_bins(summary)
    found, words = [], {}
    for i, chart in enumerate(charts):
        if tell is not None:
            tell(i / len(charts), f"drawing {chart.key}")
        plates = figures.plates(chart, look)
        for plate in plates:
            words.update(plate.words())
        distances = tuple(known[chart.key] for known in by_name if chart.key in known)
        excess = [(d.excess, d.off) for d in distances] or in_bins.get(chart.key, [])
        found.append(
            Figure(
                chart,
                tuple(
                    plate.svg(figures.panel_title(chart, j, len(plates))) for j, plate in enumerate(plates)
                ),
                ratio=plates[0].width / plates[0].height if plates else 1.0,
                width=plates[0].width / 0.72 if plates else 0.0,
                data=json.dumps(chart_data(chart), separators=(",", ":")).replace("</", "<\\/"),
                distances=distances,
                judged=bool(excess),
                excess=max((e for e, _ in excess if not math.isnan(e)), default=-1.0),
                off=any(off for _, off in excess) or chart.key in faults,
            )
        )
    return found, words


def _in_bins(summary: Summary) -> dict[str, list[tuple[float, bool]]]:
    """Return excess, and whether it is more than chance, of each candidate's distributions in bins."""
    found: dict[str, list[tuple[float, bool]]] = {}
    for study in summary.studies:
        for candidate in study.details.get("bins", ()):
            for name, told in candidate.items():
                found.setdefault(name, []).append((float(told["excess"]), bool(told["p_value"] < LARGEST_P)))
    return found


def _pages(summary: Summary, drawn: Sequence[Figure]) -> list[dict[str, Any]]:
    """Return the pages of all themes that have figures or numbers."""
    homes = {study.name: _home(study) for study in summary.studies}
    themes = [*_THEMES, *dict.fromkeys(f.chart.theme for f in drawn if f.chart.theme not in _THEMES)]
    found = []
    for theme in themes:
        title, lead = _THEMES.get(theme, (theme.capitalize(), ""))
        here = [f for f in drawn if f.chart.theme == theme]
        studies = [s for s in summary.studies if homes[s.name] == theme and any(s.numbers)]
        if here or studies:
            found.append(
                {"id": theme, "title": title, "lead": lead, "figures": here, "groups": _groups(here),
                 "studies": studies, "off": sum(f.off for f in here)}
            )  # fmt: skip
    return found


def _home(study: Study) -> str:
    """Return the page of a study's numbers: that of its first chart; a study about everything has none."""
    themes = list(dict.fromkeys(chart.theme for chart in study.charts))
    if len(themes) > 3:
        return ""
    return themes[0] if themes else _HOME


def _groups(drawn: Sequence[Figure]) -> list[tuple[str, list[Figure]]]:
    """Put figures of one quantity under one heading; single figures share one group without a heading."""
    order: dict[str, list[Figure]] = {}
    for f in drawn:
        order.setdefault(f.chart.quantity or f.chart.key, []).append(f)
    groups: list[tuple[str, list[Figure]]] = []
    for single, parts in groupby(order.values(), key=lambda part: len(part) == 1):
        if single:
            groups.append(("", [f for part in parts for f in part]))
        else:
            groups += [(_common([f.chart.title for f in part]), part) for part in parts]
    return groups


def _common(titles: Sequence[str]) -> str:
    """Return what titles of one quantity begin with, up to a comma."""
    return titles[0].rsplit(",", 1)[0] if "," in titles[0] else titles[0]


def _ranked(summary: Summary) -> list[tuple[Distance, ...]]:
    """Return the distances of all candidates, the distribution that is farthest in any of them first."""
    by_name = [{d.name: d for d in c.distances} for c in summary.candidates]
    rows = [
        tuple(known[name] for known in by_name)
        for name in (by_name[0] if by_name else ())
        if all(name in known for known in by_name)
    ]
    return sorted(rows, key=lambda row: -max(-1.0 if math.isnan(d.excess) else d.excess for d in row))


def _compared(summary: Summary) -> list[tuple[Number, list[Number | None], set[int]]]:
    """Return the key numbers side by side, with the places of the best."""
    rows: dict[str, list[Number | None]] = {}
    for i, candidate in enumerate(summary.candidates):
        for found in candidate.keys:
            rows.setdefault(found.name, [None] * len(summary.candidates))[i] = found
    table = []
    for row in rows.values():
        known = {
            i: _badness(n) for i, n in enumerate(row) if n is not None and not math.isnan(n.measure.value)
        }
        best = min(known.values(), default=math.nan)
        places = {i for i, value in known.items() if value == best}
        first = next(n for n in row if n is not None)
        table.append((first, row, places if len(places) < len(known) else set()))
    return table


def _badness(found: Number) -> float:
    """Return what is small for a good candidate."""
    value, floor = found.measure.value, found.measure.floor
    if found.better == "floor":
        return abs(value - (0.0 if math.isnan(floor) else floor))
    return value if found.better == "low" else -value


def _measures(summary: Summary) -> list[str]:
    """Return which distances there are, in the order of the candidates' distributions."""
    return list(dict.fromkeys(key for c in summary.candidates for d in c.distances for key in d.measures))


def _bar(excess: float) -> float:
    """Return the length of an excess's bar in percent: 1 sigma is nothing, 1000 are all."""
    if math.isnan(excess):
        return 0.0
    return min(100.0, max(1.5, 100 * math.log10(max(excess, 1.0)) / 3))
