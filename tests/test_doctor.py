"""`caloforge doctor`: what is missing is found and named, Geant4's data sets one by one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from caloforge.cli.main import app

_SHOOT = """
import calzone
box = {"material": "G4_Pb", "box": [1.0, 1.0, 1.0]}
simulation = calzone.Simulation({"World": box})
simulation.run(calzone.particles(1, pid="e-", energy=1.0))
"""


def _doctor(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("GEANT4_DATA_DIR", str(folder))
    result = CliRunner().invoke(app, ["doctor", "--json"], catch_exceptions=False)
    assert result.exit_code == 0
    findings = json.loads(result.stdout)["findings"]
    return next(finding for finding in findings if finding["what"].startswith("Geant4"))


def _links(folder: Path, without: str) -> Path:
    """Geant4's data of this machine by links, without one data set or part of it."""
    folder.mkdir()
    name, _, part = without.partition("/")
    for found in Path(os.environ["GEANT4_DATA_DIR"]).iterdir():
        if found.name != name:
            (folder / found.name).symlink_to(found)
        elif part:
            (folder / name).mkdir()
            for inside in found.iterdir():
                if inside.name != part:
                    (folder / name / inside.name).symlink_to(inside)
    return folder


@pytest.mark.geant4
def test_complete_data_are_well(tmp_path, monkeypatch):
    finding = _doctor(_links(tmp_path / "all", "nothing"), monkeypatch)
    assert finding["ready"]
    assert finding["found"] == str(tmp_path / "all")


@pytest.mark.geant4
@pytest.mark.parametrize(
    "lacking", ["G4ABLA3.3", "G4CHANNELING2.0", "PhotonEvaporation6.1.2", "RealSurface2.2", "G4EMLOW8.8"]
)
def test_a_data_set_that_geant4_wants_is_named(tmp_path, monkeypatch, lacking):
    folder = _links(tmp_path / "some", lacking)
    finding = _doctor(folder, monkeypatch)
    assert not finding["ready"]
    assert lacking in finding["found"]
    assert "calzone download" in finding["cure"]
    # Geant4 itself does not start with such a folder.
    shot = subprocess.run([sys.executable, "-c", _SHOOT], capture_output=True, text=True, timeout=60)
    assert shot.returncode
    assert lacking in shot.stderr


@pytest.mark.geant4
@pytest.mark.parametrize("lacking", ["G4EMLOW8.8/brem_SB", "G4PARTICLEXS4.2/gamma"])
def test_a_data_set_with_a_hole_is_named(tmp_path, monkeypatch, lacking):
    finding = _doctor(_links(tmp_path / "some", lacking), monkeypatch)
    assert not finding["ready"]
    assert lacking in finding["found"]


@pytest.mark.geant4
def test_every_data_set_is_asked_for(tmp_path, monkeypatch):
    whole = [path.name for path in Path(os.environ["GEANT4_DATA_DIR"]).iterdir() if path.is_dir()]
    (tmp_path / "empty").mkdir()
    found = _doctor(tmp_path / "empty", monkeypatch)["found"]
    assert all(name in found for name in whole)


def test_openvino_and_its_devices_are_told(monkeypatch):
    def finding() -> dict[str, Any]:
        result = CliRunner().invoke(app, ["doctor", "--json"], catch_exceptions=False)
        return next(f for f in json.loads(result.stdout)["findings"] if f["what"].startswith("openvino"))

    here = finding()
    assert here["ready"]
    assert "CPU: " in here["found"]
    monkeypatch.setitem(sys.modules, "openvino", None)
    missing = finding()
    assert (missing["ready"], missing["cure"]) == (False, "pip install 'caloforge[openvino]'")


def test_a_cure_is_shown_with_its_brackets(monkeypatch):
    monkeypatch.setattr(
        "caloforge.machine.versions", lambda *names: {name: "1" for name in names if name == "openvino"}
    )
    result = CliRunner().invoke(app, ["doctor"], catch_exceptions=False)
    assert "caloforge[geant4]" in result.stdout
    assert "caloforge[tensorboard]" in result.stdout
