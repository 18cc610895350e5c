"""The runs that ship: they make showers like Geant4's, which none of them has seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import caloforge as cf
from caloforge.deploy import generate
from caloforge.errors import BundleError
from caloforge.models import build_generator
from caloforge.observables import evaluate, observables_for
from caloforge.samples import positrons
from caloforge.showers import Showers, open_showers
from caloforge.training import Run
from caloforge.training.pretrained import pretrained_names
from caloforge.training.warm import warm_start


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
    edges = [0.03, 0.3, 1, 3, 10, 100]  # MeV, from well below a particle that crosses a layer
    spectra = [np.histogram(s.cells, edges)[0] for s in (made, geant4)]
    np.testing.assert_allclose(spectra[0], spectra[1], rtol=0.08)
    wanted = [o for o in observables_for(geant4.detector) if o.name in {"hits", "depth", "shower_width_x"}]
    truth, found = (evaluate(wanted, showers) for showers in (geant4, made))
    np.testing.assert_allclose(found.mean(0), truth.mean(0), rtol=0.05)
    np.testing.assert_allclose(found.std(0), truth.std(0), rtol=0.15)


def test_an_empty_folder_of_that_name_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("calogan-tuned").mkdir()
    assert Run.open("calogan-tuned").weights.is_file()


def test_a_training_begins_with_one_by_its_name() -> None:
    run = Run.open("calogan-tuned")
    fresh, kept = build_generator(run.recipe.model, run.detector), run.generator()
    (story,) = warm_start([Path("calogan-tuned")], {"generator": fresh})
    assert story["recipe"] == "calogan-tuned"
    for name, weights in kept.state_dict().items():
        torch.testing.assert_close(fresh.state_dict()[name], weights, rtol=0, atol=0)


def test_a_name_that_is_none_has_a_cure(tmp_path: Path) -> None:
    with pytest.raises(BundleError) as caught:
        cf.generate("calogan-tune", energy="10GeV", count=1, out=tmp_path / "made.h5")
    assert "calogan-tuned" in str(caught.value)
