"""Other people's files: read as they are, written so that their own codes read them."""

from __future__ import annotations

import math
from pathlib import Path

import h5py
import numpy as np
import pytest

from caloforge.detector import load_detector
from caloforge.errors import CaloforgeError, OutputError, ParticleError, ShowersError
from caloforge.showers import FORMATS, Incident, ShowerFile, Showers, convert, inspect, open_showers
from caloforge.showers.formats.beam import beam_theta
from caloforge.showers.formats.lcd import measured_theta

ULP = 2**-23  # relative distance of float32 neighbours, at most


def make(name: str, n: int = 20, theta: float = 0.0, pdg: int = 11) -> Showers:
    detector = load_detector(name)
    rng = np.random.default_rng(3)
    cells = rng.exponential(20, (n, detector.n_cells)) * (rng.random((n, detector.n_cells)) < 0.1)
    energy = cells.sum(axis=1) / 0.02
    angle = rng.uniform(0, theta, n) if theta else np.zeros(n)
    phi = np.where(rng.random(n) < 0.5, 1, -1) * np.where(angle > 0, math.pi / 2, 0)
    return Showers(detector, Incident.of(energy, pdg, angle, phi), cells.astype(np.float32))


def datasets(path: Path) -> dict[str, np.ndarray]:
    with h5py.File(path) as file:
        return {key: file[key][:] for key in file}


def close(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal up to one rounding to float32."""
    return a.shape == b.shape and bool(np.all(np.abs(a.astype(float) - b) <= ULP * np.abs(b)))


# --- the published files, there and back -------------------------------------------------------------


def test_calogan_there_and_back(published: Path, tmp_path: Path) -> None:
    source = published / "calogan" / "positrons.h5"
    there = convert(source, tmp_path / "a.h5", particle="e+")
    back = convert(tmp_path / "a.h5", tmp_path / "b.calogan.h5")
    assert (there.source_format, there.format, there.showers) == ("calogan", "caloforge", 5000)
    assert back.format == "calogan"
    original, again = datasets(source), datasets(back.path)
    assert original.keys() == again.keys()
    for key, values in original.items():
        assert again[key].dtype == values.dtype
        if key == "energy":  # GeV -> MeV -> GeV rounds twice
            assert close(again[key], values)
        else:
            assert np.array_equal(again[key], values), key


def test_calogan_means_what_it_says(published: Path) -> None:
    source = published / "calogan" / "positrons.h5"
    original = datasets(source)
    with open_showers(source, particle="e+") as file:
        showers = file.read(10, 30)
    assert file.detector.name == "calogan"
    assert np.array_equal(showers.layers()[1], original["layer_1"][10:30])
    assert np.array_equal(showers.overflow, original["overflow"][10:30])
    assert np.allclose(showers.incident.energy, 1000 * original["energy"][10:30, 0], rtol=1e-7)
    assert set(showers.incident.pdg) == {-11}


def test_lcd_there_and_back(published: Path, tmp_path: Path) -> None:
    source = published / "clic" / "electrons.h5"
    with h5py.File(source) as file:  # enough of it
        small = tmp_path / "small.h5"
        with h5py.File(small, "w") as out:
            out["ECAL"], out["target"] = file["ECAL"][:500], file["target"][:500]
    there = convert(small, tmp_path / "a.h5")
    assert (there.source_format, there.detector) == ("lcd", "clic")
    again, original = datasets(convert(tmp_path / "a.h5", tmp_path / "b.lcd.h5").path), datasets(small)
    assert original.keys() == again.keys()
    for key, values in original.items():
        assert again[key].dtype == values.dtype
        assert close(again[key], values), key
    with ShowerFile(tmp_path / "a.h5") as ours:
        part = ours.read(3, 4)
    assert np.allclose(part.layers()[7][0], 1000 * original["ECAL"][3, :, :, 7], rtol=1e-6)
    assert part.incident.pdg[0] == 11
    assert part.incident.theta[0] == 0


@pytest.mark.parametrize("name", ["calogan/positrons.h5", "clic/electrons.h5", "clic/electrons-angle.h5"])
def test_no_showers_at_all_can_be_read(published: Path, name: str) -> None:
    with open_showers(published / name) as file:
        assert file.read(2, 2).cells.shape == (0, file.detector.n_cells)


def test_lcd_angle_there_and_back(published: Path, tmp_path: Path) -> None:
    source = published / "clic" / "electrons-angle.h5"
    there = convert(source, tmp_path / "a.h5", particle="e-")
    assert (there.source_format, there.detector, there.showers) == ("lcd-angle", "clic-angle", 300)
    again = datasets(convert(tmp_path / "a.h5", tmp_path / "b.lcd-angle.h5").path)
    original = datasets(source)
    assert original.keys() == again.keys()
    for key, values in original.items():
        assert again[key].dtype == values.dtype
        assert np.allclose(again[key], values, rtol=3e-7, atol=0), key
    showers = Showers.load(tmp_path / "a.h5")
    response = showers.cells.sum(axis=1) / showers.incident.energy
    assert 0.015 < response.mean() < 0.025


def test_keys_tell_the_unit_of_lcd_files(tmp_path: Path) -> None:
    """A muon's sum is that of no shower, and a calibrated calorimeter's is that of the other dialect."""
    detector = load_detector("clic-angle")
    cells = np.zeros((8, detector.n_cells), np.float32)
    cells[:, 1300::2601] = 0.2
    muons = Showers(detector, Incident.of(np.full(8, 50e3), 13), cells)
    clic = load_detector("clic")
    calibrated = np.zeros((8, clic.n_cells), np.float32)
    calibrated[:, 312::625] = 2e3
    for showers, suffix in ((muons, ".lcd-angle.h5"), (Showers(clic, muons.incident, calibrated), ".lcd.h5")):
        ours = showers.save(tmp_path / f"ours{suffix}")
        there = convert(ours, tmp_path / f"theirs{suffix}").path
        with open_showers(there) as file:
            assert close(file.read(0, 8).cells, showers.cells)


def write_lcd(path: Path, n: int, scale: float, **columns: object) -> Path:
    with h5py.File(path, "w") as file:
        file["ECAL"] = np.full((n, 25, 25, 25), scale, np.float32)
        for name, values in columns.items():
            file[name] = values
    return path


def test_lcd_files_say_the_particle_in_several_places(tmp_path: Path) -> None:
    """The keys of Triforce's converter."""
    ids = np.array([22, 111, 11, -211])
    path = write_lcd(tmp_path / "a.h5", 4, 1e-3, energy=np.full(4, 65.0), pdgID=ids, openingAngle=np.zeros(4))
    with open_showers(path) as file:
        assert file.read(0, 4).incident.pdg.tolist() == ids.tolist()
        assert "left out: openingAngle" in file.notes
    with open_showers(path, particle="gamma") as file:
        assert set(file.read(0, 4).incident.pdg.tolist()) == {22}


def test_lcd_files_say_the_angle_as_pseudorapidity(tmp_path: Path) -> None:
    theta = np.radians([60.0, 90.0, 110.0])
    eta = -np.log(np.tan(theta / 2))
    energy = np.full(3, 100.0)
    one = write_lcd(tmp_path / "a.h5", 3, 1e-4, energy=energy, eta=eta)
    other = write_lcd(tmp_path / "b.h5", 3, 5e-3, energy=energy, theta=theta)
    with open_showers(one) as first, open_showers(other) as second:
        a, b = first.incident(), second.incident()
        assert np.allclose(a.theta, b.theta, atol=1e-7)
        assert np.allclose(np.sin(a.theta) * np.sin(a.phi), np.sin(b.theta) * np.sin(b.phi), atol=1e-7)


def test_ids_of_ions_are_never_rounded(tmp_path: Path) -> None:
    alpha = 1000020040
    showers = make("clic", 3, pdg=alpha).save(tmp_path / "a.h5")
    with pytest.raises(ShowersError, match="1000020040"):
        convert(showers, tmp_path / "b.lcd.h5")
    assert not (tmp_path / "b.lcd.h5").exists()
    target = np.array([[alpha, 65.0]] * 3)
    exact = write_lcd(tmp_path / "c.h5", 3, 1e-4, target=target)
    with open_showers(exact) as file:
        assert set(file.read(0, 3).incident.pdg.tolist()) == {alpha}
    rounded = write_lcd(tmp_path / "d.h5", 3, 1e-4, target=target.astype(np.float32))
    with open_showers(rounded) as file, pytest.raises(ShowersError, match="too few digits"):
        file.read(0, 3)
    with open_showers(rounded, particle="alpha") as file:
        assert set(file.read(0, 3).incident.pdg.tolist()) == {alpha}


def test_what_is_not_read_need_not_be_readable(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["showers"], file["incident_energies"] = np.ones((4, 368)), np.full((4, 1), 1e3)
        file["elsewhere"] = h5py.ExternalLink("gone.h5", "/x")
        file["nowhere"] = h5py.SoftLink("/nothing")
        file.create_dataset("lists", (4,), dtype=h5py.vlen_dtype(np.float32))
        file["group/deep"] = np.ones(3)
    with open_showers(path) as found:
        assert found.read(0, 4).cells.shape == (4, 368)
        assert any(note.startswith("left out: ") and "lists" in note for note in found.notes)


def test_calogan_says_position_and_angle(tmp_path: Path) -> None:
    """The keys of CaloGAN's branches that vary both; their world's origin is in the calorimeter's middle."""
    detector, n = load_detector("calogan"), 4
    theta, phi = np.radians([0.0, 5, 10, 15]), np.array([0.0, 0.5, 1, 2])
    direction = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)])
    front = np.array([[-10.0, 0, 20, 30], [5.0, 0, -5, 1], [-detector.depth / 2] * n])
    gun = front - direction * 48 / direction[2]
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for i, layer in enumerate(detector.layers):
            file[f"layer_{i}"] = np.ones((n, *layer.shape))
        file["energy"] = np.full((n, 1), 50.0)
        for name, values in zip(("px", "py", "pz"), 50 * direction, strict=True):
            file[name] = values[:, None]
        for name, values in zip(("x0", "y0", "z0"), gun, strict=True):
            file[name] = values[:, None]
        file["t0"] = np.zeros((n, 1))
    with open_showers(path, particle="e+") as found:
        incident = found.read(0, n).incident
        assert "left out: t0" in found.notes
    assert np.allclose(incident.theta, theta, atol=1e-6)
    assert np.allclose(incident.phi, phi, atol=1e-6)
    assert np.allclose([incident.x, incident.y], front[:2], atol=1e-4)
    assert np.allclose(gun[2], -288)  # where their gun stands


@pytest.mark.parametrize("name", ["calochallenge-2", "calochallenge-3"])
def test_par04_there_and_back(name: str, tmp_path: Path) -> None:
    showers = make(name, 6, theta=0.5, pdg=22)
    there = convert(showers.save(tmp_path / "a.h5"), tmp_path / "b.par04.h5").path
    columns = datasets(there)
    sectors, rings = showers.detector.layers[0].shape
    assert columns["showers"].shape == (6, rings, sectors, 45)
    assert columns["showers"][3, 2, 5, 7] == 0.033 * np.float64(showers.layers()[7][3, 5, 2])
    with open_showers(there, particle="gamma") as file:
        back = file.read(0, 6)
        assert (file.format, file.detector.name) == ("par04", name)
        assert "left out: incident_phi" in file.notes
    assert np.array_equal(back.cells, showers.cells)
    assert np.allclose(back.incident.theta, showers.incident.theta, atol=1e-6)
    assert np.allclose(
        np.sin(back.incident.theta) * np.sin(back.incident.phi),
        np.sin(showers.incident.theta) * np.sin(showers.incident.phi),
        atol=1e-6,
    )


def test_par04_of_layers_that_differ_is_refused(tmp_path: Path) -> None:
    for name in ("calochallenge-1-photons", "clic"):
        showers = make(name, 2).save(tmp_path / f"{name}.h5")
        with pytest.raises(ShowersError, match="rings and sectors"):
            convert(showers, tmp_path / "b.par04.h5")


def test_calochallenge_may_keep_its_axes(tmp_path: Path) -> None:
    """CaloDiffusion writes (n, layers, alpha, r)."""
    showers = make("calochallenge-2", 3)
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["showers"] = showers.cells.reshape(3, 45, 16, 9)
        file["incident_energies"] = showers.incident.energy[:, None]
    with open_showers(path) as found:
        assert found.detector.name == "calochallenge-2"
        assert np.array_equal(found.read(0, 3).cells, showers.cells)


def test_our_mtheta_is_theirs(published: Path) -> None:
    original = datasets(published / "clic" / "electrons-angle.h5")
    assert np.allclose(measured_theta(original["ECAL"]), original["mtheta"], rtol=1e-6)
    assert measured_theta(np.zeros((1, 5, 5, 4), np.float32))[0] == 100


def test_showers_lean_where_the_angle_says(published: Path) -> None:
    """The barycentre moves along the direction that theta and phi give: the convention, seen in Geant4."""
    with open_showers(published / "clic" / "electrons-angle.h5") as file:
        showers = file.read(0, 300)
    detector, incident = showers.detector, showers.incident
    x, y, z = detector.positions.T
    # Slope of the energy-weighted position against depth, shower by shower.
    energy = showers.cells.astype(float)
    depth = energy @ z / energy.sum(axis=1)
    spread = (energy * (z - depth[:, None]) ** 2).sum(axis=1)
    lean_x = (energy * (z - depth[:, None]) * x).sum(axis=1) / spread
    lean_y = (energy * (z - depth[:, None]) * y).sum(axis=1) / spread
    expected = np.tan(incident.theta) * np.sin(incident.phi)
    assert np.polyfit(expected, lean_y, 1)[0] == pytest.approx(1, abs=0.12)
    assert np.corrcoef(expected, lean_y)[0, 1] > 0.97
    assert abs(np.corrcoef(expected, lean_x)[0, 1]) < 0.3


def test_the_same_content_has_the_same_checksum(published: Path, tmp_path: Path) -> None:
    source = published / "calogan" / "positrons.h5"
    convert(source, tmp_path / "a.h5")
    ours, theirs = inspect(tmp_path / "a.h5"), inspect(source)
    assert ours["checksum"] == theirs["checksum"]
    assert ours["response"] == theirs["response"]


# --- as the original codes read them -----------------------------------------------------------------


def test_written_calogan_has_what_its_training_reads(tmp_path: Path) -> None:
    showers = make("calogan")
    written = datasets(convert(showers.save(tmp_path / "a.h5"), tmp_path / "b.calogan.h5").path)
    assert set(written) == {"layer_0", "layer_1", "layer_2", "energy"}  # overflow only where it was kept
    assert [written[f"layer_{i}"].shape for i in range(3)] == [(20, 3, 96), (20, 12, 12), (20, 12, 6)]
    assert written["energy"].shape == (20, 1)
    assert np.allclose(written["energy"][:, 0], showers.incident.energy / 1000)


def test_written_calochallenge_passes_the_official_check(tmp_path: Path) -> None:
    for name, cells in {"1-photons": 368, "1-pions": 533, "2": 6480, "3": 40500}.items():
        showers = make(f"calochallenge-{name}", 7)
        done = convert(showers.save(tmp_path / f"{name}.h5"), tmp_path / f"{name}.calochallenge.h5")
        written = datasets(done.path)
        assert written["showers"].shape == (7, cells)
        assert written["incident_energies"].shape == (7, 1)
        # The official classifier is float64 and takes the arrays as they are.
        assert written["showers"].dtype == written["incident_energies"].dtype == np.float64
        back = convert(done.path, tmp_path / f"{name}-back.h5")
        assert back.detector == f"calochallenge-{name}"
        again = Showers.load(back.path)
        assert np.array_equal(again.cells, showers.cells)
        assert np.array_equal(again.incident.energy, showers.incident.energy)


def test_calochallenge_takes_the_particle_of_its_detector(tmp_path: Path) -> None:
    done = convert(make("calochallenge-1-pions").save(tmp_path / "a.h5"), tmp_path / "a.calochallenge.h5")
    with open_showers(done.path) as file:
        assert set(file.incident().pdg) == {211}


def test_written_lcd_has_what_its_training_reads(tmp_path: Path) -> None:
    showers = make("clic-angle", theta=0.5)
    done = convert(showers.save(tmp_path / "a.h5"), tmp_path / "b.lcd-angle.h5")
    written = datasets(done.path)
    assert {key: value.shape for key, value in written.items()} == {
        "ECAL": (20, 51, 51, 25),
        "energy": (20,),
        "theta": (20,),
        "mtheta": (20,),
    }
    assert written["theta"].min() > math.pi / 2 - 0.5
    assert np.allclose(written["ECAL"].sum(axis=(1, 2, 3)), 0.05 * showers.cells.sum(axis=1), rtol=1e-5)
    again = Showers.load(convert(done.path, tmp_path / "c.h5", particle="e-").path)
    assert np.allclose(again.incident.theta, showers.incident.theta, atol=3e-7)
    assert np.allclose(np.sin(again.incident.phi), np.sin(showers.incident.phi))
    assert close(again.cells, showers.cells)


def test_negative_cells_are_clipped_and_counted(tmp_path: Path) -> None:
    """Tiny ones are in every shower of a flow; what is no number, or minus infinity, stays impossible."""
    cells = np.random.default_rng(1).exponential(1, (40, 368))
    cells[:30, 7] = -1e-6
    path = tmp_path / "flow.h5"
    with h5py.File(path, "w") as file:
        file["showers"], file["incident_energies"] = cells, np.full((40, 1), 1024.0)
    with pytest.raises(ShowersError, match="--clip"):
        convert(path, tmp_path / "a.h5")
    done = convert(path, tmp_path / "b.h5", clip=True)
    assert (done.showers, done.dropped) == (40, 0)
    assert any("30 showers" in note and "-1e-06 MeV" in note for note in done.notes)
    back = Showers.load(tmp_path / "b.h5").cells
    assert np.array_equal(back, np.maximum(cells, 0).astype(np.float32))
    with h5py.File(path, "a") as file:
        file["showers"][0, 0], file["showers"][1, 0] = np.nan, -np.inf
    with pytest.raises(ShowersError, match="1 NaN, 1 infinite in 2 showers"):
        convert(path, tmp_path / "c.h5", clip=True)
    assert convert(path, tmp_path / "d.h5", clip=True, drop_bad=True).showers == 38


def test_angles_on_the_border() -> None:
    degrees = np.pi / 180
    ours = Incident.of(
        [1, 1, 1, 1],
        theta=[0, 30 * degrees, 30 * degrees, 20 * degrees],
        phi=[0, 90 * degrees, -90 * degrees, 0],
    )
    assert np.allclose(beam_theta(ours) / degrees, [90, 60, 120, 90])


def test_lcd_unit_is_told_from_the_sum_or_can_be_said(tmp_path: Path) -> None:
    full = 10 / 25**3  # all energy in the cells: a calorimeter without absorber, or 50 x GeV
    path = write_lcd(tmp_path / "full.h5", 3, full, energy=np.full(3, 10.0))
    with open_showers(path) as file:
        assert file.format == "lcd-angle"
        assert any("50 x GeV" in note for note in file.notes)
    with open_showers(path, format="lcd") as file:
        assert np.allclose(file.read(0, 1).cells.sum(), 1e4, rtol=1e-4)


def test_other_detectors_need_to_be_told(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        for i in range(5):
            file[f"layer_{i}"] = np.ones((4, 11, 13), np.float32)
        file["energy"] = np.ones((4, 1), np.float32)
    with pytest.raises(ShowersError, match="no preset") as error:
        open_showers(tmp_path / "other.h5")
    assert "5 layers of (11, 13)" in str(error.value)
    with pytest.raises(ShowersError, match="do not fit"):
        open_showers(tmp_path / "other.h5", load_detector("calogan"))
    text = """
name: other
readout:
  deposits: all
  layers: [{count: 5, thickness: 10 mm, grid: {kind: cartesian, window: [60 mm, 60 mm], cells: [11, 13]}}]
"""
    from caloforge.detector import Detector

    with open_showers(tmp_path / "other.h5", Detector.from_yaml(text)) as file:
        assert file.read(0, 4).cells.sum() == 4 * 5 * 11 * 13


# --- what is lost, refused or dropped ----------------------------------------------------------------


def test_losses_are_said(tmp_path: Path) -> None:
    showers = make("calogan", theta=0.3)
    notes = convert(showers.save(tmp_path / "a.h5"), tmp_path / "b.calogan.h5").notes
    assert any("no place for: pdg, phi, theta" in note for note in notes)


def test_lcd_needs_equal_layers(tmp_path: Path) -> None:
    with pytest.raises(ShowersError, match="equal shape"):
        convert(make("calogan").save(tmp_path / "a.h5"), tmp_path / "b.lcd.h5")
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]


def bad_file(path: Path) -> Path:
    rng = np.random.default_rng(0)
    layers = [rng.exponential(1, (9, *shape)).astype(np.float32) for shape in ((3, 96), (12, 12), (12, 6))]
    layers[0][1, 0, :2] = np.nan
    layers[1][4, 3, 3] = np.inf
    layers[2][4, 0, 0] = -2
    layers[2][7, 0, 0] = -np.inf
    with h5py.File(path, "w") as file:
        for i, layer in enumerate(layers):
            file[f"layer_{i}"] = layer
        file["energy"] = np.float64([[10]] * 8 + [[np.nan]])
    return path


@pytest.mark.parametrize("target", ["b.h5", "b.calogan.h5"])
def test_impossible_energies_are_refused_or_dropped(tmp_path: Path, target: str) -> None:
    source = bad_file(tmp_path / "a.h5")
    with pytest.raises(ShowersError) as error:
        convert(source, tmp_path / target)
    for words in ("2 NaN", "2 infinite", "1 negative", "1 impossible incident", "4 showers", "--drop-bad"):
        assert words in str(error.value)
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]
    done = convert(source, tmp_path / target, drop_bad=True)
    assert (done.showers, done.dropped) == (5, 4)
    with open_showers(tmp_path / target) as file:
        assert file.read(0, 5).cells.min() > 0


def test_no_cure_is_named_that_cannot_help(tmp_path: Path) -> None:
    """Where every shower has a negative cell, leaving showers out leaves none."""
    path = tmp_path / "flow.h5"
    with h5py.File(path, "w") as file:
        file["showers"], file["incident_energies"] = np.full((4, 368), -1e-6), np.full((4, 1), 1024.0)
    with pytest.raises(ShowersError, match="no shower") as error:
        convert(path, tmp_path / "b.h5", drop_bad=True)
    assert "--clip" in str(error.value)
    assert "--drop-bad" not in str(error.value)


def test_reading_refuses_impossible_energies(tmp_path: Path) -> None:
    with open_showers(bad_file(tmp_path / "a.h5")) as file:
        assert len(file.read(2, 4)) == 2
        with pytest.raises(ShowersError, match="impossible energies"):
            file.read(0, 2)


def test_numbers_beyond_float32_are_infinite(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["showers"] = np.full((2, 368), 1e300)
        file["incident_energies"] = np.full((2, 1), 1e4)
    with pytest.raises(ShowersError, match="736 infinite"):
        convert(tmp_path / "a.h5", tmp_path / "b.h5")


def test_inspecting_bad_showers_counts_them(tmp_path: Path) -> None:
    found = inspect(bad_file(tmp_path / "a.h5"))
    assert (found["showers"], found["bad"]["showers"], found["bad"]["nan"]) == (9, 4, 2)
    assert found["response"][0]["showers"] == 5


WRONG = {
    "layers of different lengths": (
        {"layer_0": (4, 3, 96), "layer_1": (5, 12, 12), "energy": (4, 1)},
        "wrong shape",
    ),
    "a flat layer": ({"layer_0": (4, 288), "energy": (4, 1)}, "wrong shape"),
    "energies of another length": ({"layer_0": (4, 3, 96), "energy": (5, 1)}, "wrong shape"),
    "a layer left out": ({"layer_0": (4, 3, 96), "layer_2": (4, 12, 6), "energy": (4, 1)}, "lacks"),
    "ECAL without a layer axis": ({"ECAL": (4, 25, 25), "target": (4, 2)}, "wrong shape"),
    "a target without energy": ({"ECAL": (4, 25, 25, 25), "target": (4, 1)}, "wrong shape"),
    "no energies at all": ({"ECAL": (4, 25, 25, 25)}, "lacks"),
    "showers not flat": ({"showers": (4, 45, 16), "incident_energies": (4, 1)}, "wrong shape"),
    "unknown number of cells": ({"showers": (4, 999), "incident_energies": (4, 1)}, "no preset"),
    "something else": ({"images": (4, 8, 8)}, "no showers in a format"),
    "no showers": ({"showers": (0, 368), "incident_energies": (0, 1)}, "no showers"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_shapes_get_one_clear_message(tmp_path: Path, name: str) -> None:
    shapes, message = WRONG[name]
    with h5py.File(tmp_path / "wrong.h5", "w") as file:
        for key, shape in shapes.items():
            file[key] = np.ones(shape, np.float32)
    with pytest.raises(ShowersError, match=message) as error:
        convert(tmp_path / "wrong.h5", tmp_path / "b.h5")
    assert "wrong.h5" in str(error.value)
    assert not (tmp_path / "b.h5").exists()


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("showers", (3, 368), h5py.string_dtype())
        file["incident_energies"] = np.ones((3, 1))
    with pytest.raises(ShowersError, match="wrong shape or type"):
        open_showers(tmp_path / "a.h5")


def test_truncated_files_are_noticed(published: Path, tmp_path: Path) -> None:
    whole = (published / "calogan" / "positrons.h5").read_bytes()
    for share in (0.1, 0.5, 0.99):
        (tmp_path / "cut.h5").write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ShowersError, match="truncated"):
            convert(tmp_path / "cut.h5", tmp_path / "b.h5")


def test_corrupt_data_are_noticed(published: Path, tmp_path: Path) -> None:
    whole = bytearray((published / "calogan" / "positrons.h5").read_bytes())
    middle = len(whole) // 2
    whole[middle : middle + 4000] = bytes(4000)
    (tmp_path / "hole.h5").write_bytes(whole)
    with pytest.raises(CaloforgeError):
        convert(tmp_path / "hole.h5", tmp_path / "b.h5")
    assert [p.name for p in tmp_path.iterdir()] == ["hole.h5"]


# --- names -------------------------------------------------------------------------------------------


def test_names_that_are_none(tmp_path: Path) -> None:
    source = make("calogan").save(tmp_path / "a.h5")
    with pytest.raises(ShowersError, match="unknown shower format") as error:
        convert(source, tmp_path / "b.h5", to="calogen")
    assert "calogan" in str(error.value)
    written = convert(source, tmp_path / "c.calogan.h5").path
    with pytest.raises(ParticleError, match="unknown particle"):
        open_showers(written, particle="elektron")
    with pytest.raises(ShowersError, match="which particles"):
        open_showers(source, particle="e-")
    with pytest.raises(ShowersError, match="different detectors"):
        open_showers(source, load_detector("clic"))
    with pytest.raises(OutputError, match="exists already"):
        convert(source, written)


def test_the_registry_is_complete() -> None:
    arrays = {"caloforge", "calogan", "lcd", "lcd-angle", "calochallenge", "par04", "lagan", "getting-high"}
    assert set(FORMATS) == arrays | {"npz", "showerdata", "parquet", "root", "par04-root", "edm4hep", "hgcal"}
    assert all(name == form.name for name, form in FORMATS.items())


def test_provenance_is_carried_on(tmp_path: Path) -> None:
    showers = make("clic")
    showers.provenance["seed"] = 5
    convert(showers.save(tmp_path / "a.h5"), tmp_path / "b.h5")
    with ShowerFile(tmp_path / "b.h5") as file:
        assert file.provenance["seed"] == 5
        assert file.provenance["converted"][0]["from"] == "a.h5"
