"""Search: the right recipe for a detector, found by trying."""

from __future__ import annotations

__all__: list[str] = []
