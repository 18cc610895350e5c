"""Charts and a summary of invented numbers, for the page and the figures."""

from __future__ import annotations

import numpy as np

from caloforge.validation.charts import (
    Chart,
    Cloud,
    Curve,
    Face,
    Histogram,
    Line,
    Map,
    Maps,
    Point,
    Points,
    Table,
)
from caloforge.validation.measure import Measure, Number
from caloforge.validation.metrics.distances import Distance
from caloforge.validation.report.page import Judged, Origin, Summary
from caloforge.validation.study import Finding, Study
from caloforge.validation.verdict import Trials, Verdict

NAMES = ("CaloGAN", "flow", "3DGAN", "VAE", "score", "BIB-AE")
_QUANTITIES = (
    ("total_energy", r"Total energy $E_{tot}$", "MeV", "energy"),
    ("depth", "Shower depth $s_d$", "", "longitudinal"),
    ("width_x", r"Width $\sigma_x$", "mm", "lateral"),
    ("width_y", r"Width $\sigma_y$", "mm", "lateral"),
    ("sparsity", "Sparsity", "", "cells"),
)


def samples(candidates: int) -> list[tuple[str, str, float]]:
    """Name, role and shift of each sample."""
    parts = [(name, "candidate", 0.15 * (i + 1)) for i, name in enumerate(NAMES[:candidates])]
    return [("Geant4", "geant4", 0.0), ("Geant4 again", "floor", 0.0), *parts]


def histograms(candidates: int, many: int) -> list[Chart]:
    rng = np.random.default_rng(0)
    charts: list[Chart] = []
    for i in range(many):
        quantity, label, unit, theme = _QUANTITIES[i % len(_QUANTITIES)]
        layer = i // len(_QUANTITIES)
        middle = {"MeV": 2e4, "mm": 12.0, "": 0.8}[unit]
        edges = np.linspace(0.4 * middle, 1.6 * middle, 41)
        lines = []
        for name, role, shift in samples(candidates):
            mean = middle + (0.15 * middle * shift if quantity == "width_x" else 0.0)
            values = rng.normal(mean, 0.15 * middle, 2000)
            counts = np.histogram(values, edges)[0]
            outside = [(values < edges[0]).sum(), (values > edges[-1]).sum(), 3]
            lines.append(Line(name, role, np.array([*counts, *outside], np.float64)))
        charts.append(
            Histogram(
                key=f"{quantity}_{layer}", title=f"{label}, layer {layer}", theme=theme, quantity=quantity,
                layer=layer, x=f"{label}, layer {layer}", unit=unit, edges=edges, lines=tuple(lines),
            )
        )  # fmt: skip
    return charts


def curve(candidates: int = 1, **changes) -> Curve:
    energy = np.array([1e3, 3e3, 1e4, 3e4, 1e5])
    lines = tuple(
        Line(name, role, 0.8 + 0.01 * np.log10(energy) + 0.01 * shift, np.full(5, 0.002))
        for name, role, shift in samples(candidates)
    )
    given = {
        "key": "linearity", "title": "Response", "theme": "energy", "x": "Incident energy $E_{inc}$",
        "unit": "MeV", "y": "Response", "y_unit": "", "at": energy, "log_x": True, "lines": lines,
        "shaded": ((6e4, 2e5),),
    }  # fmt: skip
    return Curve(**(given | changes))


def maps() -> Maps:
    edges = np.linspace(-60, 60, 7)
    x, y = np.meshgrid(edges, edges, indexing="ij")
    middle = (edges[1:] + edges[:-1]) / 2
    image = 50 * np.exp(-(middle[:, None] ** 2 + middle**2) / 800)
    labels = ("x [mm]", "y [mm]")
    panels = (
        Map("Geant4", Face(x, y, image, labels), "energy"),
        Map("CaloGAN", Face(x, y, 1.1 * image, labels), "energy"),
        Map("CaloGAN / Geant4", Face(x, y, np.full((6, 6), 1.1), labels), "ratio"),
    )
    return Maps(key="image_0", title="Average image, layer 0", theme="images", layer=0, panels=panels)


def matrix() -> Maps:
    edges = np.arange(5.0)
    x, y = np.meshgrid(edges, edges, indexing="ij")
    values = np.array([[1, 0.5, 0, -0.5], [0.5, 1, 0, 0], [0, 0, 1, np.nan], [-0.5, 0, np.nan, 1]])
    panel = Map("Geant4", Face(x, y, values, ("", "")), "correlation", ("a", "b", "$c_1$", "d"))
    return Maps(key="matrix", title="Correlation", theme="correlations", panels=(panel,))


def cloud(candidates: int = 1) -> Cloud:
    rng = np.random.default_rng(1)
    showers = []
    for name, role, _ in samples(candidates):
        if role != "floor":
            place = rng.normal(0, 20, (300, 2))
            hits = np.column_stack([place, rng.gamma(4, 25, 300), 10 ** rng.normal(0, 1, 300)])
            showers.append((f"{name}, 50 GeV", role, hits))
    return Cloud(
        key="cloud_0", title="One shower", theme="showers", showers=tuple(showers), size=(240.0, 240.0, 400.0)
    )


def pareto(candidates: int = 1) -> Points:
    points = [Point("Geant4", "geant4", 1772.0, 0.5, y_error=0.01)]
    points += [
        Point(n, "candidate", 10.0**-i, 0.55 + 0.05 * i, 0, 0.01) for i, n in enumerate(NAMES[:candidates])
    ]
    return Points(
        key="pareto", title="Quality against cost", theme="summary", x="ms per shower", y="AUC",
        points=tuple(points), log_x=True, pareto=True,
    )  # fmt: skip


def table() -> Table:
    rows = (("1 to 3 GeV", (0.55, 0.01), 1.01), ("3 to 10 GeV", (0.65, 0.02), 0.99))
    return Table(key="bins", title="In bins", theme="bins", columns=("Bin", "AUC", "Response"), rows=rows)


def every_kind(candidates: int, many: int) -> list[Chart]:
    """`many` histograms and one chart of each other kind."""
    others = [curve(candidates), maps(), matrix(), cloud(candidates), pareto(candidates), table()]
    return [*histograms(candidates, many), *others]


def distance(chart: Histogram, shift: float) -> Distance:
    off = chart.quantity == "width_x"
    excess = 40.0 * (1 + shift) - (chart.layer or 0) if off else 0.5
    measures = {
        "separation": Measure(0.002 + 0.0003 * excess, 0.0004, 0.002, 0.0003),
        "wasserstein": Measure(0.01 + 0.001 * excess, 0.002, 0.01, 0.001),
    }
    return Distance(
        chart.key, chart.title, chart.unit, chart.theme, chart.quantity, chart.layer,
        measures, excess, 1 / 201 if off else 0.8, 12.1, 12.3, 1.0,
    )  # fmt: skip


def judged(i: int, charts: list[Chart]) -> Judged:
    keys = (
        Number("auc_high", "AUC, high-level", Measure(0.62 + 0.05 * i, 0.004, 0.501, 0.004)),
        Number("response", "Mean response", Measure(0.4 - 0.3 * i, 0.05, 0.01, 0.05), "%", "floor"),
        Number("coverage", "Coverage", Measure(0.93 + 0.02 * i, 0.004, 0.97, 0.003), "", "high"),
    )
    findings = (
        Finding("note", "Distributions beyond their floor", "Farthest: Width, layer 0.", "width_x_0"),
        Finding("fault", "Showers shifted along x", "By +0.42 cells.", "width_x_0"),
        Finding("warning", "Nowhere to be seen", "No chart of this name.", "no_such_chart"),
    )
    verdict = Verdict(
        "visible", "Visibly different from Geant4", f"AUC {0.62 + 0.05 * i:.3f}.", Trials(79, 60, 30)
    )
    distances = tuple(distance(c, 0.2 * i) for c in charts if isinstance(c, Histogram))
    return Judged(NAMES[i], Origin(f"{NAMES[i]}.h5", 4000, {"seed": i}), verdict, keys, findings, distances)


def summary(many: int, charts: list[Chart], **changes) -> Summary:
    every = tuple(judged(i, charts) for i in range(many))
    studies = (
        Study("high_level", "High-level classifier", tuple((c.keys[0],) for c in every), method="A network."),
        Study("response", "Response", tuple((c.keys[1],) for c in every), (curve(many),)),
        Study("manifold", "Precision and recall", tuple((c.keys[2],) for c in every)),
    )
    given = {
        "detector": "calogan", "size": 2000, "reference": Origin("geant4.h5", 4000), "floor": None,
        "candidates": every, "studies": studies, "notes": ("training was cut to <4> minutes",),
        "speed": ({"who": "Geant4", "ms per shower": 1772.0}, {"who": "bundle", "ms per shower": 0.012}),
    }  # fmt: skip
    return Summary(**(given | changes))
