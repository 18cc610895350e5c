"""How long work reports that it advances, without knowing who looks."""

from __future__ import annotations

__all__ = ["Progress"]

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Called with (steps done, steps in all, a short note); the command line turns it into a bar."""
