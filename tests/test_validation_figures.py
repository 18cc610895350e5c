"""Figures show the numbers that they were given, whatever these are; and are written for others to use."""

from __future__ import annotations

import csv
import json
import re
import time
from dataclasses import replace
from importlib.resources import files
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from caloforge.validation import figures
from caloforge.validation.charts import Line, Point, Points
from caloforge.validation.figures.curves import _trimmed
from caloforge.validation.figures.glyphs import SIZE, line_of_words, width
from caloforge.validation.figures.plate import Marks, Stroke, Text
from caloforge.validation.figures.style import LIGHT, font_style
from caloforge.validation.figures.ticks import ticks
from caloforge.validation.report.export import chart_csv, chart_data, export_figures, file_name
from validation_charts import NAMES, cloud, curve, every_kind, histograms, maps, matrix, pareto, table


def drawn(chart, **look):
    return figures.plates(chart, figures.Look(**look))


def strokes(plate, colour):
    return [i for i in plate.items if isinstance(i, Stroke) and i.colour == colour]


def labels(plate):
    return [item.text for item in plate.items if isinstance(item, Text)]


@pytest.mark.parametrize("label", ["Width", "Showers per bin", r"Width $\sigma_x$, layer 1 [mm]"])
def test_words_are_as_wide_as_matplotlib_writes_them(label):
    with mpl.rc_context(font_style()):
        extent = TextPath((0, 0), label, size=SIZE, prop=FontProperties(size=SIZE)).get_extents()
    assert width(label) == pytest.approx(extent.x1, rel=0.03)
    assert [word.text for word in line_of_words("a b")] == ["a", "b"]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 7), (0.99, 1.01), (0, 31000), (2e5, 9e5), (0, 3e-6)])
def test_linear_ticks_say_where_they_are(low, high):
    found = ticks(low, high, log=False)
    power = re.search(r"10\^\{(-?\d+)\}", found.factor)
    factor = 10.0 ** int(power[1]) if power else 1.0
    assert 3 <= len(found.major) <= 8
    assert len(set(found.labels)) == len(found.labels)
    named = [float(text.replace("−", "-")) * factor for text in found.labels]
    np.testing.assert_allclose(named, found.major, atol=1e-9 * (high - low))
    assert ((found.major >= low - 1e-9) & (found.major <= high + 1e-9)).all()
    assert ((found.minor > low) & (found.minor < high)).all()


@pytest.mark.parametrize(("low", "high"), [(1, 100), (1e-3, 1e4), (900, 120000), (20, 60), (30, 34)])
def test_logarithmic_ticks_say_where_they_are(low, high):
    found = ticks(low, high, log=True)
    named = [(at, text) for at, text in zip(found.major, found.labels, strict=True) if text]
    assert len(named) >= 2
    for at, text in named:
        factor, power = re.fullmatch(r"\$?(?:([\d.]+))?(?:\\times )?(?:10\^\{(-?\d+)\})?\$?", text).groups()
        assert at == pytest.approx(float(factor or 1) * 10.0 ** int(power or 0), rel=0.03)


def test_histogram_shows_the_counts():
    chart = histograms(1, 3)[2]
    plate = drawn(chart)[0]
    outline = max(strokes(plate, "candidate-0"), key=lambda s: len(s.parts[0])).parts[0]
    bins = len(chart.edges) - 1
    counts = chart.lines[2].values[:bins]
    heights = outline[::2, 1] - 110.0  # above the lower end of the upper panel
    np.testing.assert_allclose(heights / heights.max(), counts / counts.max(), atol=1e-9)
    assert "Width $\\sigma_x$, layer 0 [mm]" in labels(plate)
    assert {"Geant4", "Geant4 again", "CaloGAN"} <= set(labels(plate))


def test_bins_are_joined_and_no_count_is_lost():
    chart = histograms(1, 1)[0]
    fine = replace(
        chart,
        edges=np.linspace(0, 1, 201),
        lines=tuple(replace(line, values=np.arange(203.0) % 7) for line in chart.lines),
    )
    joined = _trimmed(fine)
    assert len(joined.edges) - 1 <= 60
    for before, after in zip(fine.lines, joined.lines, strict=True):
        assert after.values.sum() == pytest.approx(before.values[:200].sum())


def test_ratios_outside_the_panel_become_triangles():
    chart = histograms(1, 1)[0]
    geant4 = Line("Geant4", "geant4", np.full(43, 1000.0))
    other = Line("CaloGAN", "candidate", np.full(43, 1000.0))
    other.values[5], other.values[7] = 9000.0, 1.0
    plate = drawn(replace(chart, lines=(geant4, other)))[0]
    shapes = {i.shape: len(i.at) for i in plate.items if isinstance(i, Marks) and i.radius == 2.0}
    assert shapes == {"up": 1, "down": 1}


def test_colours_follow_the_candidate_not_its_place():
    chart = histograms(2, 1)[0]
    alone = replace(chart, lines=(chart.lines[0], chart.lines[3]))  # flow, without CaloGAN
    assert strokes(drawn(alone)[0], "candidate-0")
    plate = drawn(alone, names=NAMES)[0]
    assert strokes(plate, "candidate-1")
    assert not strokes(plate, "candidate-0")


def test_maps_show_every_cell_and_one_scale():
    plates = drawn(maps())
    assert len(plates) == 3
    cells = [
        i for i in plates[0].items if isinstance(i, Stroke) and i.colour.startswith("#") and i.width == 0
    ]
    corners = [part for item in cells for part in item.parts if np.ptp(part[:, 0]) > 20]
    assert len(corners) == 36
    assert len({item.colour for item in cells}) > 5


def test_cells_without_energy_stay_empty():
    panel = maps().panels[0]
    panel.face.values[2, 3] = 0.0
    plate = drawn(replace(maps(), panels=(panel,)))[0]
    cells = [
        part for item in plate.items if isinstance(item, Stroke) and item.width == 0 for part in item.parts
    ]
    assert len([part for part in cells if np.ptp(part[:, 0]) > 20]) == 35


def test_pareto_front_joins_what_no_other_beats():
    points = (Point("a", "geant4", 1, 3), Point("b", "candidate", 2, 2), Point("c", "candidate", 3, 2.5))
    chart = Points(key="p", title="", theme="", x="x", y="y", points=points, pareto=True)
    plate = drawn(chart)[0]
    front = next(i for i in plate.items if isinstance(i, Stroke) and i.dashed).parts[0]
    marks = [i.at[0] for i in plate.items if isinstance(i, Marks)]
    on_front = [any(np.allclose(mark, at, atol=0.01) for at in front) for mark in marks]
    assert on_front == [True, True, False]
    assert {"a", "b", "c"} <= set(labels(plate))


def test_every_kind_is_valid_svg_whose_words_exist():
    for chart in every_kind(6, 5):
        for plate, svg in zip(drawn(chart), figures.svg(chart), strict=True):
            tree = ElementTree.fromstring(svg)
            used = {node.get("href")[1:] for node in tree.iter("use")}
            assert used == set(plate.words())
            assert "id=" not in svg  # nothing to clash with other figures
            assert "nan" not in svg
            assert tree.get("aria-label")


@pytest.mark.parametrize("kind", ["zero", "nan", "single"])
@pytest.mark.parametrize("log", [False, True])
def test_strange_numbers_are_drawn(kind, log):
    size = 1 if kind == "single" else 4
    value = {"zero": 0.0, "nan": np.nan, "single": 5.0}[kind]
    lines = tuple(Line(n, r, np.full(size, value), np.full(size, value)) for n, r in
                  (("Geant4", "geant4"), ("Geant4 again", "floor"), ("x", "candidate")))  # fmt: skip
    at = np.arange(1.0, size + 1)
    for edges in (None, np.arange(1.0, size + 2)):
        chart = curve(lines=lines, at=at, edges=edges, log_y=log, log_x=log)
        assert "<svg" in figures.svg(chart)[0]
    counts = tuple(replace(line, values=np.full(size + 3, value), errors=None) for line in lines)
    chart = replace(histograms(1, 1)[0], edges=np.arange(1.0, size + 2), lines=counts, log=log)
    assert "nan" not in figures.svg(chart)[0]


def test_a_cloud_without_hits_and_a_map_of_nothing():
    empty = replace(
        cloud(), showers=(("Geant4", "geant4", np.zeros((0, 4))), ("x", "candidate", np.zeros((3, 4))))
    )
    assert len(figures.svg(empty)) == 2
    panel = maps().panels[0]
    nothing = replace(panel, face=replace(panel.face, values=np.full((6, 6), np.nan)))
    assert figures.svg(replace(maps(), panels=(nothing,)))


@pytest.mark.parametrize("place", [0, 1], ids=["light", "dark"])
def test_candidates_differ_for_the_colour_blind(place):
    """Machado, Oliveira and Fernandes (2009), full severity, on linear RGB; distance in CIE L*a*b*."""
    kinds = {
        "normal": np.eye(3),
        "protan": [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ],
        "deutan": [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ],
    }
    css = (files("caloforge.validation.report") / "template" / "page.css").read_text()
    themes = [re.findall(rf"--candidate-{i}: (#[0-9a-f]{{6}})", css) for i in range(6)]
    assert [theme[0] for theme in themes] == [LIGHT[f"candidate-{i}"] for i in range(6)]
    colours = np.array([mpl.colors.to_rgb(theme[place]) for theme in themes])
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    for kind, matrix_ in kinds.items():
        xyz = np.clip(linear @ np.array(matrix_).T, 0, 1) @ to_xyz.T / [0.9505, 1, 1.089]
        f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
        lab = np.column_stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])])
        apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1)[np.triu_indices(6, 1)]
        assert apart.min() > 15, kind


def test_a_histogram_costs_less_than_45_ms():
    charts = histograms(1, 20)
    figures.svg(charts[0])
    start = time.process_time()
    for chart in charts:
        figures.svg(chart)
    assert (time.process_time() - start) / len(charts) < 0.045


def test_export_writes_what_was_drawn(tmp_path):
    charts = [*histograms(1, 1), curve(), maps(), matrix(), cloud(), pareto(), table()]
    written = export_figures(charts, tmp_path / "figures", NAMES)
    assert all(path.stat().st_size > 0 for path in written)
    assert len(list((tmp_path / "figures").glob("*.pdf"))) == len(charts) - 1  # a table is no picture
    for path in (tmp_path / "figures").glob("*.pdf"):
        assert path.read_bytes().startswith(b"%PDF")
    with (tmp_path / "figures" / "total_energy_0.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    histogram = charts[0]
    assert rows[0] == ["low [MeV]", "high [MeV]", "Geant4", "Geant4 again", "CaloGAN"]
    assert [float(row[4]) for row in rows[1:]] == histogram.lines[2].values.tolist()
    assert [float(row[0]) for row in rows[1:41]] == pytest.approx(histogram.edges[:-1].tolist(), rel=1e-5)
    assert [row[0] == "" for row in rows[-3:]] == [True, False, True]  # below, above, undefined
    data = json.loads((tmp_path / "figures" / "cloud_0.json").read_text())
    np.testing.assert_allclose(np.array(data["parts"][1]["values"]).T, cloud().showers[1][2], rtol=1e-5)
    assert data["size"] == [240.0, 240.0, 400.0]


def test_data_of_nan_is_none_and_parts_are_named():
    data = chart_data(matrix())
    values = data["parts"][0]["values"][2]
    assert values.count(None) == 2
    lines = chart_csv(chart_data(maps())).splitlines()
    assert lines[0] == "part,x [mm],y [mm],value"
    assert len(lines) == 1 + 3 * 36
    assert lines[1].startswith("Geant4,-50,-50,")
    json.dumps(data, allow_nan=False)


def test_pdf_of_a_table_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no picture"):
        figures.pdf(table(), tmp_path / "table.pdf")


def test_names_of_files_are_safe_and_stay_different():
    names = ["width_x_1.energy_2", "a/b", "a:b", "a b", "..", "", "ä" * 300, "CON?"]
    safe = [file_name(name) for name in names]
    assert len(set(safe)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]{1,90}", name) and not name.startswith(".") for name in safe)
    assert safe[0] == names[0]
