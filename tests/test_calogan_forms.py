"""CaloGAN beyond one particle in three layers: ACGAN, direction and impact point, DESY's layers, bundles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from caloforge.cli.main import app
from caloforge.deploy import Engine, export, generate
from caloforge.detector import Detector, load_detector
from caloforge.errors import CaloforgeError, DetectorError, RangeError, RecipeError
from caloforge.models import build_critic, build_generator
from caloforge.models.blocks.conditions import Particles, Placement, incident_columns
from caloforge.models.settings import CaloganSettings
from caloforge.showers import Incident, Showers
from caloforge.training import Recipe, load_recipe
from caloforge.training.objectives.adversarial.losses import critic_loss, generator_loss
from caloforge.training.objectives.settings import AdversarialSettings
from caloforge.training.requests import Requests
from tiny_toys import TINY, train

POSITRON, PHOTON, PION = -11, 22, 211
EVERYTHING = CaloganSettings(latent=6, particles=(POSITRON, PION), given=("y", "phi", "theta", "x"))


@pytest.fixture(scope="module")
def tiny() -> Detector:
    return Detector.from_yaml(TINY)


def particles(n: int, seed: int = 0) -> torch.Tensor:
    """Incident columns of `EVERYTHING`: energy, theta, phi, x, y, pdg."""
    rng = np.random.default_rng(seed)
    columns = [
        rng.uniform(1e3, 1e5, n),
        rng.uniform(0, 0.5, n),
        rng.uniform(-3, 3, n),
        rng.uniform(-9, 9, n),
        rng.uniform(-9, 9, n),
        rng.choice([POSITRON, PION], n),
    ]
    return torch.from_numpy(np.stack(columns, axis=1)).float()


# --- what the networks see of the incident particle ---


def test_columns_come_in_one_order() -> None:
    assert incident_columns((), ()) == ("energy",)
    assert incident_columns(("x", "theta"), (22,)) == ("energy", "theta", "x")
    assert incident_columns(("y", "phi"), (22, 11)) == ("energy", "phi", "y", "pdg")


def test_placement_agrees_with_numpy(tiny: Detector) -> None:
    incident = particles(7)
    placement = Placement(tiny, incident_columns(EVERYTHING.given, EVERYTHING.particles))
    _, theta, phi, x, y, _ = incident.numpy().T
    # The finest cells are 20 mm in x and 15 mm in y.
    expected = np.stack([theta, np.cos(phi), np.sin(phi), x / 20, y / 15], axis=1)
    assert placement.width == 5
    np.testing.assert_allclose(placement(incident).numpy(), expected, rtol=1e-5, atol=1e-6)


def test_the_azimuth_is_periodic(tiny: Detector) -> None:
    placement = Placement(tiny, ("energy", "phi"))
    turned = torch.tensor([[1e3, -np.pi], [1e3, np.pi]])
    torch.testing.assert_close(*placement(turned), rtol=0, atol=1e-6)


def test_positions_need_cartesian_cells() -> None:
    with pytest.raises(DetectorError, match="impact point"):
        Placement(load_detector("calochallenge-2"), ("energy", "x"))


def test_an_unknown_particle_is_none_of_the_known() -> None:
    which = Particles((POSITRON, PHOTON, PION))(torch.tensor([22.0, -11.0, 11.0, 0.0]))
    assert which.tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("codes", [(22, 11, 22), (22, 1000020040)])
def test_particles_that_cannot_be_told_apart_are_refused(codes: tuple[int, ...], tiny: Detector) -> None:
    with pytest.raises(RecipeError, match="cannot tell these particles apart"):
        build_generator(CaloganSettings(latent=4, particles=codes), tiny)


def test_the_generator_multiplies_noise_energy_and_particle(tiny: Detector) -> None:
    torch.manual_seed(1)
    generator = build_generator(EVERYTHING, tiny).eval()
    seen: list[torch.Tensor] = []
    generator.streams[0].register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    noise, incident = generator.sample_noise(5), particles(5)
    cells = generator(noise, incident)
    assert generator.conditions == ("energy", "theta", "phi", "x", "y", "pdg")
    assert cells.shape == (5, tiny.n_cells)
    vectors = generator.embedding.detach().numpy()
    which = np.where(incident[:, 5].numpy() == POSITRON, 0, 1)
    expected = noise.numpy() * vectors[which] * incident[:, :1].numpy() / 1e5
    np.testing.assert_allclose(seen[0].detach().numpy()[:, :6], expected, rtol=1e-5)
    np.testing.assert_allclose(seen[0].detach().numpy()[:, 6], incident[:, 1].numpy(), rtol=1e-6)


def test_one_particle_is_as_none(tiny: Detector) -> None:
    alone = build_generator(CaloganSettings(latent=6, particles=(POSITRON,)), tiny)
    plain = build_generator(CaloganSettings(latent=6), tiny)
    assert alone.conditions == plain.conditions == ("energy",)
    assert alone.state_dict().keys() == plain.state_dict().keys()
    critic = build_critic(CaloganSettings(particles=(POSITRON,)), tiny)
    assert set(critic(torch.rand(3, tiny.n_cells), torch.full((3, 1), 1e4))) == {"logit"}


def test_vectors_of_particles_start_as_keras_embeddings() -> None:
    torch.manual_seed(2)
    settings = CaloganSettings(latent=1000, particles=(POSITRON, PHOTON, PION), attention=False)
    vectors = build_generator(settings, Detector.from_yaml(TINY)).embedding.detach()
    assert vectors.shape == (3, 1000)
    # glorot_normal, cut at two standard deviations
    assert float(vectors.std()) == pytest.approx(0.8796 * np.sqrt(2 / 1003), rel=0.05)


# --- the critic ---


def test_the_critic_knows_where_the_shower_should_be(tiny: Detector) -> None:
    torch.manual_seed(3)
    critic = build_critic(EVERYTHING, tiny).eval()
    torch.nn.init.normal_(critic.match.weight, std=0.01)
    cells, incident = torch.rand(6, tiny.n_cells) * 1e3, particles(6)
    readings = critic(cells, incident)
    assert readings["logit"].shape == (6,)
    assert readings["classes"].shape == (6, 2)
    assert not readings["classes"][:, 0].any(), "the first is what the other is compared with"
    moved = incident.clone()
    moved[:, 3] += 10
    change = critic(cells, moved)["logit"] - readings["logit"]
    assert bool((change != 0).all())
    assert float(change.detach().std()) > 1e-4, "what a position means depends on the shower"
    other = incident.clone()
    other[:, 5] = PHOTON
    torch.testing.assert_close(critic(cells, other)["logit"], readings["logit"])


def test_without_the_energy_well_the_critic_does_not_know_what_was_asked_for(tiny: Detector) -> None:
    critic = build_critic(CaloganSettings(latent=4, energy_well=False), tiny).eval()
    full = build_critic(CaloganSettings(latent=4), tiny).eval()
    # |sum - asked|, its flag, ten comparisons of the energies
    assert full.decide.in_features - critic.decide.in_features == 12
    cells = torch.rand(4, tiny.n_cells) * 1e3
    low, high = torch.full((4, 1), 1e3), torch.full((4, 1), 1e5)
    assert torch.equal(critic(cells, low)["logit"], critic(cells, high)["logit"])
    assert not torch.equal(full(cells, low)["logit"], full(cells, high)["logit"])


def test_gradients_reach_every_weight(tiny: Detector) -> None:
    torch.manual_seed(4)
    generator, critic = build_generator(EVERYTHING, tiny), build_critic(EVERYTHING, tiny)
    incident = particles(16)
    cells = generator(generator.sample_noise(16), incident)
    readings = critic(cells, incident)
    (readings["logit"].mean() + readings["classes"][:, 1].mean() + cells.mean()).backward()
    for name, parameter in [*generator.named_parameters(), *critic.named_parameters()]:
        assert parameter.grad is not None, name
        assert bool(parameter.grad.any()) or "compare" in name, name


# --- losses of telling particles apart ---


def _softmax(scores: np.ndarray) -> np.ndarray:
    weights = np.exp(scores - scores.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize("flips", [0.0, 1 - 1e-9])
def test_losses_of_classes_agree_with_numpy(flips: float) -> None:
    rng = np.random.default_rng(5)
    logit, scores = rng.normal(size=40), rng.normal(size=(40, 2))
    incident = particles(40)
    requests = Requests(incident.amin(0), incident.amax(0), ((POSITRON, PION), 5))
    settings = AdversarialSettings(class_weight=0.2, class_flips=flips, energy_weight=0.0)
    readings = {"logit": torch.from_numpy(logit), "classes": torch.from_numpy(scores)}
    labels = (incident[:, 5].numpy() == PION).astype(int)
    right, wrong = (
        -0.2 * np.log(_softmax(scores)[np.arange(40), which]).mean() for which in (labels, 1 - labels)
    )
    real = critic_loss(readings, incident, settings, requests, True)
    made = critic_loss(readings, incident, settings, requests, False)
    wanted = generator_loss(readings, incident, torch.ones(40), torch.ones(40), settings, requests)
    assert float(real["classes"]) == pytest.approx(right), "never flipped for Geant4's showers"
    assert float(made["classes"]) == pytest.approx(wrong if flips else right)
    assert float(wanted["classes"]) == pytest.approx(right)
    assert float(made["logit"]) == pytest.approx(-np.log(1 - 1 / (1 + np.exp(-logit))).mean())


def test_two_scores_are_keras_sigmoid(tiny: Detector) -> None:
    scores = build_critic(EVERYTHING, tiny)(torch.rand(5, tiny.n_cells), particles(5))["classes"]
    sigmoid = 1 / (1 + np.exp(-scores[:, 1].detach().double().numpy()))
    np.testing.assert_allclose(scores.softmax(1)[:, 1].detach().numpy(), sigmoid, rtol=1e-5)


# --- published forms ---


def _parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _stream(latent: int, rows: int, columns: int) -> int:
    """Weights of one stream, counted by hand."""
    dense = (latent + 1) * (rows + 2) * (columns + 2) * 36
    shared = 2 * 2 * 36 * 16 + 16 + 2 * 16
    local = (rows + 1) * (columns + 1) * (2 * 2 * 16 * 6 + 6)
    return dense + shared + local + rows * columns * 2 * 2 * 6


@pytest.mark.parametrize(("name", "layers", "cells", "well"), [("5", 5, 12, False), ("15", 15, 10, True)])
def test_desy_forms_have_equal_layers(name: str, layers: int, cells: int, well: bool) -> None:
    recipe = load_recipe(f"calogan-desy-{name}")
    detector = load_detector(recipe.usual_detector)
    assert [layer.shape for layer in detector.layers] == [(cells, cells)] * layers
    assert recipe.model == CaloganSettings(energy_well=well)
    assert recipe.objective == AdversarialSettings()
    settings = recipe.model.model_copy(update={"latent": 16})
    generator, critic = build_generator(settings, detector), build_critic(settings, detector)
    painted = (layers - 1) * cells * cells * (3 * 3 * 2 * 2 + 2)
    assert _parameters(generator) == layers * _stream(16, cells, cells) + painted
    assert len(critic.layers) == layers
    assert (critic.well is not None) == well


def test_layers_of_one_grid_are_carried_over_as_they_are() -> None:
    detector = load_detector("ild-5")
    generator = build_generator(CaloganSettings(latent=4), detector).eval()
    with torch.no_grad():
        for blend in generator.in_painting:
            blend.local.bias[..., 1] = 40  # take all from the layer before
        cells = generator(generator.sample_noise(3), torch.full((3, 1), 5e4))
    first, *others = detector.split(cells)
    for layer in others:
        torch.testing.assert_close(layer, first)


def test_the_acgan_has_the_published_losses() -> None:
    recipe = load_recipe("calogan-acgan")
    plain = load_recipe("calogan")
    assert recipe.model.particles == (POSITRON, PHOTON, PION)
    assert (recipe.objective.class_weight, recipe.objective.class_flips) == (0.2, 0.3)
    assert recipe.objective.model_copy(update={"class_flips": 0.0}) == plain.objective
    assert recipe.schedule == plain.schedule


# --- from showers to a bundle ---


def showers(n: int, pdg: int, seed: int) -> Showers:
    """Showers that are none; those of pions leave most of their energy in the second layer."""
    rng = np.random.default_rng(seed)
    detector = Detector.from_yaml(TINY)
    energy = rng.uniform(1e3, 1e5, n)
    cells = rng.exponential(size=(n, detector.n_cells))
    cells[:, 12:] *= 8 if pdg == PION else 0.2
    cells *= (energy / cells.sum(1))[:, None]
    places = {name: rng.uniform(-5, 5, n) for name in ("x", "y")}
    incident = Incident.of(energy, pdg=pdg, theta=rng.uniform(0, 0.5, n), phi=rng.uniform(-3, 3, n), **places)
    return Showers(detector, incident, cells.astype(np.float32))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("files")
    (folder / "tiny.yaml").write_text(TINY)
    made = {
        name: showers(60, pdg, seed).save(folder / f"{name}.h5")
        for seed, (name, pdg) in enumerate({"positrons": POSITRON, "pions": PION, "photons": PHOTON}.items())
    }
    return SimpleNamespace(detector=folder / "tiny.yaml", **made)


def _recipe(files: SimpleNamespace, *overrides: str) -> Recipe:
    settings = ("model.latent=4", "schedule.batch=14", "schedule.epochs=2", "schedule.precision=fp32")
    wanted = ("model.particles=[-11, 211]", "model.given=[theta, phi, x, y]")
    return load_recipe("calogan-acgan", [f"detector={files.detector}", *settings, *wanted, *overrides])


@pytest.fixture(scope="module")
def sources(files: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sources")
    run = train(_recipe(files), [files.positrons, files.pions], folder / "run")
    losses = run.metrics()[0]
    assert {"critic_real_classes", "critic_fake_classes", "generator_classes"} <= losses.keys()
    return {"run": run.path, "bundle": export(run.path, folder / "bundle").path}


@pytest.mark.parametrize(
    ("names", "overrides"),
    [
        (("positrons", "photons"), ()),
        (("positrons", "pions", "photons"), ()),
        (("positrons",), ()),
        (("photons",), ("model.particles=[211]",)),
    ],
)
def test_other_particles_than_the_recipe_names_are_refused(
    files: SimpleNamespace, tmp_path: Path, names: tuple[str, ...], overrides: tuple[str, ...]
) -> None:
    with pytest.raises(RecipeError, match="other particles") as caught:
        train(_recipe(files, *overrides), [getattr(files, name) for name in names], tmp_path / "run")
    assert "model.particles=[" in str(caught.value.details["cure"])


def test_parity_of_the_bundle(sources: dict[str, Path]) -> None:
    engine = Engine(sources["bundle"], threads=1)
    assert engine.conditions == ("energy", "theta", "phi", "x", "y", "pdg")
    assert set(engine.valid.particles) == {POSITRON, PION}
    manifest = engine.bundle.manifest
    assert (manifest.licence, manifest.report) == ("not stated", "not made")
    assert manifest.inputs[1].units == ("MeV", "rad", "rad", "mm", "mm", "1")
    assert manifest.graphs["fp32"].parity.max_relative < 1e-5


def test_the_bundle_says_how_long_it_was_trained(sources: dict[str, Path]) -> None:
    steps = Engine(sources["bundle"], threads=1).bundle.manifest.provenance["training_steps"]
    # 70 % of 120 showers in batches of 14, twice.
    assert steps == 2 * (84 // 14)


@pytest.mark.parametrize("kind", ["run", "bundle"])
def test_particle_and_place_can_be_asked_for(kind: str, sources: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "made.h5"
    asked = ["--particle", "pi+", "--theta", "0:20deg", "--x", "1:2mm", "--energy", "50GeV", "--count", "9"]
    result = CliRunner().invoke(app, ["generate", str(sources[kind]), *asked, "--out", str(out)])
    assert result.exit_code == 0, result.output
    incident = Showers.load(out).incident
    assert set(incident.pdg.tolist()) == {PION}
    assert 0 <= incident.theta.min() < incident.theta.max() <= np.deg2rad(20) + 1e-6
    assert 1 <= incident.x.min() < incident.x.max() <= 2
    assert np.ptp(incident.phi) > 1, "what is not asked for fills its trained range"


def test_run_and_bundle_make_the_same_showers(sources: dict[str, Path], tmp_path: Path) -> None:
    for particle in ("e+", PION):
        run, bundle = (
            Showers.load(
                generate(
                    source,
                    energy="1:100GeV",
                    particle=particle,
                    count=20,
                    out=tmp_path / f"{kind}{particle}.h5",
                )
            )
            for kind, source in sources.items()
        )
        np.testing.assert_allclose(bundle.cells, run.cells, rtol=1e-4, atol=1e-3)
    first, second = (Showers.load(tmp_path / name).cells for name in ("rune+.h5", f"run{PION}.h5"))
    assert not np.allclose(first, second), "the particle makes a difference"


@pytest.mark.parametrize(
    ("asked", "error", "problem"),
    [
        ({}, RangeError, "several particles: which"),
        ({"particle": "gamma"}, RangeError, "not trained"),
        ({"particle": "e+", "theta": "60deg"}, RangeError, "not trained"),
        ({"particle": "e+", "x": "-20:20mm"}, RangeError, "not trained"),
        ({"particle": "e*"}, CaloforgeError, "no such particle|not a particle|unknown"),
        ({"particle": "e+", "theta": "10mm"}, CaloforgeError, "not a unit"),
    ],
)
def test_what_was_not_trained_is_refused(
    asked: dict[str, Any], error: type[CaloforgeError], problem: str, sources: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(error, match=problem):
        generate(sources["bundle"], energy="50GeV", count=3, out=tmp_path / "no.h5", **asked)
    assert not list(tmp_path.iterdir())


def test_a_file_says_all_or_nothing(files: SimpleNamespace, sources: dict[str, Path], tmp_path: Path) -> None:
    make: Callable[..., Path] = generate
    with pytest.raises(CaloforgeError, match="not both") as caught:
        make(sources["run"], like=files.pions, particle="pi+", theta="0deg", out=tmp_path / "no.h5")
    assert caught.value.details["got"] == "--theta and --like"
    with pytest.raises(CaloforgeError, match="not both"):
        make(sources["run"], like=files.pions, particle="pi+", out=tmp_path / "no.h5")
    whole = {"like": files.pions, "outside": "warn"}  # a file holds more than the part that trains
    with pytest.warns(RuntimeWarning, match="outside"):
        made = Showers.load(make(sources["run"], **whole, out=tmp_path / "like.h5"))
    assert set(made.incident.pdg.tolist()) == {PION}
