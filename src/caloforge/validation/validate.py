"""`validate`: showers in, a report out."""

from __future__ import annotations

__all__ = ["validate"]

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from caloforge.progress import Progress
from caloforge.showers import Showers
from caloforge.validation.compare import TRAININGS, Steps, compare
from caloforge.validation.page import count_steps, page
from caloforge.validation.report import Report, to_json
from caloforge.validation.source import open_source

Given = Showers | str | Path


def validate(
    reference: Given,
    candidate: Given,
    *,
    floor: Given | None = None,
    out: str | Path,
    seed: int = 0,
    notes: Sequence[str] = (),
    speed: Sequence[Mapping[str, Any]] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Compare showers with Geant4's and write `report.html` and `report.json`.

    Every number stands beside its floor: the same number between two independent samples of Geant4 of the
    same size. Without a floor file the reference is cut in two halves, and each comparison uses as many
    showers as a half has.

    Args:
        reference: Geant4's showers, a file or in memory.
        candidate: The showers to judge, of the same detector.
        floor: More showers of Geant4, independent of the reference.
        out: Folder of the report; made if it is not there.
        seed: Seed of the choice of showers, of resampling and of the classifiers.
        notes: Lines that a reader must know ("training was cut to 4 minutes"), shown at the top.
        speed: Rows of a table of milliseconds per shower; the keys are the columns.
        progress: Told of each step.

    Returns:
        Paths and numbers.

    Raises:
        ValidationError: Samples that cannot be compared: other cells, no common energies, too few showers.
        ShowersError: A file that cannot be read.

    Example:
        >>> report = validate("geant4.h5", "generated.h5", out="report")  # doctest: +SKIP
        >>> report.verdict.title  # doctest: +SKIP
        'Visibly different from Geant4'
    """
    with ExitStack() as stack:
        first, second = (stack.enter_context(open_source(given)) for given in (reference, candidate))
        third = None if floor is None else stack.enter_context(open_source(floor))
        steps = Steps(progress, TRAININGS + count_steps(first.detector) + (2 if third is None else 3))
        comparison = compare(first, second, third, seed, steps)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    numbers = to_json(comparison, notes, speed or ())
    html = page(comparison, notes, speed or (), steps)
    return Report(
        _write(folder / "report.html", html),
        _write(folder / "report.json", json.dumps(numbers, indent=1, allow_nan=False) + "\n"),
        comparison,
    )


def _write(path: Path, text: str) -> Path:
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    return part.replace(path)
