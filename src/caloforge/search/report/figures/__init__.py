"""Figures of a search: each a function from a view to drawings, or none where there is nothing to show."""

from __future__ import annotations

__all__: list[str] = []
