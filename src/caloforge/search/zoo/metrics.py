"""The figures of a zoo: which numbers of `validate` say how good a generator is."""

from __future__ import annotations

__all__ = ["METRICS", "QUALITY", "known_metric"]

from caloforge.errors import SearchError, nearest

METRICS = {
    "auc_cells": "AUC, trees on cells",
    "auc_normalised": "AUC, normalised cells",
    "auc_high": "AUC, observables",
    "auc_trees": "AUC, trees on observables",
    "fpd": "FPD × 10³",
}
"""By their names in a report, what they are called; smaller is better, and the floor is the best there is."""

QUALITY = next(iter(METRICS))
"""What decides where nothing else is asked for: it has found most in every comparison so far."""


def known_metric(name: str) -> str:
    """Return the name of a figure.

    Raises:
        SearchError: A zoo has none of that name.
    """
    if name not in METRICS:
        raise SearchError(
            "a zoo has no such figure",
            where="--metric",
            got=name,
            expected=", ".join(METRICS),
            near=nearest(name, METRICS),
        )
    return name
