"""The runs that ship: they make showers like Geant4's, which none of them has seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import caloforge as cf
from caloforge.deploy import generate
from caloforge.errors import BundleError
from caloforge.observables import evaluate, observables_for
from caloforge.samples import positrons
from caloforge.showers import Showers, open_showers
from caloforge.training import Run
from caloforge.training.pretrained import pretrained_names


def _read(path: Path) -> Showers:
    with open_showers(path) as file:
        return file.read(0, len(file))


@pytest.mark.parametrize("name", pretrained_names())
def test_every_run_is_whole_and_makes_showers(name: str, tmp_path: Path) -> None:
    run = Run.open(name)
    assert run.recipe.name == name
    assert all("/" not in file for file in run.data["files"]), "no paths of the machine that trained"
    low, high = (value / 1e3 for value in run.incident_range["energy"])
    made = _read(generate(name, energy=f"{low}:{high}GeV", count=30, seed=1, out=tmp_path / "made.h5"))
    assert made.detector.digest == run.detector.digest
    assert bool((made.cells.sum(1) > 0).all())


def test_positrons_are_like_those_of_geant4(tmp_path: Path) -> None:
    geant4 = _read(positrons())
    made = _read(generate("calogan-tuned", like=positrons(), seed=1, out=tmp_path / "made.h5"))
    response = [s.cells.sum(1) / s.incident.energy for s in (made, geant4)]
    assert np.mean(response[0]) == pytest.approx(np.mean(response[1]), rel=0.005)
    for found, truth in zip(made.detector.split(made.cells), made.detector.split(geant4.cells), strict=True):
        assert found.sum() == pytest.approx(truth.sum(), rel=0.1)
    wanted = [o for o in observables_for(geant4.detector) if o.name in {"hits", "depth", "shower_width_x"}]
    truth, found = (evaluate(wanted, showers) for showers in (geant4, made))
    np.testing.assert_allclose(found.mean(0), truth.mean(0), rtol=0.05)
    np.testing.assert_allclose(found.std(0), truth.std(0), rtol=0.15)


def test_a_name_that_is_none_has_a_cure(tmp_path: Path) -> None:
    with pytest.raises(BundleError) as caught:
        cf.generate("calogan-tune", energy="10GeV", count=1, out=tmp_path / "made.h5")
    assert "calogan-tuned" in str(caught.value)
