"""How far a generator can be trusted: observables, classifiers and the report, always beside Geant4's own floor."""

from __future__ import annotations

__all__ = ["Report", "validate"]

from caloforge.validation.report import Report
from caloforge.validation.validate import validate
