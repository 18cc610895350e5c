"""Cross-validation, stopping at an epoch, and what trainings of the same showers hand on to each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import test_training as this
from caloforge.detector import Detector
from caloforge.errors import QuantityError, RecipeError, ShowersError
from caloforge.showers import StreamingReader
from caloforge.training import load_recipe
from caloforge.training.batches import TrainingData
from caloforge.training.recipe import Recipe
from tiny_toys import TINY, tiny_showers, train


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_showers(200).save(tmp_path_factory.mktemp("data") / "s.h5")


def parts(data: list[Path], *settings: str) -> tuple[set[float], set[float]]:
    """Incident energies of the showers that train and that select."""
    recipe = load_recipe("calogan", [*settings, "schedule.batch=2"])
    batches = TrainingData(data, recipe, Detector.from_yaml(TINY), ("energy",), torch.device("cpu"))
    assert batches.selection is not None
    train = {float(e) for _, incident in batches.epoch(0) for e in incident[:, 0]}
    select = set(map(float, batches.selection.incident.energy))
    batches.close()
    return train, select


def test_folds_divide_what_trains_and_selects(data: Path) -> None:
    energies = tiny_showers(200).incident.energy.tolist()
    used = set(energies[:170])  # 70 % and 15 %: what tests is in no fold
    seen: list[float] = []
    for fold in range(5):
        train, select = parts([data], "data.folds=5", f"data.fold={fold}")
        assert select == set(energies[34 * fold : 34 * (fold + 1)])
        assert train == used - select
        seen += select
    assert sorted(seen) == sorted(used)


def test_folds_of_whole_files(tmp_path: Path) -> None:
    files = [tiny_showers(20, seed=seed).save(tmp_path / f"{seed}.h5") for seed in range(4)]
    each = [set(tiny_showers(20, seed=seed).incident.energy.tolist()) for seed in range(4)]
    for fold in range(3):
        train, select = parts(
            files,
            "data.split=file",
            "data.train=0.5",
            "data.select=0.25",
            "data.folds=3",
            f"data.fold={fold}",
        )
        assert select == each[fold]
        assert train == set().union(*(each[n] for n in range(3) if n != fold))


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        (["data.folds=3", "data.fold=3"], "no such fold"),
        (["data.folds=3", "data.split=file"], "too few files"),
        (["data.folds=0"], "impossible value"),
    ],
)
def test_impossible_folds(data: Path, settings: list[str], word: str) -> None:
    with pytest.raises(RecipeError, match=word):
        parts([data], *settings)


def test_a_reader_of_several_parts(data: Path) -> None:
    with StreamingReader(data, 3, select=((0.0, 0.1), (0.5, 0.6)), shuffle=False) as reader:
        expected = tiny_showers(200).incident.energy[[*range(20), *range(100, 120)]]
        assert np.array_equal(reader.incident().energy, expected)
        found = [e for showers in reader.epoch() for e in showers.incident.energy]
        assert np.array_equal(found, expected)
        rest = [e for showers in reader.epoch(step=8) for e in showers.incident.energy]
        assert np.array_equal(rest, expected[24:])
        assert {int(n) for n in reader.rows(0, 0)} <= set(range(40))
    for overlapping in (((0.0, 0.5), (0.4, 1.0)), ((0.5, 1.0), (0.0, 0.2)), ()):
        with pytest.raises((ShowersError, IndexError)):
            StreamingReader(data, 3, select=overlapping)


def recipe(folder: Path, *settings: str) -> Recipe:
    (folder / "tiny.yaml").write_text(TINY)
    return this.recipe(folder / "tiny.yaml", *settings)


def test_stopped_after_an_epoch_it_goes_on_as_if_it_had_not(tmp_path: Path, data: Path) -> None:
    chosen = recipe(tmp_path, "schedule.epochs=3", "schedule.rates=cosine", "schedule.keep=last")
    whole = train(chosen, data, tmp_path / "whole")
    part = train(chosen, data, tmp_path / "part", until=1)
    assert part.summary()["epochs"] == 1
    assert part.kept.is_file()
    rest = train(chosen, data, tmp_path / "part", until=9, resume=True)
    this.assert_same(whole.path, rest.path)
    with pytest.raises(QuantityError, match="out of range"):
        train(chosen, data, tmp_path / "none", until=0)


TUNED = ("model={kind: tuned, latent: 4, width: 8, refine: true}", "objective={kind: adversarial}")


def test_what_was_measured_is_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from caloforge.models.fitted.generator import FittedGenerator
    from caloforge.models.tuned.critic import TunedCritic

    data = tiny_showers(60).save(tmp_path / "s.h5")
    measured: list[str] = []
    for kind in (FittedGenerator, TunedCritic):

        def counted(self, *shown, of=kind, own=kind.adapt):
            measured.append(of.__name__)
            own(self, *shown)

        monkeypatch.setattr(kind, "adapt", counted)

    def learned(name: str, *settings: str, keep: bool = True) -> Path:
        chosen = recipe(tmp_path, "schedule.epochs=1", *TUNED, *settings)
        return train(chosen, data, tmp_path / name, measured=tmp_path / "measured" if keep else None).path

    first = learned("first")
    assert sorted(measured) == ["FittedGenerator", "TunedCritic"]
    measured.clear()
    this.assert_same(first, learned("again"))
    learned("wider", "model.width=16")  # another network beside the same fit
    assert measured == []
    this.assert_same(first, learned("alone", keep=False))
    measured.clear()
    learned("finer", "model.fit.knots=9")
    assert measured == ["FittedGenerator"]
    measured.clear()
    learned("fold", "data.folds=3")
    learned("batch", "schedule.batch=8")
    assert len(measured) == 4
    measured.clear()
    for file in (tmp_path / "measured").iterdir():
        file.write_bytes(file.read_bytes()[:-1])
    this.assert_same(first, learned("mended"))
    assert sorted(measured) == ["FittedGenerator", "TunedCritic"]


def test_the_fit_is_the_same_whatever_stands_beside_it(tmp_path: Path, data: Path) -> None:
    fits = []
    for width in (8, 16):
        chosen = recipe(tmp_path, "schedule.epochs=1", *TUNED, f"model.width={width}")
        generator = train(chosen, data, tmp_path / str(width)).generator()
        fits.append({name: value for name, value in generator.state_dict().items() if "fits" in name})
    same = [name for name, value in fits[0].items() if torch.equal(value, fits[1][name])]
    assert {name for name in fits[0] if "refine" not in name} <= set(same)
