"""The results of a search: a record (`study.json`), a page (`index.html`) and lines for the terminal."""

from __future__ import annotations

__all__ = ["page", "study_record", "summary_lines", "write_results"]

from caloforge.search.report.page import page
from caloforge.search.report.record import study_record
from caloforge.search.report.results import write_results
from caloforge.search.report.words import summary_lines
