"""`caloforge convert` and `caloforge inspect`, and the pictures."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from caloforge.cli.convert import convert
from caloforge.cli.inspect import inspect
from caloforge.detector import Detector, load_detector
from caloforge.errors import CaloforgeError, OutputError, ShowersError
from caloforge.showers import Incident, Showers, picture
from caloforge.showers import inspect as look
from caloforge.showers.survey import Survey

app = typer.Typer()
app.command()(convert)
app.command()(inspect)


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def make(detector: Detector, n: int = 12) -> Showers:
    """Showers that fall off from the middle."""
    rng = np.random.default_rng(1)
    x, y, z = detector.positions.T
    shape = np.exp(-np.hypot(x, y) / 30) * (z / detector.depth) ** 2 * np.exp(-6 * z / detector.depth)
    energy = rng.uniform(5e3, 5e4, n)
    cells = (
        energy[:, None]
        * shape
        / shape.sum()
        * rng.exponential(1, (n, len(x)))
        * (rng.random((n, len(x))) < 0.4)
    )
    return Showers(
        detector, Incident.of(energy, 22), cells.astype(np.float32), None, {"command": "made up", "seed": 1}
    )


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(load_detector("calogan")).save(tmp_path_factory.mktemp("cli") / "a.h5")


def test_inspect_tells_a_person(file: Path) -> None:
    out = run("inspect", file).output
    for words in (
        "12 showers of gamma in calogan",
        "3 layers, 504 cells",
        "GeV",
        "layer_1",
        "made up",
        "checksum",
    ):
        assert words in out, words


def test_what_is_unknown_is_not_told_to_a_person(file: Path, tmp_path: Path) -> None:
    showers = Showers.load(file)
    provenance = {**showers.provenance, "hadronic_physics": None, "a_key_of_18_letter": 7}
    out = run("inspect", replace(showers, provenance=provenance).save(tmp_path / "b.h5")).output
    assert "hadronic_physics" not in out
    assert "a_key_of_18_letter: 7" in out


@pytest.mark.parametrize("nameless", [".", "/", ""])
def test_paths_without_a_name_are_folders(file: Path, nameless: str) -> None:
    for words in (("inspect", nameless), ("convert", file, nameless), ("convert", nameless, file)):
        with pytest.raises(CaloforgeError, match="folder"):
            run(*words)


def test_inspect_tells_a_program(file: Path) -> None:
    found = json.loads(run("inspect", file, "--json").stdout)
    showers = Showers.load(file)
    assert found["showers"] == 12
    assert found["particles"] == {"gamma": 12}
    response = showers.cells.sum(axis=1, dtype=float) / showers.incident.energy
    assert found["response"][0]["mean"] == pytest.approx(response.mean(), rel=1e-6)
    assert found["response"][0]["spread"] == pytest.approx(response.std() / response.mean(), rel=1e-4)
    assert sum(row["showers"] for row in found["response"][1:]) == 12
    assert found["layers"][1]["mean"] == pytest.approx(showers.layers()[1].sum(axis=(1, 2)).mean(), rel=1e-5)
    assert found["occupancy"] == pytest.approx((showers.cells > 0).mean())
    assert found["hits_per_shower"] == pytest.approx((showers.cells > 0).sum(axis=1).mean())
    assert found["incident"]["energy"] == [showers.incident.energy.min(), showers.incident.energy.max()]
    assert found["provenance"]["seed"] == 1


def test_repeated_showers_are_named(file: Path, tmp_path: Path) -> None:
    """How often, and the first two, whatever the pieces; empty showers are all alike, and no repetition."""
    assert look(file)["repeated"] == {"showers": 0, "first": None}
    assert "repeated" not in run("inspect", file).output
    showers = Showers.load(file)
    showers.cells[[1, 2]] = 0
    again = showers[[0, 1, 2, 3, 4, 3, 5, 0, 3]]
    again.incident.energy[:] = np.arange(1, 10) * 1e3  # the cells decide
    path = again.save(tmp_path / "b.h5")
    assert look(path)["repeated"] == {"showers": 3, "first": [3, 5]}
    assert (
        "3 showers were there before, bit for bit: the first is number 5, the same as number 3"
        in " ".join(run("inspect", path).output.split())
    )
    sums = Survey(showers.detector)
    for start in (0, 4, 6):
        sums.add(again[start : {0: 4, 4: 6, 6: 9}[start]])
    assert sums.repeats.found() == (3, (3, 5))


def test_the_checksum_sees_every_change(file: Path, tmp_path: Path) -> None:
    showers = Showers.load(file)
    showers.cells[7, 200] += 0.001
    assert look(showers.save(tmp_path / "b.h5"))["checksum"] != look(file)["checksum"]
    again = Showers.load(file)
    assert look(again.save(tmp_path / "c.h5"))["checksum"] == look(file)["checksum"]
    assert look(again[::-1].save(tmp_path / "d.h5"))["checksum"] != look(file)["checksum"]


def test_convert_says_what_it_did(file: Path, tmp_path: Path) -> None:
    out = run("convert", file, tmp_path / "b.calogan.h5").output
    assert "12 showers of calogan, caloforge -> calogan" in out
    assert "no place for: pdg" in out
    done = json.loads(
        run("convert", tmp_path / "b.calogan.h5", tmp_path / "c.h5", "--particle", "gamma", "--json").stdout
    )
    assert (done["showers"], done["dropped"], done["format"]) == (12, 0, "caloforge")
    assert np.array_equal(Showers.load(tmp_path / "c.h5").cells, Showers.load(file).cells)


def test_help_has_an_example() -> None:
    for verb in ("convert", "inspect"):
        assert f"caloforge {verb}" in run(verb, "--help").output


@pytest.mark.parametrize("name", ["calogan", "clic", "calochallenge-1-photons", "calochallenge-2"])
def test_pictures_of_every_kind_of_detector(name: str, tmp_path: Path) -> None:
    from matplotlib.image import imread

    path = make(load_detector(name), 5).save(tmp_path / "a.h5")
    assert run("inspect", path, "--picture", tmp_path / "a.png").exit_code == 0
    image = imread(tmp_path / "a.png")
    height, width, _ = image.shape
    assert width >= 900
    assert height >= 700
    assert (image[..., :3].mean(axis=2) < 0.9).mean() > 0.02  # something is drawn


def test_one_layer_fills_its_picture(tmp_path: Path) -> None:
    """The average and one shower stand side by side: neither half of the upper part is empty."""
    from matplotlib.image import imread

    detector = load_detector("jet-image")
    cells = np.random.default_rng(1).exponential(100, (4, detector.n_cells)).astype(np.float32)
    showers = Showers(detector, Incident.of(np.full(4, 1e4), 11), cells)
    image = imread(picture(showers.save(tmp_path / "a.h5"), tmp_path / "a.png"))[..., :3].mean(axis=2)
    height, width = image.shape
    upper = image[height // 6 : height // 2]
    for half in (upper[:, : width // 2], upper[:, width // 2 :]):
        assert (half < 0.9).mean() > 0.4


def test_a_picture_of_one_empty_shower(tmp_path: Path) -> None:
    detector = load_detector("calogan")
    path = Showers(detector, Incident.of([1e3]), np.zeros((1, 504), np.float32)).save(tmp_path / "a.h5")
    assert picture(path, tmp_path / "a.svg").stat().st_size > 1000
    assert run("inspect", path).exit_code == 0


def test_what_is_no_regular_file_is_said_to_be_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.h5")
    with pytest.raises(ShowersError, match="not a regular file"):
        inspect(tmp_path / "pipe.h5")


def test_a_picture_that_cannot_be(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ShowersError, match="no such kind of picture"):
        picture(file, tmp_path / "a.nothing")
    with pytest.raises(OutputError, match="no such folder"):
        picture(file, tmp_path / "nowhere" / "a.png")
    with pytest.raises(ShowersError, match="no such shower"):
        picture(file, tmp_path / "a.png", shower=12)
