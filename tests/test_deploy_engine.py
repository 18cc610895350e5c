"""The engine: numpy in, showers out, without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from caloforge.deploy import Engine
from caloforge.deploy.sampling import make_showers
from caloforge.errors import BundleError, QuantityError, RangeError, ShowersError
from caloforge.models.blocks.noise import draw_noise
from caloforge.showers import Incident
from deploy_toys import (
    DETECTOR,
    LATENT,
    WEIGHT,
    cells_of,
    make_bundle,
    make_graph,
)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(make_bundle(tmp_path / "bundle"), threads=1)


def _incident(n: int) -> Incident:
    return Incident.of(np.linspace(1e3, 1e5, n), pdg=-11)


def test_run_is_the_graph(engine: Engine) -> None:
    noise = draw_noise(np.random.default_rng(1), 5, (LATENT,))
    energy = np.linspace(1e3, 1e5, 5).astype(np.float32)
    np.testing.assert_allclose(
        engine.run(noise, energy[:, None]), cells_of(noise, energy), rtol=1e-5, atol=1e-3
    )


def test_generate_applies_the_threshold_and_nothing_else(engine: Engine) -> None:
    incident = _incident(50)
    showers = engine.generate(incident, seed=4)
    raw = cells_of(draw_noise(np.random.default_rng(4), 50, (LATENT,)), incident.energy)
    assert ((raw > 0) & (raw < 5)).any(), "the toy must have cells below the threshold"
    np.testing.assert_allclose(showers.cells, np.where(raw < 5, 0, raw), rtol=1e-4, atol=1e-2)
    assert showers.incident.energy.tolist() == incident.energy.tolist()
    assert showers.detector == DETECTOR


def test_same_seed_same_showers_whatever_the_parts(engine: Engine) -> None:
    incident = _incident(1100)
    whole = engine.generate(incident, seed=7).cells
    rng = np.random.default_rng(7)
    parts = [make_showers(engine, incident[i : i + 77], rng).cells for i in range(0, 1100, 77)]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-5)
    assert not np.allclose(engine.generate(incident, seed=8).cells, whole)


def test_energies_alone_are_the_particle_of_the_training(engine: Engine) -> None:
    showers = engine.generate([2e3, 5e4, 9e4], seed=3)
    assert showers.incident.energy.tolist() == [2e3, 5e4, 9e4]
    assert set(showers.incident.pdg.tolist()) == {-11}
    assert not showers.incident.theta.any()
    assert len(set(showers.incident.x.tolist())) == 3, "impact points fill the trained range"
    assert np.abs(showers.incident.x).max() <= 2
    same = engine.generate(Incident.of([2e3, 5e4, 9e4], pdg=-11), seed=3)
    np.testing.assert_array_equal(showers.cells, same.cells)


def test_one_energy_may_be_a_number_or_a_text(engine: Engine) -> None:
    texts = engine.generate("25GeV", seed=1)
    numbers = engine.generate(25e3, seed=1)
    assert texts.incident.energy.tolist() == [25e3]
    np.testing.assert_array_equal(texts.cells, numbers.cells)
    for wrong in ("25", "1:100GeV", "soft"):
        with pytest.raises(QuantityError):
            engine.generate(wrong, seed=1)
    with pytest.raises(RangeError, match="trained"):
        engine.generate([2e5], seed=1)


def test_energies_alone_do_not_choose_between_particles(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "bundle", particles=[-11, 211])
    with pytest.raises(RangeError, match="which one") as caught:
        Engine(folder).generate([5e3], seed=1)
    assert "e+, pi+" in str(caught.value)


def test_no_particles_no_showers(engine: Engine) -> None:
    assert len(engine.generate(Incident.of([]), seed=1)) == 0


@pytest.mark.parametrize(
    ("incident", "words"),
    [
        (Incident.of([2e5], pdg=-11), "energy 200 GeV"),
        (Incident.of([500.0, 5e4], pdg=-11), "1 of 2 showers outside"),
        (Incident.of([5e4], pdg=22), "particle gamma, trained on e+"),
        (Incident.of([5e4], pdg=-11, theta=0.5), "theta 0.5 rad"),
        (Incident.of([5e4], pdg=-11, x=9.0), "trained on -2 to 2 mm"),
        (Incident.of([float("nan")], pdg=-11), "energy"),
    ],
)
def test_outside_is_refused_with_the_trained_range(engine: Engine, incident: Incident, words: str) -> None:
    with pytest.raises(RangeError) as caught:
        engine.generate(incident, seed=1)
    assert words in str(caught.value)
    assert "1 to 100 GeV" in str(caught.value)


def test_outside_warns_if_asked_to(engine: Engine) -> None:
    with pytest.warns(RuntimeWarning, match="energy 200 GeV"):
        showers = engine.generate(Incident.of([2e5], pdg=-11), seed=1, outside="warn")
    assert len(showers) == 1
    assert "200 GeV" in showers.provenance["outside"][0]


@pytest.mark.parametrize(
    "incident",
    [
        Incident.of([5e3, 0.0], pdg=-11),
        Incident.of([5e3, -1.0], pdg=-11),
        Incident.of([5e3, np.nan], pdg=-11),
        Incident.of([5e3, np.inf], pdg=-11),
        Incident.of([5e3, 5e3], pdg=-11, theta=[0.0, np.nan]),
    ],
    ids=["nothing", "negative", "NaN", "infinite", "no angle"],
)
def test_impossible_particles_are_refused_in_any_case(engine: Engine, incident: Incident) -> None:
    with pytest.raises(RangeError, match="no such incident particles"):
        engine.generate(incident, seed=1, outside="warn")


def test_the_edges_of_a_sample_are_not_the_edges_of_its_spectrum(engine: Engine) -> None:
    engine.generate(Incident.of([100.5e3], pdg=-11), seed=1)
    with pytest.raises(RangeError):
        engine.generate(Incident.of([102e3], pdg=-11), seed=1)
    with pytest.raises(RangeError):
        engine.generate(Incident.of([880.0], pdg=-11), seed=1)


def test_a_generator_gone_wrong_is_named(tmp_path: Path) -> None:
    weight = WEIGHT.copy()
    weight[0, 0] = np.nan
    engine = Engine(make_bundle(tmp_path / "bundle", make_graph(weight)))
    with pytest.raises(ShowersError, match="impossible energies"):
        engine.generate(_incident(3), seed=1)


def test_garbage_with_a_right_checksum(tmp_path: Path) -> None:
    class Garbage:
        def SerializeToString(self) -> bytes:  # noqa: N802
            return b"\x08\x0a\x3a\x64" + bytes(range(100))  # its first two fields could be those of ONNX

    folder = make_bundle(tmp_path / "bundle", Garbage())  # type: ignore[arg-type]
    with pytest.raises(BundleError, match="cannot be loaded"):
        Engine(folder)


@pytest.mark.parametrize("location", ["../secret.bin", "{absolute}", "secret.bin"])
def test_a_graph_cannot_read_other_files(
    tmp_path: Path, location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    secret = tmp_path / "secret.bin"
    secret.write_bytes(WEIGHT.tobytes())
    model = make_graph()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    where = location.format(absolute=secret)
    for key, value in (("location", where), ("offset", "0"), ("length", str(WEIGHT.nbytes))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    folder = make_bundle(tmp_path / "bundle", model)
    with pytest.raises(BundleError, match="refers to other files"):
        Engine(folder)


def test_torch_is_never_imported(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "bundle")
    code = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "onnx", "onnxscript", "matplotlib", "sklearn"):
            raise ImportError(name + " is not here")
sys.meta_path.insert(0, Refuse())
import caloforge as cf
from caloforge.showers import Incident
engine = cf.Engine({str(folder)!r}, threads=1)
showers = engine.generate(Incident.of([25e3] * 3, pdg=-11), seed=1)
path = cf.generate({str(folder)!r}, energy="25GeV", count=4, out={str(tmp_path / "out.h5")!r})
assert not [name for name in sys.modules if name.split(".")[0] == "torch"]
print(showers.cells.shape, len(cf.Showers.load(path)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "(3, 20) 4", done.stderr
