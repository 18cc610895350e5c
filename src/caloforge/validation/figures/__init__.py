"""Figures of the report, as SVG that follows the page's theme."""

from __future__ import annotations
