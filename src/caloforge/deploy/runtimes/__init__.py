"""What runs a graph: ONNX Runtime, OpenVINO, CUDA; one contract, the same showers within a tolerance."""

from __future__ import annotations

__all__ = [
    "RUNTIMES",
    "Order",
    "Runtime",
    "check_runtime",
    "installed_runtimes",
    "load_runtime",
    "runtimes_for",
]

from caloforge.deploy.runtimes.base import Order, Runtime
from caloforge.deploy.runtimes.loading import (
    RUNTIMES,
    check_runtime,
    installed_runtimes,
    load_runtime,
    runtimes_for,
)
