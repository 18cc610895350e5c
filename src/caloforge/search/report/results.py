"""What a search leaves for people: `study.json` and `index.html` in its folder."""

from __future__ import annotations

__all__ = ["write_results"]

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caloforge.search.report.page import page
from caloforge.search.report.record import study_record
from caloforge.writing import replace_text

if TYPE_CHECKING:
    from optuna import Study


def write_results(study: Study, folder: str | Path) -> dict[str, Any]:
    """Write a study's record and page; older ones are replaced.

    Args:
        study: A study of `caloforge tune`, finished or not.
        folder: Where `study.json` and `index.html` go; it must be there.

    Returns:
        The record.

    Raises:
        OutputError: The folder is missing, or the disk is full.
    """
    folder = Path(folder)
    record = study_record(study)
    replace_text(folder / "study.json", json.dumps(record, separators=(",", ":"), allow_nan=False) + "\n")
    replace_text(folder / "index.html", page(record))
    return record
