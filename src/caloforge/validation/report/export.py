"""Figures as PDF and their data as CSV and JSON; the page offers the same data."""

from __future__ import annotations

__all__ = ["chart_csv", "chart_data", "export_figures", "file_name"]

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from caloforge.validation import figures
from caloforge.validation.charts import Chart, Cloud, Curve, Histogram, Line, Maps, Points, Table
from caloforge.writing import replace_text

Column = tuple[str, Sequence[Any] | np.ndarray]


def export_figures(
    charts: Sequence[Chart],
    folder: str | Path,
    names: Sequence[str] = (),
    tell: Callable[[float, str], None] | None = None,
) -> list[Path]:
    """Write every chart as PDF, CSV and JSON; a table has no PDF.

    Args:
        charts: What to write; the keys become names of files.
        folder: Made if it is not there.
        names: All candidates in their order, for their colours.
        tell: Told of each chart.

    Returns:
        What was written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    look, written = figures.Look(tuple(names)), []
    for i, chart in enumerate(charts):
        if tell is not None:
            tell(i / len(charts), f"writing {chart.key}")
        base = folder / file_name(chart.key)
        data = chart_data(chart)
        if not isinstance(chart, Table):
            figures.pdf(chart, base.with_name(base.name + ".pdf"), look)
            written.append(base.with_name(base.name + ".pdf"))
        for suffix, text in ((".csv", chart_csv(data)), (".json", json.dumps(data, indent=1) + "\n")):
            path = base.with_name(base.name + suffix)
            replace_text(path, text)
            written.append(path)
    return written


def file_name(key: str) -> str:
    """Return a key as a name that every file system takes; keys that differ stay different.

    Example:
        >>> file_name("width_x_1.energy_2")
        'width_x_1.energy_2'
    """
    safe = re.sub(r"[^A-Za-z0-9_.-]+", "-", key).strip(".-")[:80] or "figure"
    return safe if safe == key else f"{safe}-{blake2b(key.encode(), digest_size=3).hexdigest()}"


def chart_data(chart: Chart) -> dict[str, Any]:
    """Return the numbers of a chart as what JSON has: `columns` and, for each of `parts`, their `values`.

    Values are rounded to six digits; NaN and infinities become None. A histogram has three rows more than
    bins: below the first edge (no lower edge), above the last (no upper edge), and undefined (neither).
    """
    head: dict[str, Any] = {"key": chart.key, "title": chart.title, "kind": type(chart).__name__.lower()}
    if isinstance(chart, Histogram):
        return head | _one(_histogram(chart))
    if isinstance(chart, Curve):
        return head | _one(_curve(chart))
    if isinstance(chart, Points):
        return head | _one(_points(chart))
    if isinstance(chart, Table):
        return head | _one(_table(chart))
    if isinstance(chart, Maps):
        return head | _maps(chart)
    if isinstance(chart, Cloud):
        return head | _cloud(chart)
    raise TypeError(f"no data of a {type(chart).__name__}")


def chart_csv(data: dict[str, Any]) -> str:
    """Write what `chart_data` gave as CSV; several parts have their name in a first column."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    several = len(data["parts"]) > 1
    writer.writerow((["part"] if several else []) + data["columns"])
    for part in data["parts"]:
        for row in zip(*part["values"], strict=True):
            cells = ["" if value is None else value for value in row]
            writer.writerow([part["name"], *cells] if several else cells)
    return out.getvalue()


def _one(columns: Iterable[Column]) -> dict[str, Any]:
    columns = list(columns)
    return {
        "columns": [name for name, _ in columns],
        "parts": [{"name": "", "values": [_rounded(values) for _, values in columns]}],
    }


def _rounded(values: Sequence[Any] | np.ndarray) -> list[Any]:
    if isinstance(values, np.ndarray):
        values = values.tolist()
    return [_number(value) if isinstance(value, float) else value for value in values]


def _number(value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    short = float(f"{value:.6g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


def _histogram(chart: Histogram) -> Iterable[Column]:
    unit = f" [{chart.unit}]" if chart.unit else ""
    first, last, none = chart.edges[:1], chart.edges[-1:], np.array([np.nan])
    yield f"low{unit}", np.concatenate([chart.edges[:-1], none, last, none])
    yield f"high{unit}", np.concatenate([chart.edges[1:], first, none, none])
    yield from _lines(chart.lines)


def _curve(chart: Curve) -> Iterable[Column]:
    unit = f" [{chart.unit}]" if chart.unit else ""
    if chart.edges is not None:
        yield f"low{unit}", chart.edges[:-1]
        yield f"high{unit}", chart.edges[1:]
    yield f"{chart.x}{unit}", chart.at
    yield from _lines(chart.lines)


def _lines(lines: Sequence[Line]) -> Iterable[Column]:
    for line in lines:
        yield line.name, line.values
        if line.errors is not None:
            yield f"{line.name} error", line.errors


def _points(chart: Points) -> Iterable[Column]:
    yield "name", [p.name for p in chart.points]
    yield chart.x, [p.x for p in chart.points]
    yield "error", [p.x_error for p in chart.points]
    yield chart.y, [p.y for p in chart.points]
    yield "error", [p.y_error for p in chart.points]


def _table(chart: Table) -> Iterable[Column]:
    for i, name in enumerate(chart.columns):
        cells = [row[i] for row in chart.rows]
        yield name, [cell[0] if isinstance(cell, tuple) else cell for cell in cells]
        if any(isinstance(cell, tuple) for cell in cells):
            yield f"{name} error", [cell[1] if isinstance(cell, tuple) else None for cell in cells]


def _maps(chart: Maps) -> dict[str, Any]:
    """A cell is given by the mean of its corners."""
    parts = []
    for panel in chart.panels:
        x, y = panel.face.middles().reshape(-1, 2).T
        values = np.asarray(panel.face.values, np.float64).ravel()
        parts.append({"name": panel.name, "values": [_rounded(v) for v in (x, y, values)]})
    labels = [label or axis for label, axis in zip(chart.panels[0].face.labels, "xy", strict=True)]
    return {"columns": [*labels, "value"], "parts": parts}


def _cloud(chart: Cloud) -> dict[str, Any]:
    parts = [
        {
            "name": name,
            "role": role,
            "values": [_rounded(column) for column in np.asarray(hits, np.float64).T],
        }
        for name, role, hits in chart.showers
    ]
    return {
        "columns": ["x [mm]", "y [mm]", "z [mm]", "energy [MeV]"],
        "parts": parts,
        "size": [float(length) for length in chart.size],
    }
