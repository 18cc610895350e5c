"""A disk that is full, for real: one message, nothing lost, nothing left behind."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("resource")
import resource

from caloforge.detector import load_detector
from caloforge.errors import CaloforgeError, OutputError
from caloforge.showers import FORMATS, Incident, ShowerFile, Showers, ShowerWriter, convert, merge
from caloforge.writing import new_folder, replace_bytes


def limited(limit: int, do: Callable[[], object]) -> str:
    """Do something in a process whose files may have `limit` bytes, which looks like a full disk to it.

    It must neither succeed nor die: what its error says comes back.
    """
    here, there = Pipe(duplex=False)
    process = get_context("fork").Process(target=_limited, args=(limit, do, there))
    process.start()
    there.close()
    process.join()
    assert process.exitcode == 2
    return str(here.recv())


def _limited(limit: int, do: Callable[[], object], say: Connection) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    gc.freeze()  # what this process inherits is not looked at below
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        do()
    except CaloforgeError as error:
        say.send(f"{type(error).__name__} {error}")
        gc.collect()  # what HDF5 still holds: this is where processes died
        os._exit(2)


def showers(n: int = 400) -> Showers:
    rng = np.random.default_rng(2)
    cells = rng.exponential(size=(n, 504)).astype(np.float32)
    return Showers(load_detector("calogan"), Incident.of(rng.uniform(1e3, 1e5, n), pdg=-11), cells)


def left(here: Path) -> list[str]:
    return sorted(path.name for path in here.iterdir())


@pytest.mark.parametrize("limit", [0, 50_000, 400_000, 900_000])
def test_showers_are_saved_whole_or_not_at_all(tmp_path: Path, limit: int) -> None:
    assert "File too large" in limited(limit, lambda: showers().save(tmp_path / "out.h5"))
    assert left(tmp_path) == []


OF_FORMAT = {"lcd": "clic", "lcd-angle": "clic", "getting-high": "clic", "lagan": "jet-image"}
OF_FORMAT |= {"par04": "calochallenge-2", "par04-root": "calochallenge-2"}


@pytest.mark.parametrize("limit", [0, 3_000, 60_000, 300_000])
@pytest.mark.parametrize("name", FORMATS)
def test_formats_are_written_whole_or_not_at_all(tmp_path: Path, name: str, limit: int) -> None:
    for package in {"parquet": ["pyarrow.parquet"], "root": ["uproot"]}.get(name.rpartition("-")[2], []):
        pytest.importorskip(package)
    detector = load_detector(OF_FORMAT.get(name, "calogan"))
    rng, n = np.random.default_rng(1), 400_000 // detector.n_cells
    cells = rng.exponential(size=(n, detector.n_cells)).astype(np.float32)
    Showers(detector, Incident.of(rng.uniform(1e3, 1e5, n), 24, theta=0.1), cells).save(tmp_path / "in.h5")
    here = tmp_path / "out"
    here.mkdir()
    said = limited(limit, lambda: convert(tmp_path / "in.h5", here / "out.h5", to=name))
    assert "File too large" in said
    assert left(here) == []


@pytest.mark.parametrize("limit", [0, 50_000, 400_000, 800_000])
def test_productions_are_merged_whole_or_not_at_all(tmp_path: Path, limit: int) -> None:
    for first in (0, 200):
        made = {"seed": 1, "first": first, "count": 200, "physics": "standard"}
        replace(showers(200), provenance=made).save(tmp_path / f"{first}.h5")
    assert "File too large" in limited(limit, lambda: merge([tmp_path], tmp_path / "all.h5"))
    assert left(tmp_path) == ["0.h5", "200.h5"]


def resumed(path: Path) -> None:
    with ShowerWriter(path, load_detector("calogan"), {}, resume=True):
        pass


@pytest.mark.parametrize("room", [0.0, 0.1, 0.4, 0.65])
def test_a_finished_production_that_cannot_become_hdf5_stays(tmp_path: Path, room: float) -> None:
    made, path = showers(), tmp_path / "out.h5"
    writer = ShowerWriter(path, made.detector, {})
    writer.append(made)
    writer.stop()
    size = (tmp_path / "out.h5.part").stat().st_size
    assert limited(int(room * size), lambda: resumed(path)).startswith("OutputError there is no room")
    assert left(tmp_path) == ["out.h5.part"]
    with ShowerFile(tmp_path / "out.h5.part") as file:
        assert np.array_equal(file.read(0, len(file)).cells, made.cells)
    resumed(path)
    assert left(tmp_path) == ["out.h5"]
    assert np.array_equal(Showers.load(tmp_path / "out.h5").cells, made.cells)


def test_a_production_keeps_what_had_room(tmp_path: Path) -> None:
    made = showers()

    def produce() -> None:
        with ShowerWriter(tmp_path / "out.h5", made.detector, {}) as writer:
            for first in range(0, 400, 20):
                writer.append(made[first : first + 20])

    assert "resume; what was written before is safe" in limited(500_000, produce)
    assert left(tmp_path) == ["out.h5.part"]
    with ShowerFile(tmp_path / "out.h5.part") as file:
        assert len(file) >= 100
        assert np.array_equal(file.read(0, len(file)).cells, made[: len(file)].cells)


def test_what_should_be_replaced_is_kept(tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_text("old")
    said = limited(50_000, lambda: replace_bytes(tmp_path / "picture.png", bytes(100_000)))
    assert OutputError.__name__ in said
    assert (tmp_path / "picture.png").read_text() == "old"
    assert left(tmp_path) == ["picture.png"]


def test_nothing_is_left_of_a_folder(tmp_path: Path) -> None:
    def make() -> None:
        with new_folder(tmp_path / "bundle") as made:
            (made / "small").write_bytes(b"1")
            (made / "large").write_bytes(bytes(100_000))

    assert "there is no room" in limited(50_000, make)
    assert left(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("limit", [500, 20_000, 200_000])
def test_a_report_is_written_whole_or_not_at_all(tmp_path: Path, limit: int) -> None:
    from caloforge.validation import validate

    some = showers(2000)
    said = limited(limit, lambda: validate(some, some, out=tmp_path / "report", metrics="fpd"))
    assert "there is no room" in said
    assert left(tmp_path) == []


def test_a_picture_is_drawn_whole_or_not_at_all(tmp_path: Path) -> None:
    from caloforge.detector.drawing import draw

    said = limited(20_000, lambda: draw(load_detector("calogan"), tmp_path / "a.png"))
    assert "there is no room" in said
    assert left(tmp_path) == []
