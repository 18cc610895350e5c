"""Showers to a file: reproducible, in pieces, and only inside the trained range."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from caloforge.deploy import Bundle, generate
from caloforge.errors import BundleError, CaloforgeError, OutputError, RangeError, ShowersError
from caloforge.quantities import Spectrum
from caloforge.showers import Incident, Showers
from deploy_toys import DETECTOR, make_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "bundle")


def test_energies_and_noise_come_from_the_seed(bundle: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"{i}.h5" for i in range(3)]
    for file, seed in zip(files, (1, 1, 2), strict=True):
        generate(bundle, energy="1:100GeV", count=20, seed=seed, out=file)
    first, again, other = map(Showers.load, files)
    assert np.array_equal(first.cells, again.cells)
    assert np.array_equal(first.incident.energy, again.incident.energy)
    assert not np.array_equal(first.incident.energy, other.incident.energy)
    assert first.incident.pdg.tolist() == [-11] * 20
    assert np.ptp(first.incident.x) > 0, "columns that are not asked for fill their trained range"


def test_few_values_are_drawn_as_they_are(toy_run: Path, toy_export: Bundle, tmp_path: Path) -> None:
    for source in (toy_run, toy_export.path):
        generate(source, energy="50GeV", count=50, out=tmp_path / f"{source.name}.h5")
        azimuth = Showers.load(tmp_path / f"{source.name}.h5").incident.phi
        assert set(azimuth.tolist()) == {-1.5, 1.5}


def test_the_first_showers_of_a_longer_file_are_the_same(bundle: Path, tmp_path: Path) -> None:
    generate(bundle, energy="50GeV", count=7, out=tmp_path / "short.h5")
    seen: list[tuple[int, int]] = []
    generate(
        bundle,
        energy="50GeV",
        count=1100,
        out=tmp_path / "long.h5",
        progress=lambda done, total, _: seen.append((done, total)),
    )
    short, long = Showers.load(tmp_path / "short.h5"), Showers.load(tmp_path / "long.h5")
    np.testing.assert_allclose(long.cells[:7], short.cells, rtol=1e-5)
    assert seen[-1] == (1100, 1100)
    assert len(seen) > 1, "more than one piece"


def test_the_noise_does_not_depend_on_the_spectrum(bundle: Path, tmp_path: Path) -> None:
    generate(bundle, energy="50GeV", count=30, out=tmp_path / "a.h5")
    generate(bundle, energy=Spectrum.parse("10,50,90GeV"), count=30, out=tmp_path / "b.h5")
    a, b = Showers.load(tmp_path / "a.h5"), Showers.load(tmp_path / "b.h5")
    same = b.incident.energy == 50e3
    assert 0 < same.sum() < 30
    np.testing.assert_allclose(a.cells[same], b.cells[same], rtol=1e-5)


def test_like_takes_the_particles_over(bundle: Path, tmp_path: Path) -> None:
    incident = Incident.of(np.linspace(2e3, 9e4, 12), pdg=-11, x=np.linspace(-2, 2, 12))
    Showers(DETECTOR, incident, np.ones((12, 20), np.float32)).save(tmp_path / "g4.h5")
    showers = Showers.load(generate(bundle, like=tmp_path / "g4.h5", count=10, out=tmp_path / "like.h5"))
    for name, column in showers.incident.items():
        assert np.array_equal(column, getattr(incident, name)[:10]), name


def test_provenance(bundle: Path, tmp_path: Path) -> None:
    made = Showers.load(generate(bundle, energy="50GeV", count=3, seed=5, out=tmp_path / "a.h5")).provenance
    assert made["seed"] == 5
    assert made["energy"] == "50GeV"
    assert made["generator"]["kind"] == "bundle"
    assert len(made["generator"]["graph_sha256"]) == 64
    assert made["ms_per_shower"] > 0
    assert made["versions"]["caloforge"]


def test_outside_leaves_no_file(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(RangeError, match="not trained"):
        generate(bundle, energy="200GeV", count=3, out=tmp_path / "a.h5")
    assert not list(tmp_path.glob("a.h5*"))


def test_outside_with_a_warning_is_recorded(bundle: Path, tmp_path: Path) -> None:
    with pytest.warns(RuntimeWarning, match="200 GeV"):
        path = generate(bundle, energy="200GeV", count=3, outside="warn", out=tmp_path / "a.h5")
    assert "trained on 1 to 100 GeV" in Showers.load(path).provenance["outside"][0]


def test_bad_requests(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.h5"
    with pytest.raises(CaloforgeError, match="how many"):
        generate(bundle, energy="50GeV", out=out)
    with pytest.raises(CaloforgeError, match="how many"):
        generate(bundle, count=5, out=out)
    with pytest.raises(CaloforgeError, match="out of range"):
        generate(bundle, energy="50GeV", count=0, out=out)
    with pytest.raises(CaloforgeError, match="not both"):
        generate(bundle, energy="50GeV", like=tmp_path / "x.h5", out=out)
    with pytest.raises(ShowersError):
        generate(bundle, like=tmp_path / "x.h5", out=out)
    with pytest.raises(BundleError, match="neither a run nor a bundle"):
        generate(tmp_path, energy="50GeV", count=1, out=out)
    with pytest.raises(BundleError, match="neither a run nor a bundle"):
        generate(tmp_path / "none", energy="50GeV", count=1, out=out)


def test_a_file_that_names_no_particle(bundle: Path, tmp_path: Path) -> None:
    """Its particles are those that the generator knows, unless they are named."""
    nameless = Showers(DETECTOR, Incident.of([5e4, 6e4], pdg=0), np.ones((2, 20), np.float32))
    path = nameless.save(tmp_path / "g4.h5")
    made = Showers.load(generate(bundle, like=path, out=tmp_path / "a.h5"))
    assert made.incident.pdg.tolist() == [-11, -11]
    assert made.incident.energy.tolist() == [5e4, 6e4]
    with pytest.raises(RangeError):
        generate(bundle, like=path, particle="gamma", out=tmp_path / "b.h5")


def test_more_than_the_file_has(bundle: Path, tmp_path: Path) -> None:
    Showers(DETECTOR, Incident.of([5e4], pdg=-11), np.ones((1, 20), np.float32)).save(tmp_path / "g4.h5")
    with pytest.raises(CaloforgeError, match="fewer showers"):
        generate(bundle, like=tmp_path / "g4.h5", count=2, out=tmp_path / "a.h5")


def test_an_existing_file_is_kept(bundle: Path, tmp_path: Path) -> None:
    generate(bundle, energy="50GeV", count=3, out=tmp_path / "a.h5")
    with pytest.raises(OutputError, match="exists already"):
        generate(bundle, energy="50GeV", count=3, out=tmp_path / "a.h5")
