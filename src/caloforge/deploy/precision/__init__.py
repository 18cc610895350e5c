"""Graphs of reduced precision: which products may be rounded, how, and whether the showers stay good."""

from __future__ import annotations

__all__ = ["PRECISIONS", "REDUCED", "Reduced", "reduce_graph"]

from caloforge.deploy.precision.reduce import PRECISIONS, REDUCED, Reduced, reduce_graph
