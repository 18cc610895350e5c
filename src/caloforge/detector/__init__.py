"""Detectors: material stacks, readout layers, grids, presets and CaloChallenge binning files."""

from __future__ import annotations

__all__ = [
    "CartesianGrid",
    "CellGrid",
    "Detector",
    "Fan",
    "Grid",
    "HexagonalGrid",
    "Layer",
    "Mixture",
    "NearestGrid",
    "PolarGrid",
    "Row",
    "Slab",
    "load_detector",
    "preset_names",
    "read_binning_xml",
    "write_binning_xml",
]

from caloforge.detector.binning import read_binning_xml, write_binning_xml
from caloforge.detector.detector import Detector
from caloforge.detector.grids import CartesianGrid, Grid, PolarGrid
from caloforge.detector.loading import load_detector, preset_names
from caloforge.detector.materials import Mixture
from caloforge.detector.nearest import CellGrid, HexagonalGrid, NearestGrid
from caloforge.detector.readout import Layer
from caloforge.detector.stack import Fan, Row, Slab
