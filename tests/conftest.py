"""What every test shares: the slow switch, Geant4's presence, and published files where there are any."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import caloforge  # noqa: F401 - before any test imports onnxruntime: it is what switches its telemetry off

if TYPE_CHECKING:
    from caloforge.deploy import Bundle


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


def pytest_collection_finish() -> None:
    """Modules stay: the garbage collector need not look at them again and again."""
    gc.collect()
    gc.freeze()


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


# --- one run, its report and its bundle: an export takes seconds, and nobody writes into these ---


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with random weights, trained at two azimuths."""
    from deploy_toys import make_run

    return make_run(tmp_path_factory.mktemp("toy") / "run", phi=[-1.5, 1.5], values={"phi": [-1.5, 1.5]})


@pytest.fixture(scope="session")
def toy_report(toy_run: Path) -> Path:
    """A report of showers that the run made, judged against others of its own."""
    from caloforge.deploy import generate
    from caloforge.validation import validate

    folder = toy_run.parent
    for name, seed, count in (("geant4", 1, 400), ("own", 2, 200)):
        generate(toy_run, out=folder / f"{name}.h5", energy="1:100GeV", count=count, seed=seed)
    validate(folder / "geant4.h5", folder / "own.h5", out=folder / "report", metrics="response")
    return folder / "report"


@pytest.fixture(scope="session")
def toy_export(toy_run: Path, toy_report: Path) -> Bundle:
    """The bundle of the run, with the report and a licence."""
    from caloforge.deploy import export

    told: list[int] = []
    made = export(
        toy_run,
        toy_run.parent / "bundle",
        report=toy_report,
        licence="CC-BY-4.0",
        progress=lambda done, _total, _note: told.append(done),
    )
    assert told == [0, 1, 2, 3, 4]
    return made
