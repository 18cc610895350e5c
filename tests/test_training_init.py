"""Warm starts: what a training may begin with, what it remembers of that, and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import h5py
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import test_training as this
from caloforge.detector import Detector
from caloforge.errors import RunError
from caloforge.models import build_critic, build_generator
from caloforge.models.settings import CaloganSettings
from caloforge.showers import Showers
from caloforge.training import Recipe, Run
from caloforge.training.warm import warm_start
from tiny_toys import TINY, tiny_showers, train


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("init")
    (folder / "tiny.yaml").write_text(TINY)
    tiny_showers().save(folder / "s.h5")
    train(recipe(folder), folder / "s.h5", folder / "first")
    return folder


def recipe(folder: Path, *overrides: str) -> Recipe:
    return this.recipe(folder / "tiny.yaml", "schedule.epochs=1", *overrides)


def networks(latent: int = 4) -> dict[str, nn.Module]:
    detector, settings = Detector.from_yaml(TINY), CaloganSettings(latent=latent)
    return {"generator": build_generator(settings, detector), "critic": build_critic(settings, detector)}


def holds(module: nn.Module, file: Path, prefix: str) -> bool:
    tensors = load_file(file)
    return all(torch.equal(tensors[f"{prefix}{name}"], value) for name, value in module.state_dict().items())


def test_a_run_gives_its_generator_and_its_critic(folder: Path) -> None:
    made, first = networks(), Run.open(folder / "first")
    (told,) = warm_start([first.path], made)
    assert holds(made["generator"], first.weights, "generator.")
    assert holds(made["critic"], first.checkpoint, "critic.")
    assert told["networks"] == ["generator", "critic"]
    assert told["trained_on"] == first.incident_range
    assert told["sha256"] == hashlib.sha256(first.weights.read_bytes()).hexdigest()


def test_a_run_without_its_checkpoint_gives_its_generator(folder: Path, tmp_path: Path) -> None:
    for file in (folder / "first").iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    made, fresh = networks(), networks()
    before = {name: value.clone() for name, value in made["critic"].state_dict().items()}
    (told,) = warm_start([tmp_path], made)
    assert told["networks"] == ["generator"]
    assert holds(made["generator"], tmp_path / "weights.safetensors", "generator.")
    assert all(torch.equal(before[name], value) for name, value in made["critic"].state_dict().items())
    assert before.keys() == fresh["critic"].state_dict().keys()


@pytest.mark.parametrize("name", ["generator", "critic"])
def test_a_file_of_one_network(folder: Path, tmp_path: Path, name: str) -> None:
    """With its name in front of each tensor's, or without; several files, later ones win."""
    source, made = networks(), networks()
    save_file(
        {f"{name}.{key}": value for key, value in source[name].state_dict().items()}, tmp_path / "named"
    )
    save_file(source[name].state_dict(), tmp_path / "bare")
    for file in ("named", "bare"):
        told = warm_start([folder / "first", tmp_path / file], made)
        assert told[1]["networks"] == [name]
        assert holds(made[name], tmp_path / "bare", "")
        made = networks()


def test_a_training_goes_on_at_other_energies(folder: Path, tmp_path: Path) -> None:
    real = tiny_showers(seed=3)
    higher = type(real.incident).of(real.incident.energy * 3, pdg=-11)
    data = Showers(real.detector, higher, real.cells * 3).save(tmp_path / "high.h5")
    run = train(recipe(folder, "schedule.seed=8"), data, tmp_path / "run", init=folder / "first")
    (told,) = run.provenance["init"]
    assert told["path"] == str((folder / "first").resolve())
    assert told["trained_on"]["energy"][1] < run.incident_range["energy"][1]
    cold = train(recipe(folder, "schedule.seed=8"), data, tmp_path / "cold")
    assert cold.provenance["init"] == []
    name = "generator.streams.0.dense.weight"
    first, warm, other = (load_file(r.checkpoint)[name] for r in (Run.open(folder / "first"), run, cold))
    assert float((warm - first).abs().max()) < 8 * 4 * 2e-4 < float((other - first).abs().max())


def test_resuming_goes_on_from_the_checkpoint(folder: Path, tmp_path: Path) -> None:
    start = folder / "first"
    whole = train(recipe(folder, "schedule.epochs=2"), folder / "s.h5", tmp_path / "whole", init=[start])
    train(recipe(folder), folder / "s.h5", tmp_path / "run", init=[start])
    again = recipe(folder, "schedule.epochs=2")
    run = train(again, folder / "s.h5", tmp_path / "run", init=[start], resume=True)
    this.assert_same(whole.path, run.path)


def test_killed_before_its_first_checkpoint_it_begins_as_it_did(folder: Path, tmp_path: Path) -> None:
    run = train(recipe(folder), folder / "s.h5", tmp_path / "run", init=[folder / "first"])
    done = this.tensors(run.path)
    for name in ("checkpoint/state.safetensors", "weights.safetensors", "metrics.jsonl"):
        (run.path / name).unlink()
    again = this.tensors(train(recipe(folder), folder / "s.h5", run.path, resume=True).path)
    assert all(torch.equal(done[name], again[name]) for name in done)
    assert len(run.init) == 1


def test_killed_while_the_weights_are_read_it_begins_with_them(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = folder / "first"
    with monkeypatch.context() as patch:
        patch.setattr("caloforge.training.warm.warm_start", _killed)
        with pytest.raises(KeyboardInterrupt):
            train(recipe(folder), folder / "s.h5", tmp_path / "run", init=first)
    assert Run.open(tmp_path / "run").init == [{"path": str(first)}]
    resumed = train(recipe(folder), folder / "s.h5", tmp_path / "run", resume=True)
    train(recipe(folder), folder / "s.h5", tmp_path / "whole", init=first)
    this.assert_same(resumed.path, tmp_path / "whole")


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_weights_of_another_network(folder: Path) -> None:
    with pytest.raises(RunError, match="another network") as caught:
        warm_start([folder / "first"], networks(latent=5))
    told = str(caught.value.details["got"])
    assert "of another shape" in told
    assert "streams.0.dense.weight (" in told
    assert "generator" in str(caught.value.details["where"])


def test_names_that_do_not_fit_are_listed(tmp_path: Path) -> None:
    state = {f"generator.{key}": value for key, value in networks()["generator"].state_dict().items()}
    state["generator.foreign"] = torch.zeros(1)
    del state["generator.streams.1.dense.bias"]
    save_file(state, tmp_path / "file.safetensors")
    with pytest.raises(RunError, match="another network") as caught:
        warm_start([tmp_path / "file.safetensors"], networks())
    told = str(caught.value.details["got"])
    assert "missing: streams.1.dense.bias" in told
    assert "unknown: foreign" in told


@pytest.mark.parametrize("content", [None, b"", b"not weights at all"])
def test_files_that_hold_no_weights(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(RunError):
        warm_start([file], networks())


def test_keras_weights_of_another_network(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "params.hdf5", "w") as file:
        file.attrs["layer_names"] = [b"dense_1"]
        group = file.create_group("dense_1")
        group.attrs["weight_names"] = [b"dense_1/kernel:0", b"dense_1/bias:0"]
        group["dense_1/kernel:0"], group["dense_1/bias:0"] = torch.zeros(2, 3).numpy(), torch.zeros(3).numpy()
    with pytest.raises(RunError):
        warm_start([tmp_path / "params.hdf5"], networks())
