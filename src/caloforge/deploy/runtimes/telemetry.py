"""OpenVINO and NNCF without their telemetry: imported, they write an id into the home folder and report."""

from __future__ import annotations

__all__ = ["import_openvino", "without_telemetry"]

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from caloforge.errors import MissingExtraError

_REPORTER = "openvino_telemetry"


@contextmanager
def without_telemetry() -> Iterator[None]:
    """Have OpenVINO and NNCF imported in here as they are where the package that reports is not installed.

    It is a package of its own, and they do without it. Whoever has imported it before wants it, and keeps it.
    """
    if _REPORTER in sys.modules:
        yield
        return
    sys.modules[_REPORTER] = None  # type: ignore[assignment] # Python's word for "not to be found"
    try:
        yield
    finally:
        del sys.modules[_REPORTER]


def import_openvino() -> Any:
    """Import OpenVINO so that nothing leaves the machine and nothing is written.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        with without_telemetry():
            import openvino
    except ImportError as error:
        raise MissingExtraError("openvino", "openvino") from error
    return openvino
