"""LAGAN: sizes from its layers, numpy references, classes, any one-layer detector, and its jet images."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from caloforge.detector import Detector, load_detector
from caloforge.errors import DetectorError, ShowersError
from caloforge.models import build_critic, build_generator
from caloforge.models.blocks.minibatch import MinibatchFeatures
from caloforge.models.fitted.response import ResponseFit
from caloforge.models.settings import LaganSettings
from caloforge.showers import Incident, Showers, convert, open_showers
from caloforge.training import Run, load_recipe
from caloforge.training.hardware import Hardware
from caloforge.training.objectives.adversarial.objective import AdversarialObjective
from caloforge.training.requests import Requests
from tiny_toys import planar, train

FORMS = ("lagan", "dcgan", "fcn", "hybrid")
JETS = (21, 24)
SMALL = planar((6, 9, 10))


@pytest.fixture(scope="module")
def small() -> Detector:
    return Detector.from_yaml(SMALL)


def settings(form: str = "lagan", particles: tuple[int, ...] = JETS, **changes: object) -> LaganSettings:
    return LaganSettings.model_validate({"form": form, "latent": 8, "particles": particles, **changes})


def ask(n: int, particles: tuple[int, ...] = JETS) -> torch.Tensor:
    """Energies from 10 to 300 GeV, particles by turns."""
    pdg = torch.tensor([float(particles[i % len(particles)]) for i in range(n)])
    return torch.stack([torch.linspace(1e4, 3e5, n), pdg], dim=1)


def weights(module: torch.nn.Module) -> int:
    """As Keras counts them: with the statistics of the norms."""
    return sum(v.numel() for k, v in module.state_dict().items() if not k.endswith("num_batches_tracked"))


def dense(a: int, b: int) -> int:
    return (a + 1) * b


def conv(a: int, b: int, k: int) -> int:
    return dense(a * k * k, b)


_COMPARED = {"lagan": 72, "dcgan": 2304, "fcn": 128, "hybrid": 2432}
_FCN = dense(200, 256) + dense(256, 512) + dense(512, 625) + dense(625, 625)
_DCGAN = dense(200, 6272) + conv(128, 64, 5) + 256 + conv(64, 32, 5) + 128 + conv(32, 8, 3) + conv(8, 1, 2)
_GENERATORS = {
    # Each place of a locally connected layer has its own weights and biases.
    "lagan": dense(200, 6272)
    + conv(128, 64, 5)
    + 256
    + 14 * 14 * conv(64, 6, 5)
    + 24
    + 26 * 26 * conv(6, 6, 3)
    + 25 * 25 * 6 * 4,
    "dcgan": _DCGAN,
    "fcn": _FCN,
    "hybrid": _DCGAN + _FCN,
}
_FCN_EYES = dense(625, 1024) + dense(1024, 512) + dense(512, 128)
_DCGAN_EYES = conv(1, 32, 5) + conv(32, 64, 5) + 256 + conv(64, 128, 5) + 512 + conv(128, 256, 3) + 1024
_EYES = {
    "lagan": conv(1, 32, 5) + 13 * 13 * (conv(32, 8, 5) + conv(8, 8, 5)) + 7 * 7 * conv(8, 8, 3) + 3 * 4 * 8,
    "dcgan": _DCGAN_EYES,
    "fcn": _FCN_EYES,
    "hybrid": _DCGAN_EYES + _FCN_EYES,
}


@pytest.mark.parametrize("form", FORMS)
def test_sizes_follow_from_the_published_layers(form: str) -> None:
    detector, published = load_detector("jet-image"), settings(form, latent=200)
    assert weights(build_generator(published, detector)) == _GENERATORS[form] + 2 * 200
    seen = _COMPARED[form]
    heads = 20 * (seen + 1) * 10 + 2 * dense(seen + 20, 1)
    assert weights(build_critic(published, detector)) == _EYES[form] + heads


def test_minibatch_discrimination_has_no_tangent_here() -> None:
    torch.manual_seed(0)
    layer = MinibatchFeatures(3, features=2, dimensions=4, squash=False).double()
    x = torch.randn(5, 3, dtype=torch.float64)
    kernels = np.einsum("nd,fdk->nfk", x.numpy(), layer.weight.detach().numpy())
    distance = np.abs(kernels[:, None] - kernels[None]).sum(-1)
    expected = np.exp(-distance).sum(1)
    assert np.allclose(layer(x).detach().numpy(), expected)
    assert expected.max() > 1, "a tangent would have shown"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cells", [(5, 5), (25, 25), (12, 31)])
def test_images_of_any_size(form: str, cells: tuple[int, int]) -> None:
    detector = Detector.from_yaml(planar((*cells, 10)))
    torch.manual_seed(0)
    generator, critic = build_generator(settings(form), detector), build_critic(settings(form), detector)
    showers = generator(generator.sample_noise(3), ask(3))
    assert showers.shape == (3, cells[0] * cells[1])
    assert showers.min() >= 0
    readings = critic(showers, ask(3))
    assert {name: reading.shape for name, reading in readings.items()} == {"logit": (3,), "classes": (3, 2)}


def test_other_detectors_are_refused_with_a_cure() -> None:
    few = Detector.from_yaml(planar((4, 9, 10)))
    ring = Detector.from_yaml(
        SMALL.replace(
            "kind: cartesian, window: [60 mm, 60 mm], cells: [6, 9]",
            "kind: polar, alpha: 8, r_cells: 9, r_size: 3 mm",
        )
    )
    for detector in (load_detector("clic"), few, ring):
        for build in (build_generator, build_critic):
            with pytest.raises(DetectorError, match="one cartesian layer") as caught:
                build(settings(), detector)
            assert "calogan" in str(caught.value.details["cure"])


@pytest.mark.parametrize("form", FORMS)
def test_gradients_reach_every_weight(form: str, small: Detector) -> None:
    torch.manual_seed(0)
    generator, critic = build_generator(settings(form), small), build_critic(settings(form), small)
    with torch.no_grad():  # a ReLU at the end lets through what is positive only
        for name, parameter in generator.named_parameters():
            if name.endswith("bias"):
                parameter.add_(0.1)
    readings = critic(generator(generator.sample_noise(16), ask(16)), ask(16))
    sum(reading.square().sum() for reading in readings.values()).backward()  # type: ignore[union-attr]
    for name, parameter in (*generator.named_parameters(), *critic.named_parameters()):
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("form", FORMS)
def test_the_class_changes_the_shower(form: str, small: Detector) -> None:
    torch.manual_seed(0)
    generator = build_generator(settings(form, particles=(24, 21)), small).eval()
    noise, asked = generator.sample_noise(1).expand(2, -1), ask(2)
    asked[:, 0] = 1e5
    with torch.no_grad():
        quark, boson = generator(noise, asked)
        assert not torch.allclose(quark, boson)
    # Noise times the vector of the class: the same as other noise of the other class.
    classes = generator.embedding.detach()
    turned = noise[:1] * (classes[1] / classes[0])
    with torch.no_grad():
        same = generator(turned, asked[1:])[0]
    assert torch.allclose(same, quark, rtol=1e-3, atol=1e-3 * float(quark.max()))


def test_one_particle_needs_no_class(small: Detector) -> None:
    for particles in ((), (11,)):
        generator = build_generator(settings(particles=particles), small).eval()
        assert generator.conditions == ("energy",)
        noise, asked = generator.sample_noise(2), ask(2)[:, :1]
        with torch.no_grad():
            scaled = generator(noise * asked / 1e5, torch.full((2, 1), 1e5))
            assert torch.allclose(generator(noise, asked), scaled, rtol=1e-3, atol=1e-3 * float(scaled.max()))
        readings = build_critic(settings(particles=particles), small)(generator(noise, asked), asked)
        assert set(readings) == {"logit"}


def test_scale_is_that_of_the_networks_only(small: Detector) -> None:
    cells, made = torch.rand(4, small.n_cells) * 1e3, {}
    for scale in (0.01, 1.0):
        torch.manual_seed(0)
        generator, critic = (
            build_generator(settings(scale=scale), small),
            build_critic(settings(scale=scale), small),
        )
        noise = torch.randn(4, 8, generator=torch.Generator().manual_seed(1))
        made[scale] = generator.eval()(noise, ask(4)) * scale, critic.eval()(cells / scale, ask(4))["logit"]
    assert torch.allclose(made[0.01][0], made[1.0][0])
    assert torch.allclose(made[0.01][1], made[1.0][1], rtol=1e-4)


def objective(form: str, detector: Detector, precision: str = "fp32") -> AdversarialObjective:
    torch.manual_seed(0)
    objective = AdversarialObjective(
        build_generator(settings(form), detector),
        build_critic(settings(form), detector),
        load_recipe("lagan").objective,
        Requests(torch.tensor([1e4, 21.0]), torch.tensor([3e5, 24.0]), (JETS, 1)),
        ResponseFit((1.0,)),
        Hardware(torch.device("cpu"), precision),
    )
    objective.begin()
    return objective


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("form", FORMS)
def test_a_step_of_the_objective_trains_both(form: str, precision: str, small: Detector) -> None:
    training = objective(form, small, precision)
    before = {
        f"{m}.{k}": v.clone() for m in training.modules for k, v in training.modules[m].named_parameters()
    }
    report = training.step(torch.rand(8, small.n_cells) * 1e4, ask(8))
    assert {"critic_real_classes", "critic_fake_classes", "generator_classes"} <= set(report)
    assert all(bool(torch.isfinite(value)) for value in report.values())
    after = {f"{m}.{k}": v for m in training.modules for k, v in training.modules[m].named_parameters()}
    moved = [name for name, value in after.items() if not torch.equal(value, before[name])]
    assert len(moved) > 0.9 * len(after)


@pytest.mark.slow
def test_classes_come_apart(small: Detector) -> None:
    """Two classes of images, a bar and a column: each class of the generator makes its own."""
    training = objective("lagan", small)
    rng = np.random.default_rng(0)
    which = rng.random(400) < 0.5
    images = np.zeros((400, 6, 9), np.float32)
    images[which, 2, :] = 50e3
    images[~which, :, 4] = 50e3
    images *= rng.uniform(0.5, 1.5, images.shape).astype(np.float32)
    cells = torch.from_numpy(images).flatten(1)
    asked = torch.stack(
        [torch.full((400,), 1e5), torch.from_numpy(np.where(which, 24.0, 21.0)).float()], dim=1
    )
    for _ in range(600):
        rows = torch.randint(400, (32,))
        training.step(cells[rows], asked[rows])
    generator = training.generator.eval()
    with torch.no_grad():
        mean = {
            pdg: generator(generator.sample_noise(200), torch.tensor([[1e5, pdg]]).expand(200, 2))
            .mean(0)
            .view(6, 9)
            for pdg in (21.0, 24.0)
        }
    assert mean[24.0][2].sum() > 1.5 * mean[21.0][2].sum()
    assert mean[21.0][:, 4].sum() > 1.5 * mean[24.0][:, 4].sum()


def test_the_recipe_is_the_published_one() -> None:
    recipe = load_recipe("lagan")
    assert recipe.published
    assert recipe.model == LaganSettings(particles=JETS)
    assert recipe.model.scale == 1 / 100  # type: ignore[union-attr]
    told = recipe.objective
    assert (told.generator_rate, told.critic_rate, told.beta1, told.beta2) == (2e-4, 2e-4, 0.5, 0.999)
    assert (told.flips, told.generator_flips, told.real_label) == (0.05, 0, 1)
    assert (told.class_flips, told.generator_class_flips) == (0.05, 0.09)
    assert (told.weight, told.class_weight, told.energy_weight) == (1, 1, 0)
    assert (told.generator_steps, recipe.schedule.batch, recipe.schedule.epochs) == (2, 100, 50)


# --- jet images --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def jets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Toy jets in the layout of the published file: signal has two cores, background one."""
    rng = np.random.default_rng(0)
    n = 60
    signal = (rng.random(n) < 0.5).astype(np.float64)
    image = rng.exponential(0.5, (n, 25, 25)) * (rng.random((n, 25, 25)) < 0.05)
    image[:, 12, 12] += 150
    image[signal == 1, 12, 7] += 80
    file = tmp_path_factory.mktemp("jets") / "jets.hdf5"
    with h5py.File(file, "w") as out:
        out["image"], out["signal"] = image.astype(np.float32), signal
        out["jet_pt"], out["jet_mass"] = rng.uniform(250, 300, n), rng.uniform(60, 100, n)
    return file


def test_jet_images_are_read_as_published(jets: Path) -> None:
    with open_showers(jets) as file, h5py.File(jets) as original:
        assert file.detector.name == "jet-image"
        showers = file.read(0, 60)
        assert np.allclose(showers.layers()[0], 1e3 * original["image"][:], rtol=1e-6)
        assert np.allclose(showers.incident.energy, 1e3 * original["jet_pt"][:])
        assert np.array_equal(showers.incident.pdg == 24, original["signal"][:] == 1)
    assert set(showers.incident.pdg) == {21, 24}
    # Pixels of 0.1, in pseudorapidity (x) and azimuth (y), as seen from 1 m.
    assert np.allclose(showers.detector.sizes[0, :2] / 1e3, 0.1)


def test_jet_images_there_and_back(jets: Path, tmp_path: Path) -> None:
    assert convert(jets, tmp_path / "a.h5").source_format == "lagan"
    convert(tmp_path / "a.h5", tmp_path / "b.lagan.h5")
    with h5py.File(jets) as original, h5py.File(tmp_path / "b.lagan.h5") as again:
        assert set(again) == {"image", "signal", "jet_pt"}
        for key in again:
            assert np.allclose(again[key][:], original[key][:], rtol=3e-7, atol=0), key


def test_what_is_no_jet_is_not_written_as_one(small: Detector, tmp_path: Path) -> None:
    electron = Showers(small, Incident.of([1e4], pdg=11), np.ones((1, small.n_cells), np.float32))
    with pytest.raises(ShowersError, match="signal and background only"):
        convert(electron.save(tmp_path / "a.h5"), tmp_path / "a.lagan.h5")
    clic = load_detector("clic")
    deep = Showers(clic, Incident.of([1e4], pdg=24), np.ones((1, clic.n_cells), np.float32))
    with pytest.raises(ShowersError, match="one layer only"):
        convert(deep.save(tmp_path / "b.h5"), tmp_path / "b.lagan.h5")


def test_jets_train_as_they_are(jets: Path, tmp_path: Path) -> None:
    small = ["model.latent=8", "schedule.batch=16", "schedule.epochs=1", "schedule.precision=fp32"]
    run = train(load_recipe("lagan", ["model.form=fcn", *small]), jets, tmp_path / "run")
    generator = Run.open(run.path).generator()
    assert generator.conditions == ("energy", "pdg")
    assert generator(torch.randn(4, 8), ask(4)).shape == (4, 625)
