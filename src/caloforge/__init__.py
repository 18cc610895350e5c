"""caloforge builds, proves and ships a fast simulation for any calorimeter."""

from __future__ import annotations

__version__ = "0.1.0"
