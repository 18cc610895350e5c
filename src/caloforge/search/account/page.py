"""The page of an account: one HTML file that opens offline, in the frame of a search's."""

from __future__ import annotations

__all__ = ["page"]

from collections.abc import Mapping
from typing import TYPE_CHECKING

from markupsafe import Markup

from caloforge import __version__
from caloforge.search.account.arms import CODINGS, GRADIENTS, Arm
from caloforge.search.account.fidelity import FIGURES
from caloforge.search.account.figures.courses import courses
from caloforge.search.account.figures.dots import dots
from caloforge.search.account.results import Row, answer, rows_of
from caloforge.search.report.figures.drawing import Drawing
from caloforge.search.report.words import hours
from caloforge.validation.figures.glyphs import outline
from caloforge.validation.report.export import file_name
from caloforge.validation.report.frame import framed
from caloforge.validation.report.text import number

if TYPE_CHECKING:
    from caloforge.search.account.record import Record

_TITLES = {GRADIENTS: "Evolution and gradients", CODINGS: "Chromosomes"}
_LEADS = {
    GRADIENTS: "The same generator, the same core-seconds, one core each. "
    "Arms named “as for evolved” stop when they have seen as many real showers as the evolution.",
    CODINGS: "The same evolution with other genes: bytes of an individual on its way to whoever judges it, "
    "against what is reached.",
}


def page(record: Record, arms: Mapping[str, Arm]) -> str:
    """Draw all figures and fill the page.

    Args:
        record: The account.
        arms: What it compares.

    Returns:
        HTML that fetches nothing.
    """
    rows = rows_of(record, arms)
    groups = {key: _group(rows, key) for key in (GRADIENTS, CODINGS)}
    groups = {key: found for key, found in groups.items() if found}
    shown = {name: label for name, label in FIGURES.items() if name in record.floor}
    drawings = {key: _drawings(found, key, shown, record) for key, found in groups.items()}
    words: dict[str, str] = {}
    for plate in (plate for many in drawings.values() for drawing in many for plate in drawing.plates):
        words.update(plate.words())
    environment = framed("caloforge.search.account", "caloforge.search.report")
    environment.filters.update(number=number, file=file_name, hours=hours)
    told = answer(rows, record.floor)
    return environment.get_template("account.html").render(
        record=record,
        groups=groups,
        titles=_TITLES,
        leads=_LEADS,
        figures=shown,
        drawings=drawings,
        answer=told,
        failed=[one for one in record.members if one.failed],
        core_seconds=sum(one.core_seconds for one in record.members),
        words={key: Markup(outline(text)) for key, text in sorted(words.items())},
        facts=_facts(record),
        version=__version__,
    )


def _group(rows: Mapping[str, Row], group: str) -> dict[str, Row]:
    """Return the arms of a group; the evolution itself is one of the codings, too."""
    found = {key: row for key, row in rows.items() if row.arm.group == group}
    if group == CODINGS and found and "evolved" in rows:
        return {"evolved": rows["evolved"]} | found
    return found


def _drawings(rows: Mapping[str, Row], group: str, shown: Mapping[str, str], record: Record) -> list[Drawing]:
    timed = {key: row for key, row in rows.items() if row.arm.like is None and key != "trained-hits"}
    points = [dots(rows, name, label, record.floor[name], group) for name, label in shown.items()]
    return [*courses(timed, group), *points]


def _facts(record: Record) -> list[tuple[str, str]]:
    objective, model = record.recipe["objective"], record.recipe["model"]
    algorithm = ", ".join(f"{name} {value}" for name, value in objective["algorithm"].items() if value)
    coding = ", ".join(f"{name} {value}" for name, value in objective["coding"].items())
    fitness = ", ".join(f"{name} {weight:g}" for name, weight in objective["fitness"].items() if weight)
    return [
        ("Recipe", record.recipe["name"]),
        ("Detector", record.detector),
        ("Generator", f"{record.weights:,} weights, {len(model['stages'])} stages"),
        ("Algorithm", algorithm),
        ("Coding", coding),
        ("Fitness", fitness),
        ("Each arm", f"{record.minutes:g} minutes of one core"),
        ("Judged by", f"{record.judges:,} showers of Geant4; as many others are the floor"),
    ]
