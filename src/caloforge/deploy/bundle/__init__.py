"""A bundle: what is in it, what it says about itself, whether the two agree. Nothing here runs a graph."""

from __future__ import annotations

__all__ = [
    "DETECTOR_FILE",
    "GRAPH_FILE",
    "MANIFEST_FILE",
    "RECIPE_FILE",
    "Bundle",
    "contents_of",
    "file_entry",
    "is_bundle",
]

from caloforge.deploy.bundle.bundle import (
    DETECTOR_FILE,
    GRAPH_FILE,
    MANIFEST_FILE,
    RECIPE_FILE,
    Bundle,
    contents_of,
    file_entry,
    is_bundle,
)
