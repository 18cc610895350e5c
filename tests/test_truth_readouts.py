"""One transport, several readouts: each file is what a production of its own would be, whatever happens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import caloforge as cf
from caloforge.cli.main import app
from caloforge.detector import Detector
from caloforge.errors import DetectorError, OutputError, ShowersError
from caloforge.showers import Incident, Showers, ShowerWriter
from caloforge.truth.output import OutputFiles, check_readouts, readout_path
from caloforge.truth.pool import Energies

SANDWICH = """
name: {name}
shape: planar
size: [1 m, 1 m]
stack:
  - repeat: 20
    slabs:
      - {{material: G4_Pb, thickness: {lead} mm}}
      - {{material: G4_POLYSTYRENE, thickness: 5 mm, active: true{light}}}
readout:
  deposits: {deposits}
  layers:
    - {{count: 5, thickness: 40 mm, grid: {{kind: cartesian, window: [600 mm, 600 mm], cells: [{n}, {n}]}}}}
"""


def sandwich(name="base", lead=6, light="", deposits="active", n=6):
    return Detector.from_yaml(SANDWICH.format(name=name, lead=lead, light=light, deposits=deposits, n=n))


BASE = sandwich()
LIGHT = sandwich("light", light=", birks: 0.126 mm/MeV")
DEAD = sandwich("dead", deposits="passive", n=1)
WHOLE = sandwich("whole", deposits="all", n=12)


def production(detector, out: Path, **more):
    how = {"particle": "e-", "energy": "0.5:2GeV", "count": 12, "seed": 3}
    return cf.simulate(detector, out=out, **(how | more))


def total(showers):
    return showers.cells.sum(1) + showers.overflow.sum(1)


@pytest.mark.geant4
def test_each_readout_is_that_of_a_production_of_its_own(tmp_path):
    out = production(BASE, tmp_path / "s.h5", readouts=[LIGHT, DEAD, WHOLE], jobs=2)
    found = {}
    for detector in (BASE, LIGHT, DEAD, WHOLE):
        path = out if detector is BASE else readout_path(out, detector)
        found[detector.name] = Showers.load(path)
        alone = Showers.load(production(detector, tmp_path / f"alone-{detector.name}.h5"))
        assert found[detector.name].detector == detector
        assert np.array_equal(found[detector.name].cells, alone.cells), detector.name
        assert np.array_equal(found[detector.name].overflow, alone.overflow), detector.name
    base, light, dead, whole = (total(found[name]) for name in ("base", "light", "dead", "whole"))
    assert base + dead == pytest.approx(whole, rel=1e-6)
    assert ((light < base) & (light > 0.9 * base)).all()
    assert found["light"].provenance["simulated_as"] == "base"


def batch(start, stop, width):
    incident = Incident.of(np.arange(start + 1.0, stop + 1), pdg=11)
    cells = np.arange(start * width, stop * width, dtype=np.float32).reshape(-1, width)
    return incident, Energies(cells, np.zeros((stop - start, 5), np.float32))


def write(out, detectors, batches, resume):
    """Write batches, and return how many showers were there before."""
    with OutputFiles(out, detectors, {}, resume) as files:
        before = files.done
        for (incident, first), (_, second) in batches:
            files.append(incident, (first, second))
    return before


def test_a_production_killed_between_two_files_goes_on_in_both(tmp_path, monkeypatch):
    detectors = (BASE, WHOLE)
    both = [batch(0, 4, d.n_cells) for d in detectors], [batch(4, 7, d.n_cells) for d in detectors]
    real = ShowerWriter.append

    def killed(writer, showers):
        if writer.detector == WHOLE and writer.done:
            raise KeyboardInterrupt
        real(writer, showers)

    monkeypatch.setattr(ShowerWriter, "append", killed)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "s.h5", detectors, both, resume=False)
    monkeypatch.setattr(ShowerWriter, "append", real)
    assert write(tmp_path / "s.h5", detectors, both[1:], resume=True) == 4
    for number, detector in enumerate(detectors):
        path = tmp_path / "s.h5" if number == 0 else readout_path(tmp_path / "s.h5", detector)
        showers = Showers.load(path)
        assert showers.incident.energy.tolist() == list(range(1, 8))
        expected = np.concatenate([part[number][1].cells for part in both])
        assert np.array_equal(showers.cells, expected)


def test_a_file_that_is_there_stops_everything_before_it_begins(tmp_path):
    readout_path(tmp_path / "s.h5", WHOLE).touch()
    with pytest.raises(OutputError):
        OutputFiles(tmp_path / "s.h5", (BASE, WHOLE), {}, False)
    with OutputFiles(tmp_path / "s.h5", (BASE, DEAD), {}, False) as files:  # nothing is locked
        incident, energies = batch(0, 2, BASE.n_cells)
        files.append(incident, (energies, batch(0, 2, DEAD.n_cells)[1]))


def test_readouts_are_of_the_same_matter_and_have_names():
    check_readouts(BASE, [LIGHT, DEAD, WHOLE])
    with pytest.raises(DetectorError, match="other matter"):
        check_readouts(BASE, [sandwich("thick", lead=7)])
    with pytest.raises(DetectorError, match="two readouts have the name 'base'"):
        check_readouts(BASE, [sandwich(n=12)])
    with pytest.raises(DetectorError, match="no slab is passive"):
        Detector.from_yaml(
            "{name: a, shape: planar, size: [1 m, 1 m], stack: [{slabs: [{material: G4_Si, thickness: 9 mm, "
            "active: true}]}], readout: {deposits: passive, layers: [{thickness: 9 mm, grid: "
            "{kind: cartesian, window: [1 m, 1 m], cells: [1, 1]}}]}}"
        )


@pytest.mark.geant4
def test_the_command_writes_and_names_all_files(tmp_path):
    for detector in (BASE, DEAD):
        (tmp_path / f"{detector.name}.yaml").write_text(detector.to_yaml())
    command = [
        "simulate",
        str(tmp_path / "base.yaml"),
        "--readout",
        str(tmp_path / "dead.yaml"),
        "--count",
        "2",
    ]
    command += ["--particle", "e-", "--energy", "1GeV", "--out", str(tmp_path / "s.h5")]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert "s.h5" in result.output
    assert len(Showers.load(tmp_path / "s.dead.h5")) == 2
    with pytest.raises(ShowersError, match="another seed"):
        production(BASE, tmp_path / "s.h5", readouts=[DEAD], energy="1GeV", count=2, seed=9, resume=True)
