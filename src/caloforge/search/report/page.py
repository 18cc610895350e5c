"""The page of a search: one HTML file that opens offline, in the style of the report of `validate`."""

from __future__ import annotations

__all__ = ["page"]

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from jinja2 import ChoiceLoader, Environment, PackageLoader
from markupsafe import Markup

from caloforge import __version__
from caloforge.search.report.figures.curves import curves
from caloforge.search.report.figures.drawing import Drawing
from caloforge.search.report.figures.folds import folds
from caloforge.search.report.figures.fronts import fronts
from caloforge.search.report.figures.history import history
from caloforge.search.report.figures.parallel import parallel
from caloforge.search.report.figures.slices import slices
from caloforge.search.report.figures.timeline import timeline
from caloforge.search.report.view import View, label
from caloforge.search.report.words import answer, hours, percent, title
from caloforge.validation.figures.glyphs import outline
from caloforge.validation.report.export import file_name
from caloforge.validation.report.text import number

_BEST, _FAULTS = 20, 10


@dataclass(frozen=True)
class Section:
    """A page of the page.

    Attributes:
        key: Its identifier.
        title: Its name.
        lead: What it shows and how to read it.
        drawings: Its figures.
        importances: Whether it has the table of importances.
    """

    key: str
    title: str
    lead: str
    drawings: tuple[Drawing, ...] = ()
    importances: bool = False


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
    environment = _environment()
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
        part=lambda name: Markup(_source(environment, name)),
    )


def _environment() -> Environment:
    own = PackageLoader("caloforge.search.report", "template")
    house = PackageLoader("caloforge.validation.report", "template")
    made = Environment(
        loader=ChoiceLoader([own, house]), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    made.filters.update(number=number, percent=percent, file=file_name, label=label, hours=hours)
    return made


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _sections(view: View) -> list[Section]:
    """Return the sections that have something to show."""
    every = range(len(view.objectives))
    found = [
        Section(
            "history",
            "History",
            "How the search went on: each trial in its turn.",
            _there(history(view, k) for k in every),
        ),
        Section(
            "front",
            "Pareto front",
            "Where one objective can only be bettered at the cost of another.",
            tuple(fronts(view)),
        ),
        Section(
            "parameters",
            "Parameters",
            "Which values the trials took, and which of them decided.",
            _there([parallel(view)]),
            importances=any(view.record["importances"].values()),
        ),
        Section(
            "slices",
            "Slices",
            "Each objective against each parameter. All others vary along: only a clear edge or trend counts.",
            tuple(made for k in every for made in slices(view, k)),
        ),
        Section(
            "folds",
            "Folds",
            "How much a result changes with the showers that trained and judged it.",
            _there(folds(view, k) for k in every),
        ),
        Section("curves", "Learning", "What each trial reported while it ran.", _there([curves(view)])),
        Section(
            "groups",
            "Groups",
            "Which group of workers did what, and when it had nothing to do.",
            _there([timeline(view)]),
        ),
    ]
    return [section for section in found if section.drawings or section.importances]


def _there(drawings: Iterable[Drawing | None]) -> tuple[Drawing, ...]:
    return tuple(drawing for drawing in drawings if drawing is not None)


def _facts(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return how it was searched, as pairs of a name and a text."""
    told = record["settings"]
    recipe = told.get("recipe", {})
    folds, groups, workers = told.get("folds"), told.get("groups"), told.get("workers")
    found = [
        ("Recipe", recipe.get("name", "")),
        ("Detector", told.get("detector") or ""),
        ("Showers", ", ".join(map(str, told.get("data", ())))),
        ("Made small", ", ".join(record["objectives"])),
        ("Held", ", ".join(told.get("constraints", ())) or "no constraint"),
        ("Sampler", f"{told.get('sampler')}, seed {told.get('seed')}"),
        ("Folds", str(folds) if folds else "none: one training a trial"),
        ("Early stopping", _stopping(told)),
        ("Groups", f"{groups} at once, {workers} process{'es' if workers != 1 else ''} each" if groups else ""),
        ("Begun", str(told.get("created", ""))),
        ("caloforge", str(told.get("version", ""))),
    ]
    return [(name, text) for name, text in found if text]


def _stopping(told: Mapping[str, Any]) -> str:
    parts = ["by successive halving"] if told.get("halving") else []
    parts += ["after hopeless folds"] if told.get("folds") else []
    return ", ".join(parts) or "none"


def _parameters(view: View) -> list[dict[str, Any]]:
    """Return the rows of the table of what was searched."""
    record, conditions = view.record, _conditions(view.record["settings"].get("space", ""))
    firsts = [record["best"][name] for name in record["objectives"]]
    best = next((t["values"] for t in record["trials"] if t["number"] == firsts[0]), {})
    used = Counter(name for i in range(len(view.trials)) for name in view.trials[i]["values"])
    return [
        {
            "name": parameter["name"],
            "range": _range(parameter),
            "when": conditions.get(parameter["name"], ""),
            "used": used[parameter["name"]],
            "best": label(best[parameter["name"]]) if parameter["name"] in best else "—",
        }
        for parameter in record["parameters"]
    ]


def _conditions(space: str) -> dict[str, str]:
    """Return under which condition each parameter of a space counts, as text."""
    tree = (yaml.safe_load(space) or {}).get("search", {}) if space else {}
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
