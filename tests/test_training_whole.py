"""Runs are read whole: whatever was changed in one of their files is noticed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from caloforge.errors import RunError
from caloforge.training import Run
from caloforge.training.seal import read_sealed, sealed_json, sealed_yaml
from caloforge.training.warm import warm_start
from caloforge.training.weights import read_weights, save_weights
from deploy_toys import make_run

TEXTS = "recipe.yaml", "detector.yaml", "data.json", "environment.json"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("whole") / "run")


def flipped(file: Path, bit: int) -> None:
    content = bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)


def test_any_bit_of_weights_counts(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    save_weights({"a": torch.arange(3.0), "b": torch.tensor(1)}, {"epoch": 3}, file)
    whole = file.read_bytes()
    tensors, state = read_weights(file)
    assert state == {"epoch": 3}
    assert tensors["a"].tolist() == [0, 1, 2]
    assert load_file(file).keys() == tensors.keys(), "any reader of safetensors reads it"
    for bit in range(0, 8 * len(whole), 7):
        flipped(file, bit)
        with pytest.raises(RunError):
            read_weights(file)
        file.write_bytes(whole)
    for size in range(0, len(whole), 11):
        file.write_bytes(whole[:size])
        with pytest.raises(RunError):
            read_weights(file)


def test_the_same_weights_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        tensors = {key: torch.arange(5) for key in "abcdefgh"}
        save_weights(tensors, {"epoch": 3, "of": {"detector": "x"}}, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("name", [*TEXTS, "weights.safetensors"])
def test_a_flipped_bit_in_a_run_is_noticed(run: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(run, tmp_path / "run")
    file = tmp_path / "run" / name
    whole = file.read_bytes()
    for bit in np.random.default_rng(1).integers(0, 8 * len(whole), 40):
        flipped(file, int(bit))
        with pytest.raises(RunError):
            read(tmp_path / "run")
        file.write_bytes(whole)
    read(tmp_path / "run")


def read(folder: Path) -> None:
    opened = Run.open(folder)
    opened.generator()
    _ = opened.provenance


def test_files_without_a_checksum_are_refused(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    file = tmp_path / "run" / "weights.safetensors"
    save_file(load_file(file), file)
    with pytest.raises(RunError, match="no checksum") as caught:
        Run.open(tmp_path / "run").generator()
    assert "--init" in str(caught.value)
    generator = Run.open(run).generator()
    (story,) = warm_start([file], {"generator": generator})  # but as weights of somebody else they will do
    assert story["networks"] == ["generator"]


@pytest.mark.parametrize("what", ["detector", "data", "model"])
def test_files_of_another_run_are_refused(run: Path, tmp_path: Path, what: str) -> None:
    """Each of them whole, but not what these weights were trained with."""
    shutil.copytree(run, tmp_path / "run")
    detector, data, recipe = (
        tmp_path / "run" / name for name in ("detector.yaml", "data.json", "recipe.yaml")
    )
    if what == "detector":
        text = detector.read_text().replace("thickness: 2 mm", "thickness: 3 mm")
        detector.write_text(sealed_yaml(text.partition("# checksum")[0]))
    elif what == "data":
        facts = Run.open(run).data
        data.write_text(sealed_json(facts | {"energy": [1e3, 1e6]}))
    else:
        settings = Run.open(run).recipe
        other = settings.model.model_copy(update={"energy_well": False})
        recipe.write_text(sealed_yaml(settings.model_copy(update={"model": other}).to_yaml()))
    with pytest.raises(RunError, match="not trained with the files beside them") as caught:
        Run.open(tmp_path / "run").generator()
    assert what in str(caught.value)


def test_missing_weights_are_not_replaced_by_the_checkpoint(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    kept = tmp_path / "run" / "weights.safetensors"
    (tmp_path / "run" / "checkpoint").mkdir()
    kept.rename(tmp_path / "run" / "checkpoint" / "state.safetensors")
    Run.open(tmp_path / "run").generator()  # none were kept yet
    with (tmp_path / "run" / "metrics.jsonl").open("a") as diary:
        diary.write(
            '{"kind": "epoch", "steps": 7, "epoch": 1, "kept": true, "geant4": {}, "generated": {}}\n'
        )
    with pytest.raises(RunError, match="missing"):
        Run.open(tmp_path / "run").generator()


@pytest.mark.parametrize("sealed", [sealed_yaml, sealed_json])
def test_words_in_a_file_are_not_taken_for_its_checksum(tmp_path: Path, sealed: Callable[..., str]) -> None:
    words = f"checksum: {'a' * 64}"
    file = tmp_path / "file"
    file.write_text(sealed({"about": words}) if sealed is sealed_json else sealed(f"about: '{words}'"))
    assert words in read_sealed(file).decode()
    file.write_text(file.read_text().replace("aaaa", "aaab", 1))
    with pytest.raises(RunError, match="changed"):
        read_sealed(file)
