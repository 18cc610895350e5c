"""The page of a zoo: one HTML file that opens offline, in the frame of a search's."""

from __future__ import annotations

__all__ = ["PAGE", "page"]

from pathlib import Path

from markupsafe import Markup

from caloforge import __version__
from caloforge.search.report.figures.drawing import Drawing
from caloforge.search.report.words import hours
from caloforge.search.zoo.choice import on_front
from caloforge.search.zoo.families import FAMILIES
from caloforge.search.zoo.figures.pareto import pareto
from caloforge.search.zoo.metrics import METRICS, QUALITY
from caloforge.search.zoo.record import Member, Zoo
from caloforge.search.zoo.words import costs
from caloforge.validation.figures.glyphs import outline
from caloforge.validation.report.export import file_name
from caloforge.validation.report.frame import framed
from caloforge.validation.report.text import number

PAGE = "zoo.html"


def page(zoo: Zoo, folder: Path | None = None) -> str:
    """Draw all figures and fill the page.

    Args:
        zoo: What was measured.
        folder: Where the page will be, if reports of members may be below it.

    Returns:
        HTML that fetches nothing.
    """
    drawings = {metric: _drawings(zoo, metric) for metric in METRICS}
    words: dict[str, str] = {}
    for plate in (plate for many in drawings.values() for drawing in many for plate in drawing.plates):
        words.update(plate.words())
    environment = framed("caloforge.search.zoo", "caloforge.search.report")
    environment.filters.update(number=number, file=file_name, hours=hours)
    rungs, spent = costs(zoo)
    return environment.get_template("zoo.html").render(
        zoo=zoo,
        title=_title(zoo),
        members=sorted(zoo.members, key=lambda one: one.ms(zoo.batches[0])),
        metrics=METRICS,
        shown={metric: label for metric, label in METRICS.items() if metric in zoo.floor},
        first=drawings[QUALITY],
        others=[drawing for metric in METRICS if metric != QUALITY for drawing in drawings[metric]],
        families=FAMILIES,
        fronts={batch: _front(zoo, batch) for batch in zoo.batches},
        rungs=rungs,
        costs=spent,
        reports=_reports(zoo, folder),
        facts=_facts(zoo),
        words={key: Markup(outline(text)) for key, text in sorted(words.items())},
        version=__version__,
    )


def _drawings(zoo: Zoo, metric: str) -> list[Drawing]:
    return [drawing for batch in zoo.batches if (drawing := pareto(zoo, metric, batch))]


def _title(zoo: Zoo) -> str:
    many = len(zoo.members)
    return f"{many} generator{'s' if many != 1 else ''} of {zoo.detector.name}: how good, and how quick"


def _front(zoo: Zoo, batch: int) -> list[Member]:
    """Members that no other beats in time and in the figure that decides, the quickest first."""
    known = [one for one in zoo.members if QUALITY in one.figures]
    there = on_front(known, QUALITY, zoo.floor.get(QUALITY), batch)
    found = [one for one, kept in zip(known, there, strict=True) if kept]
    return sorted(found, key=lambda one: one.ms(batch))


def _reports(zoo: Zoo, folder: Path | None) -> dict[str, str]:
    places = {one.name: f"reports/{one.name}/report.html" for one in zoo.members}
    return {name: place for name, place in places.items() if folder and (folder / place).is_file()}


def _facts(zoo: Zoo) -> list[tuple[str, str]]:
    packages = ", ".join(f"{name} {version}" for name, version in zoo.versions.items())
    facts = [
        ("Detector", str(zoo.detector)),
        ("Particles", zoo.particles),
        ("Judged by", f"{zoo.reference.file}, {zoo.reference.showers:,} showers; {zoo.compared:,} compared"),
        ("Floor", f"{zoo.floor_sample.file}, {zoo.floor_sample.showers:,} showers"),
        ("Timed on", f"one core of {zoo.machine}; {packages}"),
        ("Begun", f"{zoo.created[:10]}, caloforge {zoo.caloforge}"),
    ]
    if zoo.geant4_ms is None:
        return facts
    return [*facts, ("Geant4 itself", f"{number(zoo.geant4_ms)} ms a shower, as the judging file says")]
