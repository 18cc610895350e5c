"""The page of an evolution of topology: one HTML file that opens offline, in the frame of a search's."""

from __future__ import annotations

__all__ = ["page", "title"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from caloforge import __version__
from caloforge.search.report.figures.drawing import Drawing
from caloforge.search.report.words import hours
from caloforge.search.topology.figures.ancestry import ancestry
from caloforge.search.topology.figures.fronts import everyone, front
from caloforge.search.topology.figures.marks import WAYS
from caloforge.search.topology.figures.progress import progress
from caloforge.search.topology.figures.sketch import sketch
from caloforge.validation.figures.glyphs import outline
from caloforge.validation.report.export import file_name
from caloforge.validation.report.frame import framed
from caloforge.validation.report.text import number

if TYPE_CHECKING:
    from caloforge.detector import Detector
    from caloforge.search.topology.individual import Individual
    from caloforge.search.topology.store import State


@dataclass(frozen=True)
class Section:
    """A page of the page.

    Attributes:
        key: Its identifier.
        title: Its name.
        lead: What it shows and how to read it.
        drawings: Its figures.
    """

    key: str
    title: str
    lead: str
    drawings: tuple[Drawing, ...]


def page(
    state: State, members: Sequence[Individual], diary: Sequence[Mapping[str, Any]], detector: Detector
) -> str:
    """Draw all figures and fill the page.

    Args:
        state: Where the evolution is.
        members: Of its front.
        diary: Entries of its generations.
        detector: Whose showers.

    Returns:
        HTML that fetches nothing.
    """
    sections = _sections(state, members, diary, detector)
    words: dict[str, str] = {}
    for plate in (plate for s in sections for drawing in s.drawings for plate in drawing.plates):
        words.update(plate.words())
    environment = framed("caloforge.search.topology", "caloforge.search.report")
    environment.filters.update(number=number, file=file_name, hours=hours)
    return environment.get_template("topology.html").render(
        state=state,
        members=members,
        best=_best(members),
        quickest=min(members, key=lambda one: _ms(state, one), default=None),
        title=title(state, members),
        sections=sections,
        words={key: Markup(outline(text)) for key, text in sorted(words.items())},
        facts=_facts(state, diary),
        faulty=sum(entry["faulty"] for entry in diary),
        seconds=state.worked[-1] if state.worked else 0.0,
        figures=sorted({name for one in members for name in state.figures.get(one.number, {})} - {"ms"}),
        ways=WAYS,
        version=__version__,
    )


def title(state: State, members: Sequence[Individual]) -> str:
    """Return what came out in one line."""
    if not members:
        return "No generation has lived yet"
    many = len(members)
    told = f"{many} generator{'s' if many > 1 else ''} on the front of fitness, time and weights"
    left = state.recipe["topology"]["generations"] + 1 - state.generation
    return told + (f", {left} generations before the end" if left > 0 else "")


def _sections(
    state: State, members: Sequence[Individual], diary: Sequence[Mapping[str, Any]], detector: Detector
) -> list[Section]:
    if not members:
        return []
    fronts = [drawing for drawing in (front(state, members), everyone(state, members)) if drawing]
    return [
        Section(
            "front",
            "Pareto front",
            "What can only be bettered in one thing at the cost of another.",
            tuple(fronts),
        ),
        Section(
            "drawings",
            "Drawings",
            "Each member from the coarse image that a dense layer makes to the cells. Sheets: one for each "
            "time that the filters double. Above an arrow stands the window of the convolution, in cells. "
            "An arc is a skip; below stand what a stage sees besides, and its activation.",
            tuple(sketch(one, detector) for one in members),
        ),
        Section("ancestry", "Ancestry", "Who came from whom.", (ancestry(state, members),)),
        Section("progress", "Progress", "How the population came on.", tuple(progress(diary))),
    ]


def _best(members: Sequence[Individual]) -> Individual | None:
    return min(members, key=lambda one: one.fitness or 0.0, default=None)


def _ms(state: State, one: Individual) -> float:
    return state.figures.get(one.number, {}).get("ms", one.ms)


def _facts(state: State, diary: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return how it was evolved, as pairs of a name and a text."""
    told = state.recipe
    topology, objective = told["topology"], told["objective"]
    algorithm = objective["algorithm"]
    fitness = ", ".join(f"{name} {weight:g}" for name, weight in objective["fitness"].items() if weight)
    ways = ", ".join(f"{name} {share:g}" for name, share in topology["ways"].items() if share)
    limits = ", ".join(f"{value:,} {name}" for name, value in topology["limits"].items())
    each = (
        f"{topology['steps']} generations of {algorithm['kind']}, {algorithm['population']} individuals each"
    )
    return [
        ("Recipe", told["name"]),
        ("Detector", told.get("detector") or ""),
        ("Fitness", fitness),
        ("Population", f"{topology['population']}, {len(diary)} generations with that of the founders"),
        ("Ways to make a child", ways),
        ("Weights of a child", f"{each}; founders: {topology['first_steps']}"),
        ("Too bad", f"a fitness {topology['tolerance']:g} times that of the best"),
        ("At most", limits),
        ("Seed", str(told["schedule"]["seed"])),
    ]
