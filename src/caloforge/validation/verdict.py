"""The answer in two sentences, from numbers alone."""

from __future__ import annotations

__all__ = ["Verdict", "judge"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from caloforge.validation.checks import Finding
from caloforge.validation.classifier import Classifier
from caloforge.validation.distances import Distance

Level = Literal["floor", "close", "visible", "far"]

_CLOSE, _VISIBLE = 0.6, 0.8


@dataclass(frozen=True)
class Verdict:
    """The report's answer.

    Attributes:
        level: `floor` (not to be told from Geant4 at this sample size), `close` (AUC below 0.6), `visible`
            (below 0.8) or `far`.
        title: The answer.
        text: What it rests on.
    """

    level: Level
    title: str
    text: str


_TITLES: dict[Level, str] = {
    "floor": "Not to be told from Geant4 at this sample size",
    "close": "Close to Geant4, with differences that are more than chance",
    "visible": "Visibly different from Geant4",
    "far": "Easily told from Geant4",
}

_ONLY_FAULTS = "Showers like Geant4's, but a faulty sample"


def judge(
    distances: Sequence[Distance], classifiers: Sequence[Classifier], findings: Sequence[Finding], size: int
) -> Verdict:
    """Weigh distributions, classifiers and faults.

    Args:
        distances: All distributions and profiles.
        classifiers: May be empty for tiny samples.
        findings: What the checks found.
        size: Showers in each sample.
    """
    off = [d for d in distances if d.off]
    faults = [f for f in findings if f.severity == "fault"]
    level = _level(off, classifiers, faults)
    parts = [_on_classifiers(classifiers, size), _on_distances(off, len(distances))]
    if faults:
        parts.append("Faults: " + ", ".join(f.title.lower() for f in faults) + ".")
    title = _TITLES[level] if off or not faults else _ONLY_FAULTS
    return Verdict(level, title, " ".join(parts))


def _level(off: Sequence[Distance], classifiers: Sequence[Classifier], faults: Sequence[Finding]) -> Level:
    seen = [c for c in classifiers if c.off]
    if not (off or seen or faults):
        return "floor"
    auc = max((c.auc.value for c in classifiers), default=_CLOSE)
    # A classifier of few showers may overlook what one observable shows at a glance.
    apart = max((d.measures["separation"].value for d in off if "separation" in d.measures), default=0.0)
    if auc >= _VISIBLE or apart >= 0.5:
        return "far"
    return "visible" if auc >= _CLOSE or apart >= 0.1 else "close"


def _on_classifiers(classifiers: Sequence[Classifier], size: int) -> str:
    if not classifiers:
        return f"{size} showers of each kind are too few to train a classifier."
    best = max(classifiers, key=lambda c: c.auc.value)
    auc = best.auc
    return (
        f"Given {size} showers of each kind, the best classifier ({best.label.lower()}) reaches AUC "
        f"{auc.value:.3f} ± {auc.error:.3f}; between two samples of Geant4, "
        f"{auc.floor:.3f} ± {auc.floor_error:.3f}."
    )


def _on_distances(off: Sequence[Distance], total: int) -> str:
    if not off:
        return f"None of {total} distributions and profiles lies beyond its floor."
    worst = max(off, key=lambda d: d.excess)
    beyond = "lies beyond its" if len(off) == 1 else "lie beyond their"
    return (
        f"{len(off)} of {total} distributions and profiles {beyond} floor, "
        f"the farthest being “{plain(worst.label)}”."
    )


def plain(label: str) -> str:
    """Return a label without mathematical markup.

    Example:
        >>> plain(r"Width $\\sigma_x$, layer 1")
        'Width σ_x, layer 1'
    """
    for markup, text in _SYMBOLS.items():
        label = label.replace(markup, text)
    return label


_SYMBOLS = {
    "$": "",
    r"\sigma": "σ",
    r"\langle ": "⟨",
    r"\langle": "⟨",
    r"\rangle": "⟩",
    "_{s_d}": "(s_d)",
    "E_{tot}": "E_tot",
    "E_{inc}": "E_inc",
}
