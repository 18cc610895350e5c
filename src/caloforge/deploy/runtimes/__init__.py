"""What runs a graph: ONNX Runtime, OpenVINO, CUDA; one contract, the same showers within a tolerance."""

from __future__ import annotations

__all__ = [
    "AUTO",
    "CACHE_VARIABLE",
    "RUNTIMES",
    "Calibration",
    "Order",
    "Runtime",
    "calibrate",
    "check_runtime",
    "installed_runtimes",
    "kept",
    "load_runtime",
    "make_plan",
    "runtimes_for",
]

from caloforge.deploy.runtimes.base import Order, Runtime
from caloforge.deploy.runtimes.calibration import Calibration
from caloforge.deploy.runtimes.kept import CACHE_VARIABLE, calibrate, kept
from caloforge.deploy.runtimes.loading import (
    RUNTIMES,
    check_runtime,
    installed_runtimes,
    load_runtime,
    runtimes_for,
)
from caloforge.deploy.runtimes.plan import AUTO, make_plan
