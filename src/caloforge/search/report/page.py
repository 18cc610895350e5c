"""The page of a search: one HTML file that opens offline, in the style of the report of `validate`."""

from __future__ import annotations

__all__ = ["page"]

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from caloforge import __version__
from caloforge.documents import Kind, parse_yaml
from caloforge.errors import CaloforgeError
from caloforge.search.report.figures.curves import curves
from caloforge.search.report.figures.drawing import Drawing
from caloforge.search.report.figures.folds import folds
from caloforge.search.report.figures.fronts import fronts
from caloforge.search.report.figures.history import history
from caloforge.search.report.figures.parallel import parallel
from caloforge.search.report.figures.slices import slices
from caloforge.search.report.figures.timeline import timeline
from caloforge.search.report.record import at, has
from caloforge.search.report.view import View, label
from caloforge.search.report.words import answer, hours, percent, title
from caloforge.validation.figures.glyphs import outline
from caloforge.validation.report.export import file_name
from caloforge.validation.report.frame import framed
from caloforge.validation.report.text import number

_BEST, _FAULTS = 20, 10
_SPACE = Kind("space", CaloforgeError)
_LEADS = {
    "history": "How the search went on: each trial in its turn.",
    "front": "Where one objective can only be bettered at the cost of another.",
    "parameters": "Which values the trials took, and which of them decided.",
    "slices": (
        "Each objective against each parameter. All others vary along, so only a clear edge or trend tells. "
        "Choices are spread out sideways to be seen."
    ),
    "folds": "How much a result changes with the showers that trained and judged it.",
    "curves": "What each trial reported while it ran.",
    "groups": "Which group of workers did what, and when it had nothing to do.",
}
"""What each section shows and how to read it."""


@dataclass(frozen=True)
class Section:
    """A page of the page.

    Attributes:
        key: Its identifier.
        title: Its name.
        lead: What it shows and how to read it.
        groups: Its figures, each group with a heading or none.
        importances: Whether it has the table of importances.
    """

    key: str
    title: str
    lead: str
    groups: tuple[tuple[str, tuple[Drawing, ...]], ...] = ()
    importances: bool = False

    @property
    def drawings(self) -> tuple[Drawing, ...]:
        """All its figures."""
        return tuple(drawing for _, group in self.groups for drawing in group)


def page(record: Mapping[str, Any]) -> str:
    """Draw all figures and fill the page.

    Args:
        record: What `study_record` gave, or `study.json` holds.

    Returns:
        HTML that fetches nothing.
    """
    view = View(record)
    sections = _sections(view)
    words: dict[str, str] = {}
    for plate in (plate for s in sections for drawing in s.drawings for plate in drawing.plates):
        words.update(plate.words())
    environment = framed("caloforge.search.report")
    environment.filters.update(number=number, percent=percent, file=file_name, label=label, hours=hours)
    return environment.get_template("search.html").render(
        r=record,
        view=view,
        title=title(record),
        answer=answer(record),
        sections=sections,
        words={key: Markup(outline(text)) for key, text in sorted(words.items())},
        facts=_facts(record),
        parameters=_parameters(view),
        best=[_row(view, i) for i in view.ranked[:_BEST]],
        figures=_figures(view),
        faults=_faults(record),
        version=__version__,
    )


def _sections(view: View) -> list[Section]:
    """Return the sections that have something to show."""
    every = range(len(view.objectives))
    important = any(view.record["importances"].values())
    sliced = [
        (name if len(every) > 1 else "", tuple(slices(view, k))) for k, name in enumerate(view.objectives)
    ]
    found = [
        _section("history", "History", *(history(view, k) for k in every)),
        _section("front", "Pareto front", *fronts(view)),
        replace(_section("parameters", "Parameters", parallel(view)), importances=important),
        Section("slices", "Slices", _LEADS["slices"], tuple(group for group in sliced if group[1])),
        _section("folds", "Folds", *(folds(view, k) for k in every)),
        _section("curves", "Learning", curves(view)),
        _section("groups", "Groups", timeline(view)),
    ]
    return [section for section in found if section.drawings or section.importances]


def _section(key: str, name: str, *drawings: Drawing | None) -> Section:
    return Section(key, name, _LEADS[key], (("", tuple(d for d in drawings if d is not None)),))


def _facts(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return how it was searched, as pairs of a name and a text."""
    told = record["settings"]
    recipe = told.get("recipe", {})
    folds, groups, workers = told["folds"], told.get("groups"), told.get("workers")
    found = [
        ("Recipe", recipe.get("name", "")),
        ("Detector", told.get("detector") or ""),
        ("Showers", ", ".join(Path(path).name for path in told["data"])),
        ("Made small", ", ".join(record["objectives"])),
        ("Held", ", ".join(told.get("constraints", ())) or "no constraint"),
        ("Sampler", f"{told.get('sampler')}, seed {told.get('seed')}"),
        ("Folds", str(folds) if folds > 1 else "none: one training a trial"),
        ("Early stopping", _stopping(told)),
        (
            "Groups",
            f"{groups} at once, {workers} process{'es' if workers != 1 else ''} each" if groups else "",
        ),
        ("Begun", str(told.get("created", ""))),
        ("caloforge", str(told.get("version", ""))),
    ]
    return [(name, text) for name, text in found if text]


def _stopping(told: Mapping[str, Any]) -> str:
    if told["halving"]:
        return "successive halving: after a ninth and a third of the epochs"
    several = told["folds"] > 1 and len(told["objectives"]) == 1
    return "after folds that are worse than the best's" if several else "none"


def _parameters(view: View) -> list[dict[str, Any]]:
    """Return the rows of the tables of what was searched, and of what was found."""
    record, conditions = view.record, _conditions(view.record["settings"].get("space", ""))
    best = [view.trials[i] for i in _places(view, record["best"].values())]
    used = Counter(name for trial in view.trials for name in trial["values"])
    recipe = record["settings"].get("recipe", {})
    return [
        {
            "name": name,
            "parent": name.rpartition(".")[0],
            "leaf": name.rpartition(".")[2],
            "range": _range(parameter),
            "when": conditions.get(name, ""),
            "used": used[name],
            "own": _written(_own(recipe, parameter)),
            "best": [_written(trial["values"].get(name)) for trial in best],
        }
        for parameter in record["parameters"]
        for name in [parameter["name"]]
    ]


def _own(recipe: Mapping[str, Any], parameter: Mapping[str, Any]) -> Any:
    """Return what a recipe has, told as the choice that it agrees with, which may name some of it."""
    own = at(recipe, parameter["name"])
    return next((choice for choice in parameter.get("choices", ()) if has(own, choice)), own)


def _places(view: View, numbers: Iterable[int | None]) -> list[int]:
    places = {number: i for i, number in enumerate(view.numbers.tolist())}
    return [places[number] for number in numbers if number is not None]


def _written(value: Any) -> str:
    return "—" if value is None else label(value)


def _conditions(space: str) -> dict[str, str]:
    """Return under which condition each parameter of a space counts, as text."""
    tree = parse_yaml(space, "the study's space", _SPACE).data["search"] if space else {}
    return {
        name: " and ".join(f"{key} is {_one_of(values)}" for key, values in entry["when"].items())
        for name, entry in tree.items()
        if isinstance(entry, Mapping) and entry.get("when")
    }


def _one_of(values: Any) -> str:
    return " or ".join(map(label, values)) if isinstance(values, list) else label(values)


def _range(parameter: Mapping[str, Any]) -> str:
    if parameter["kind"] == "choice":
        return ", ".join(map(label, parameter["choices"]))
    step = parameter["step"] if parameter["step"] not in (None, 1) or parameter["kind"] == "float" else None
    extra = ", logarithmic" if parameter["log"] else f", in steps of {label(step)}" if step else ""
    whole = ", whole numbers" if parameter["kind"] == "int" and not step else ""
    return f"{label(parameter['low'])} to {label(parameter['high'])}{whole}{extra}"


def _figures(view: View) -> list[str]:
    """Return the figures that the best trials have besides the objectives."""
    best = (view.trials[i]["figures"] for i in view.ranked[:_BEST])
    return list(dict.fromkeys(name for found in best for name in found if name not in view.objectives))


def _row(view: View, i: int) -> dict[str, Any]:
    return {**view.trials[i], "kept": bool(view.kept[i]), "front": bool(view.front[i])}


def _faults(record: Mapping[str, Any]) -> list[tuple[str, int, int]]:
    """Return why trials failed: the text, how many, and the first of them; the most frequent first."""
    failed = [(trial["failed"], trial["number"]) for trial in record["trials"] if trial["failed"]]
    many = Counter(text for text, _ in failed)
    first = dict(reversed(failed))
    return [(text, count, first[text]) for text, count in many.most_common(_FAULTS)]
