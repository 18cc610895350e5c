"""The speed table: what is in it is what was measured."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from caloforge.deploy import Bench
from caloforge.deploy import bench as measured
from caloforge.deploy.engine import Engine
from caloforge.errors import CaloforgeError, RangeError, ShowersError
from caloforge.showers import Incident, Showers
from deploy_toys import DETECTOR, make_bundle

bench = partial(measured, seconds=0.02)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "bundle")


def _reference(path: Path, **provenance: object) -> Path:
    incident = Incident.of(np.linspace(2e3, 9e4, 12), pdg=-11)
    return Showers(DETECTOR, incident, np.ones((12, 20), np.float32), provenance=provenance).save(path)


def test_rows(bundle: Path) -> None:
    seen: list[int] = []
    result = bench(bundle, batches=(1, 16), progress=lambda done, _total, _note: seen.append(done))
    assert [row["batch"] for row in result.rows] == [1, 16]
    for row in result.rows:
        assert row["calls"] >= 10
        assert 0 < row["low"] <= row["ms_per_shower"] <= row["high"]
        assert row["showers_per_s"] == pytest.approx(1e3 / row["ms_per_shower"])
        assert "speed_up" not in row
    assert result.rows[1]["ms_per_shower"] < result.rows[0]["ms_per_shower"]
    assert result.geant4 is None
    assert result.threads == 1
    assert "cores" in result.machine
    assert "1 to 100 GeV" in result.energies
    assert seen == [1, 2]
    json.dumps(result.as_dict(), allow_nan=False)


def test_recorded_geant4_time(bundle: Path, tmp_path: Path) -> None:
    file = _reference(tmp_path / "g4.h5", ms_per_shower=80.0, physics="standard", processor="a processor")
    result = bench(bundle, batches=(4,), threads=2, reference=file)
    assert result.geant4 is not None
    assert (result.geant4.ms_per_shower, result.geant4.machine) == (80.0, "a processor")
    assert "recorded in g4.h5" in result.geant4.how
    (row,) = result.rows
    assert row["speed_up"] == pytest.approx(80.0 / row["cpu_ms_per_shower"]), "CPU against CPU"
    assert "2 to 90 GeV" in result.energies
    *_, last = result.table()
    assert (last["what"], last["ms per shower"], last["showers/s"]) == ("Geant4", "80", "12.5")


def test_time_of_a_generator_is_not_geant4s(bundle: Path, tmp_path: Path) -> None:
    file = _reference(tmp_path / "gan.h5", ms_per_shower=0.1)
    assert bench(bundle, batches=(1,), reference=file).geant4 is None


@pytest.mark.parametrize("recorded", ["soon", -1.0, 0])
def test_a_recorded_time_that_is_none(bundle: Path, tmp_path: Path, recorded: object) -> None:
    file = _reference(tmp_path / "g4.h5", ms_per_shower=recorded, physics="standard")
    with pytest.raises(ShowersError, match="not a time"):
        bench(bundle, batches=(1,), reference=file)


def test_bad_requests(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(CaloforgeError, match="1 to"):
        bench(bundle, batches=(0,))
    with pytest.raises(CaloforgeError, match="1 to"):
        bench(bundle, batches=())
    with pytest.raises(CaloforgeError, match="1 to"):
        bench(bundle, threads=0)
    strange = Showers(DETECTOR, Incident.of([9e9], pdg=-11), np.ones((1, 20), np.float32))
    with pytest.raises(RangeError):
        bench(bundle, batches=(1,), reference=strange.save(tmp_path / "far.h5"))


def test_warm_up_does_not_count(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    run = Engine.run
    monkeypatch.setattr(Engine, "run", lambda self, *given: [asked.append(1), run(self, *given)][1])
    (row,) = bench(bundle, batches=(1,)).rows
    assert len(asked) >= row["calls"] + 3


@pytest.mark.geant4
def test_geant4_is_measured(bundle: Path, tmp_path: Path) -> None:
    incident = Incident.of(np.linspace(2e3, 3e3, 12), pdg=-11)
    few = Showers(DETECTOR, incident, np.ones((12, 20), np.float32)).save(tmp_path / "few.h5")
    result: Bench = bench(bundle, batches=(1,), geant4=True, reference=few)
    assert result.geant4 is not None
    assert "measured now" in result.geant4.how
    # About 8 ms per GeV in a deep calorimeter of lead; the toy is shallow, and machines differ.
    assert 0.1 < result.geant4.ms_per_shower < 2000
    assert result.rows[0]["speed_up"] > 1
