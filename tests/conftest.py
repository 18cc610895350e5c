"""What every test shares: the slow switch, Geant4's presence, and published files where there are any."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

import caloforge  # noqa: F401 - before any test imports onnxruntime: it is what switches its telemetry off


def pytest_configure() -> None:
    # A shell starts what it puts into the background with Ctrl-C ignored; tests and their processes press it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests that take minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    slow = pytest.mark.skip(reason="needs --slow")
    geant4 = pytest.mark.skip(reason="needs calzone and GEANT4_DATA_DIR")
    for item in items:
        if "slow" in item.keywords and not config.getoption("--slow"):
            item.add_marker(slow)
        if "geant4" in item.keywords and not _geant4():
            item.add_marker(geant4)


def _geant4() -> bool:
    from importlib.util import find_spec

    return find_spec("calzone") is not None and Path(os.environ.get("GEANT4_DATA_DIR", "/nowhere")).is_dir()


@pytest.fixture(scope="session")
def published() -> Path:
    """The folder of Geant4 showers in the published formats; `CALOFORGE_DATA` or `../shared/data`."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("CALOFORGE_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no published showers in {folder}; set CALOFORGE_DATA")
    return folder
