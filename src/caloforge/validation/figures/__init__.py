"""Figures of charts: `plates` draws one, `svg` is for the page, `pdf` for print."""

from __future__ import annotations

__all__ = ["Look", "Plate", "panel_title", "pdf", "plates", "svg"]

from pathlib import Path

from caloforge.validation.charts import Chart, Cloud, Curve, Histogram, Maps, Points
from caloforge.validation.figures.clouds import cloud_plates
from caloforge.validation.figures.curves import curve_plate, histogram_plate
from caloforge.validation.figures.maps import map_plates
from caloforge.validation.figures.pdf import save_pdf
from caloforge.validation.figures.plate import Plate
from caloforge.validation.figures.points import points_plate
from caloforge.validation.figures.style import Look


def plates(chart: Chart, look: Look | None = None) -> list[Plate]:
    """Draw a chart; maps and showers have one plate for each panel, a table has none.

    Args:
        chart: What to draw.
        look: Which candidate has which colour; their order in the chart decides without it.
    """
    look = look or Look()
    if isinstance(chart, Histogram):
        return [histogram_plate(chart, look)]
    if isinstance(chart, Curve):
        return [curve_plate(chart, look)]
    if isinstance(chart, Maps):
        return map_plates(chart)
    if isinstance(chart, Points):
        return [points_plate(chart, look)]
    return cloud_plates(chart, look) if isinstance(chart, Cloud) else []


def svg(chart: Chart, look: Look | None = None) -> list[str]:
    """Draw a chart for the page: SVG elements that refer to its colours and words."""
    drawn = plates(chart, look)
    return [plate.svg(panel_title(chart, i, len(drawn))) for i, plate in enumerate(drawn)]


def pdf(chart: Chart, path: str | Path, look: Look | None = None) -> None:
    """Draw a chart for print.

    Args:
        chart: Anything but a table.
        path: File to write.
        look: Which candidate has which colour.

    Raises:
        ValueError: A chart that has no picture.
    """
    drawn = plates(chart, look)
    if not drawn:
        raise ValueError(f"{chart.key} is a table and has no picture")
    save_pdf(drawn, Path(path))


def panel_title(chart: Chart, i: int, many: int) -> str:
    """Return what a screen reader says of one of a chart's panels."""
    title = chart.title.replace("$", "")
    if many == 1:
        return title
    if isinstance(chart, Maps):
        return f"{title}: {chart.panels[i].name}"
    return f"{title}: {chart.showers[i][0]}" if isinstance(chart, Cloud) else title
