"""The figures that a search can make small or keep within limits."""

from __future__ import annotations

__all__ = ["FIGURES", "Figure", "known_figure"]

from dataclasses import dataclass

from caloforge.errors import SearchError, nearest


@dataclass(frozen=True)
class Figure:
    """A number that says how good a trained run is; smaller is better for all.

    Attributes:
        about: What it is.
        unit: Of its values; empty: none.
        cost: What measuring it takes, for 1,000 showers.
        better: Which way is better.
    """

    about: str
    unit: str
    cost: str
    better: str = "less"


FIGURES = {
    "merit": Figure("3DGAN's figure of merit: mean moments and profiles beside Geant4's", "", "0.1 s"),
    "auc": Figure(
        "how well boosted trees tell showers from Geant4's by high-level observables: 0.5 is not at all, 1 "
        "always",
        "",
        "1 s",
    ),
    "fpd": Figure("Frechet distance of the CaloChallenge's features, times 1000", "", "0.1 s"),
    "response": Figure(
        "deviation of the mean response from Geant4's, mean over bins of incident energy", "%", "0.1 s"
    ),
    "score": Figure(
        "mean distance of all observables from Geant4's, in their standard deviations", "", "0.1 s"
    ),
    "ms": Figure(
        "time per shower of the exported bundle, one at a time on one core", "ms", "an export, some seconds"
    ),
    "weights": Figure("numbers that the generator holds, trained or fitted", "", "nothing"),
    "seconds": Figure("what the training took", "s", "nothing"),
}


def known_figure(name: str, where: str = "--objective") -> Figure:
    """Return a figure by its name.

    Raises:
        SearchError: There is none of that name.
    """
    if name not in FIGURES:
        raise SearchError(
            f"there is no figure {name!r}",
            where=where,
            expected=", ".join(FIGURES),
            near=nearest(name, FIGURES),
        )
    return FIGURES[name]
