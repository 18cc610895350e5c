"""Parts of a production become the file of one production, or one message says why not."""

from __future__ import annotations

import json
import shutil
import signal
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

import caloforge as cf
from caloforge.cli.main import app
from caloforge.detector import load_detector
from caloforge.errors import CaloforgeError, OutputError, ShowersError
from caloforge.samples import positrons
from caloforge.showers import Incident, ShowerFile, Showers, ShowerWriter, merge
from caloforge.showers.sparse import Sparse
from caloforge.showers.store import write_store

OPTIONS = {
    "particle": "e+",
    "energy": "1:100GeV",
    "theta_rad": [0.0, 0.0],
    "physics": "standard",
    "hadronic_physics": None,
    "cut_mm": 0.7,
    "versions": {"caloforge": "0.1.0", "geant4": "11.4.0", "calzone": "1.2.2"},
}


def showers(seed: int, first: int, count: int) -> Showers:
    """Shower number i of a seed is the same, whatever it is made with."""
    cells, overflow, energy = [], [], []
    for number in range(first, first + count):
        rng = np.random.default_rng([seed, number])
        cells.append(rng.exponential(size=504) * (rng.random(504) < 0.1))
        overflow.append(rng.random(3))
        energy.append(rng.uniform(1e3, 1e5))
    outside = np.array(overflow, np.float32)
    made = Incident.of(energy, pdg=-11, x=np.arange(first, first + count))
    return Showers(load_detector("calogan"), made, np.array(cells, np.float32), outside)


def production(path: Path, first: int, count: int, seed: int = 1, **other: Any) -> Path:
    """A file as `simulate` leaves it."""
    made = OPTIONS | {"seed": seed, "first": first, "count": count} | other
    return replace(showers(seed, first, count), provenance=made).save(path)


def content(path: Path) -> dict[str, bytes]:
    """Every number of a store, as h5py reads it."""
    found: dict[str, bytes] = {}

    def take(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item[()].tobytes()

    with h5py.File(path) as file:
        file.visititems(take)
    return found


def provenance(path: Path) -> dict[str, Any]:
    with ShowerFile(path) as file:
        return file.provenance


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_parts_in_any_order_are_the_file_of_one_production(tmp_path: Path) -> None:
    """One part is longer than what is read at once."""
    whole = production(tmp_path / "whole.h5", 0, 5000)
    parts = [
        production(tmp_path / f"{first}.h5", first, count)
        for first, count in ((4990, 10), (0, 1), (1, 4400), (4401, 589))
    ]
    told: list[tuple[int, int, str]] = []
    made = merge(parts, tmp_path / "all.h5", lambda *now: told.append(now))
    assert content(made) == content(whole)
    assert len(content(made)) == 10
    said = provenance(made)
    assert said.pop("merged") == 4
    assert provenance(whole).items() <= said.items()
    assert [done for done, _, _ in told] == [1, 4097, 4401, 4990, 5000]
    assert told[-1][1] == 5000


def test_several_seeds_follow_each_other_and_can_be_merged_on(tmp_path: Path) -> None:
    a = production(tmp_path / "a.h5", 0, 3, seed=2)
    b = production(tmp_path / "b.h5", 10, 2, seed=1)
    c = production(tmp_path / "c.h5", 12, 2, seed=1)
    two = merge([a, b], tmp_path / "two.h5")
    assert "seed" not in provenance(two)
    assert provenance(two)["count"] == 5
    three = merge([c, two], tmp_path / "three.h5")
    assert provenance(three)["productions"] == [
        {"seed": 1, "first": 10, "count": 4},
        {"seed": 2, "first": 0, "count": 3},
    ]
    expected = Showers.concat([showers(1, 10, 4), showers(2, 0, 3)])
    assert np.array_equal(Showers.load(three).cells, expected.cells)
    with pytest.raises(ShowersError, match="showers 0 to 2 of seed 2 twice"):
        merge([three, a], tmp_path / "four.h5")


def test_folders_and_patterns_are_taken(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    for first in (0, 4):
        production(tmp_path / "parts" / f"{first}.h5", first, 4)
    by_folder = merge(tmp_path / "parts", tmp_path / "folder.h5")
    by_pattern = merge(str(tmp_path / "parts" / "?.h5"), tmp_path / "pattern.h5")
    assert content(by_folder) == content(by_pattern)


def test_the_cost_is_that_of_all(tmp_path: Path) -> None:
    """2 showers of 10 GeV in 3 s, and 6 of 20 GeV in 9 s."""
    a = production(tmp_path / "a.h5", 0, 2, ms_per_shower=1500.0, ms_per_gev=150.0, processor="old")
    b = production(tmp_path / "b.h5", 2, 6, ms_per_shower=1500.0, ms_per_gev=75.0, processor="new")
    c = production(tmp_path / "c.h5", 8, 1, processor="new")  # killed after its last shower, and resumed
    made = provenance(merge([a, b, c], tmp_path / "all.h5"))
    assert made["ms_per_shower"] == pytest.approx(12_000 / 8)
    assert made["ms_per_gev"] == pytest.approx(12_000 / 140)
    assert made["processor"] == "old; new"


@pytest.mark.parametrize(("first", "count"), [(0, 4), (3, 4), (1, 2), (0, 9)])
def test_showers_that_are_there_twice_are_refused(tmp_path: Path, first: int, count: int) -> None:
    production(tmp_path / "a.h5", 0, 4)
    production(tmp_path / "b.h5", first, count)
    last = min(4, first + count) - 1
    with pytest.raises(ShowersError, match=f"showers {first} to {last} of seed 1 twice") as caught:
        merge([tmp_path], tmp_path / "all.h5")
    assert "a.h5 and" in str(caught.value)
    assert left(tmp_path) == ["a.h5", "b.h5"]


def test_a_file_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    a = production(tmp_path / "a.h5", 0, 4)
    with pytest.raises(ShowersError, match="twice"):
        merge([a, a], tmp_path / "all.h5")
    with pytest.raises(ShowersError, match="twice"):
        merge([a, shutil.copy(a, tmp_path / "copy.h5")], tmp_path / "all.h5")


def test_showers_that_are_missing_are_named(tmp_path: Path) -> None:
    parts = [production(tmp_path / f"{first}.h5", first, 2) for first in (0, 4, 6, 20)]
    with pytest.raises(ShowersError, match="missing") as caught:
        merge(parts, tmp_path / "all.h5")
    assert "--seed 1 --first 2 --count 2; --seed 1 --first 8 --count 12" in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("particle", "e-"),
        ("energy", "1:50GeV"),
        ("theta_rad", [0.0, 0.1]),
        ("physics", "option4"),
        ("hadronic_physics", "FTFP_BERT"),
        ("cut_mm", 0.1),
        ("tomorrow", "an option of a later build"),
    ],
)
def test_other_options_are_named(tmp_path: Path, key: str, value: Any) -> None:
    a = production(tmp_path / "a.h5", 0, 2)
    for numbers in ((2, 2), (0, 2)):
        b = production(tmp_path / f"{numbers[0]}.h5", *numbers, **{key: value})
        with pytest.raises(ShowersError, match=f"another {key}") as caught:
            merge([a, b], tmp_path / "all.h5")
        assert str(value) in str(caught.value)


def test_another_geant4_is_refused_and_another_caloforge_is_not(tmp_path: Path) -> None:
    a = production(tmp_path / "a.h5", 0, 2)
    newer = OPTIONS["versions"] | {"geant4": "11.5.0"}
    b = production(tmp_path / "b.h5", 2, 2, versions=newer)
    with pytest.raises(ShowersError, match="another version of geant4"):
        merge([a, b], tmp_path / "all.h5")
    c = production(tmp_path / "c.h5", 2, 2, versions=OPTIONS["versions"] | {"caloforge": "0.2.0"})
    assert len(Showers.load(merge([a, c], tmp_path / "all.h5"))) == 4


def test_another_detector_is_refused(tmp_path: Path) -> None:
    a = production(tmp_path / "a.h5", 0, 2)
    clic = load_detector("clic")
    other = Showers(clic, Incident.of([1e4]), np.ones((1, clic.n_cells), np.float32))
    made = OPTIONS | {"seed": 1, "first": 2, "count": 1}
    b = replace(other, provenance=made).save(tmp_path / "b.h5")
    with pytest.raises(ShowersError, match="different detectors"):
        merge([a, b], tmp_path / "all.h5")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3000])


def unfinished(path: Path) -> None:
    path.unlink()
    writer = ShowerWriter(path, load_detector("calogan"), OPTIONS | {"seed": 1, "first": 2, "count": 9})
    writer.append(showers(1, 2, 2))
    writer.stop()
    path.with_name(path.name + ".part").rename(path)


def with_cells_of_no_shower(path: Path) -> None:
    rows = showers(1, 2, 2)
    sparse = Sparse.of(rows.incident, rows.cells, rows.overflow)
    made = OPTIONS | {"seed": 1, "first": 2, "count": 2}
    with path.open("w+b") as file:
        write_store(file, rows.detector, made, (2, len(sparse.index) + 5), [sparse])


def generated(path: Path) -> None:
    path.unlink()
    replace(showers(1, 2, 2), provenance={"seed": 1, "generator": {}}).save(path)


def thinned(path: Path) -> None:
    path.unlink()
    replace(showers(1, 2, 2), provenance=OPTIONS | {"seed": 1, "first": 2, "count": 3}).save(path)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda path: path.write_text("no showers"), "HDF5"),
        (lambda path: h5py.File(path, "w").close(), "not a caloforge shower file"),
        (truncated, "truncated"),
        (unfinished, "not finished"),
        (with_cells_of_no_shower, "cells of no shower"),
        (generated, "which showers of which seed"),
        (thinned, "left out"),
        (Path.unlink, "no such file"),
    ],
)
def test_what_is_no_production_is_refused(
    tmp_path: Path, spoil: Callable[[Path], object], problem: str
) -> None:
    a, b = production(tmp_path / "a.h5", 0, 2), production(tmp_path / "b.h5", 2, 2)
    spoil(b)
    before = left(tmp_path)
    with pytest.raises(CaloforgeError, match=problem) as caught:
        merge([a, b], tmp_path / "all.h5")
    assert "b.h5" in str(caught.value)
    assert left(tmp_path) == before


def test_a_folder_with_an_unfinished_production_is_refused(tmp_path: Path) -> None:
    """It is the last one: what it lacks would be no gap."""
    folder = tmp_path / "parts"
    folder.mkdir()
    production(folder / "a.h5", 0, 2)
    unfinished(production(folder / "b.h5", 2, 2))
    (folder / "b.h5").rename(folder / "b.h5.part")
    with pytest.raises(ShowersError, match="unfinished") as caught:
        merge(folder, tmp_path / "all.h5")
    assert "b.h5.part" in str(caught.value)
    assert len(Showers.load(merge(folder / "a.h5", tmp_path / "named.h5"))) == 2
    # Killed after it got its name and before its journal went.
    production(tmp_path / "b.h5", 2, 2).rename(folder / "b.h5")
    assert len(Showers.load(merge(folder, tmp_path / "all.h5"))) == 4


def test_the_sample_that_ships_is_a_production_of_an_earlier_build(tmp_path: Path) -> None:
    """Before --first, productions began at 0. One file alone is merged, too: scripts need no special case."""
    with ShowerFile(positrons()) as file:
        assert "first" not in file.provenance
        count = file.provenance["count"]
    made = merge([positrons()], tmp_path / "all.h5")
    assert content(made) == content(positrons())
    assert (provenance(made)["first"], provenance(made)["count"]) == (0, count)


def test_what_exists_is_not_overwritten(tmp_path: Path) -> None:
    a = production(tmp_path / "a.h5", 0, 2)
    with pytest.raises(OutputError, match="exists already"):
        merge([a], a)
    assert len(Showers.load(a)) == 2
    with pytest.raises(ShowersError, match="no productions"):
        merge([], tmp_path / "all.h5")


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    parts = [production(tmp_path / f"{first}.h5", first, 2) for first in (0, 2, 4)]
    asked: list[int] = []

    def interrupt(done: int, total: int, note: str) -> None:
        asked.append(done)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        merge(parts, tmp_path / "all.h5", interrupt)
    assert asked == [2]
    assert left(tmp_path) == ["0.h5", "2.h5", "4.h5"]


def test_memory_does_not_grow_with_the_showers(tmp_path: Path) -> None:
    """It grows by what is known of each file, a few kB; the showers of one have 150."""
    block, peaks = showers(1, 0, 512), []
    for number in range(14):
        made = OPTIONS | {"seed": 1, "first": 512 * number, "count": 512}
        replace(block, provenance=made).save(tmp_path / f"{number:02}.h5")
    for files in (2, 14):
        tracemalloc.start()
        merge([tmp_path / f"{number:02}.h5" for number in range(files)], tmp_path / f"all-{files}.h5")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 12 * 10_000


def test_the_command_line_says_the_same(tmp_path: Path) -> None:
    parts = [str(production(tmp_path / f"{first}.h5", first, 2)) for first in (0, 2)]
    result = CliRunner().invoke(app, ["merge", *parts, "--out", str(tmp_path / "all.h5"), "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["showers"], told["files"], told["provenance"]["count"]) == (4, 2, 4)
    assert content(tmp_path / "all.h5") == content(cf.merge(parts, tmp_path / "python.h5"))


@pytest.mark.geant4
def test_real_parts_are_the_file_of_one_production(tmp_path: Path) -> None:
    asked = {"particle": "e+", "energy": "50:200MeV", "theta": "0:20deg", "seed": 5}
    whole = cf.simulate("calogan", **asked, count=9, out=tmp_path / "whole.h5")
    parts = [
        cf.simulate("calogan", **asked, first=first, count=count, out=tmp_path / f"{first}.h5")
        for first, count in ((4, 5), (0, 4))
    ]
    made = cf.merge(parts, tmp_path / "all.h5")
    assert content(made) == content(whole)
    same = {"command", "created", "ms_per_gev", "ms_per_shower"}
    said = {key: value for key, value in provenance(whole).items() if key not in same}
    assert said.items() <= provenance(made).items()
