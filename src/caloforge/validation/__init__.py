"""How far a generator can be trusted: distances, classifiers and the report, beside Geant4's own floor."""

from __future__ import annotations

__all__ = ["Report", "validate"]

from caloforge.validation.report.report import Report
from caloforge.validation.validate import validate
