"""npz, Parquet, ROOT, EDM4hep, showerdata, Getting High: what holds for all of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from caloforge.cli.convert import convert as verb
from caloforge.errors import CaloforgeError, MissingExtraError, OutputError, ShowersError
from caloforge.showers import FORMATS, ShowerFile, Showers, convert, open_showers, shower_files
from format_toys import detector_of, make

ULP = 2**-23  # relative distance of float32 neighbours, at most
PACKAGES = {"parquet": "pyarrow", "root": "uproot", "par04-root": "uproot", "edm4hep": "uproot"}
# Detector, whether cells come back bit for bit, what the file says of its detector.
CASES = {
    "npz": ("calogan", True),
    "parquet": ("calogan", True),
    "root": ("still", True),
    "par04-root": ("calochallenge-2", False),
    "edm4hep": ("still", False),
    "showerdata": ("still", False),
    "getting-high": ("clic", True),
}


def written(form: str, folder: Path, n: int = 20) -> tuple[Showers, Path]:
    if form in PACKAGES:
        pytest.importorskip(PACKAGES[form])
    name, _ = CASES[form]
    showers = make(name, n)
    source = showers.save(folder / f"source-{form}.h5")
    done = convert(source, folder / f"there{FORMATS[form].suffix}")
    assert done.format == form
    return showers, done.path


def columns(showers: Showers, form: str) -> dict[str, np.ndarray]:
    return {name: values for name, values in showers.incident.items() if name in FORMATS[form].keeps}


@pytest.mark.parametrize("form", CASES)
def test_there_and_back(form: str, tmp_path: Path) -> None:
    showers, path = written(form, tmp_path)
    name, exact = CASES[form]
    with open_showers(path, detector_of(name)) as file:
        assert (file.format, len(file)) == (form, 20)
        back = file.read(0, 20)
        pieces = Showers.concat([file.read(start, start + 3) for start in (6, 0, 17, 3)])
        assert not [note for note in file.notes if "outside" in note]
    order = [*range(6, 9), *range(3), *range(17, 20), *range(3, 6)]
    assert np.array_equal(pieces.cells, back.cells[order])
    assert np.array_equal(pieces.incident.energy, back.incident.energy[order])
    if exact:
        assert np.array_equal(back.cells, showers.cells)
    assert np.all(np.abs(back.cells - showers.cells) <= ULP * showers.cells)
    again = columns(back, form)
    for key, values in columns(showers, form).items():
        assert np.allclose(again[key], values, rtol=3e-7, atol=2e-6), key


@pytest.mark.parametrize("form", CASES)
def test_all_of_a_file_is_read_and_nothing_else_named(form: str, tmp_path: Path) -> None:
    _, path = written(form, tmp_path)
    with open_showers(path, detector_of(CASES[form][0])) as file:
        left = [note for note in file.notes if note.startswith("left out")]
        assert left == (["left out: shower_ids"] if form == "showerdata" else [])


@pytest.mark.parametrize("form", CASES)
@pytest.mark.parametrize("share", [0.2, 0.6, 0.98])
def test_truncated_files_are_noticed(form: str, share: float, tmp_path: Path) -> None:
    _, path = written(form, tmp_path)
    cut = tmp_path / f"cut{FORMATS[form].suffix}"
    cut.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ShowersError) as error:
        convert(cut, tmp_path / "out.h5", detector=detector_of(CASES[form][0]))
    assert "cut" in str(error.value)
    assert "again" in str(error.value)
    assert not (tmp_path / "out.h5").exists()


@pytest.mark.parametrize("form", CASES)
def test_damage_is_an_error_and_never_anything_else(form: str, tmp_path: Path) -> None:
    _, path = written(form, tmp_path)
    rng, whole = np.random.default_rng(1), path.read_bytes()
    bad, refused = tmp_path / f"bad{FORMATS[form].suffix}", 0
    for _ in range(25):
        data = bytearray(whole)
        for place in rng.integers(0, len(data) - 8, 4):
            data[place : place + 8] = rng.bytes(8)
        bad.write_bytes(data)
        try:
            with open_showers(bad, detector_of(CASES[form][0])) as file:
                list(file.chunks())
        except CaloforgeError:
            refused += 1
    assert refused > 2


@pytest.mark.parametrize("form", CASES)
def test_an_existing_file_is_not_overwritten(form: str, tmp_path: Path) -> None:
    _, path = written(form, tmp_path)
    before = path.read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        convert(tmp_path / f"source-{form}.h5", path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("form", CASES)
def test_an_error_while_it_is_written_leaves_nothing_behind(form: str, tmp_path: Path) -> None:
    written(form, tmp_path)
    before = sorted(tmp_path.iterdir())
    source = make(CASES[form][0])

    def parts() -> Iterator[Showers]:
        yield source
        raise ShowersError("impossible")

    with pytest.raises(ShowersError, match="impossible"):
        FORMATS[form].write(tmp_path / "x", source.detector, parts())
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("form", ["parquet", "root"])
def test_tables_know_their_detector_provenance_and_overflow(form: str, tmp_path: Path) -> None:
    pytest.importorskip(PACKAGES[form])
    showers = make("still")
    overflow = np.random.default_rng(1).exponential(3, (20, 3)).astype(np.float32)
    source = Showers(showers.detector, showers.incident, showers.cells, overflow, {"seed": 7})
    path = convert(source.save(tmp_path / "a.h5"), tmp_path / f"b{FORMATS[form].suffix}").path
    with open_showers(path) as file:
        assert file.detector == showers.detector
        assert file.provenance["seed"] == 7
        back = file.read(0, 20)
    assert np.array_equal(back.overflow, overflow)
    with pytest.raises(ShowersError, match="different detectors"):
        open_showers(path, detector_of("calogan"))
    again = convert(path, tmp_path / "c.h5").path
    with ShowerFile(again) as file:
        assert [step["format"] for step in file.provenance["converted"]] == ["caloforge", form]
        assert np.array_equal(file.read(0, 20).overflow, overflow)


@pytest.mark.parametrize(("form", "package"), PACKAGES.items())
def test_a_missing_package_is_named(
    form: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, path = written(form, tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    extra = "parquet" if form == "parquet" else "root"
    with pytest.raises(MissingExtraError, match=package) as error:
        open_showers(path)
    assert f"caloforge[{extra}]" in str(error.value)
    with pytest.raises(MissingExtraError, match=package):
        convert(tmp_path / f"source-{form}.h5", tmp_path / f"x{FORMATS[form].suffix}")
    assert not list(tmp_path.glob("*x*"))


@pytest.mark.parametrize("form", CASES)
def test_content_tells_and_not_the_name(form: str, tmp_path: Path) -> None:
    _, path = written(form, tmp_path, 4)
    with open_showers(path.rename(tmp_path / "some.data"), detector_of(CASES[form][0])) as file:
        assert file.format == form


@pytest.mark.parametrize("data", [b"a,b\n1,2\n", b"\x93NUMPY", b"rootroot", b"PAR1", b"PK\x03\x04"])
def test_what_holds_no_showers_is_refused(data: bytes, tmp_path: Path) -> None:
    if data == b"PAR1":
        pytest.importorskip("pyarrow")
    (tmp_path / "x.h5").write_bytes(data)
    with pytest.raises(ShowersError) as error:
        open_showers(tmp_path / "x.h5")
    assert "x.h5" in str(error.value)


FITS = {("calochallenge", "npz"), *((form, form) for form in CASES)}


@pytest.mark.parametrize(("asked", "form"), sorted({(a, f) for a in FORMATS for f in CASES} - FITS))
def test_a_format_that_is_asked_for_wrongly_is_refused(asked: str, form: str, tmp_path: Path) -> None:
    _, path = written(form, tmp_path, 4)
    with pytest.raises(ShowersError) as error:
        open_showers(path, detector_of(CASES[form][0]), format=asked).close()
    assert path.name in str(error.value)


def test_folders_hold_files_of_every_kind(tmp_path: Path) -> None:
    names = ["a.h5", "b.hdf5", "c.npz", "d.parquet", "e.root"]
    for name in [*names, "f.txt"]:
        (tmp_path / name).touch()
    assert [path.name for path in shower_files(tmp_path)] == names


def test_the_command_names_all_formats_and_says_what_it_lost(tmp_path: Path) -> None:
    import typer

    app = typer.Typer()
    app.command()(verb)
    words = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "400"}).output
    assert [form for form in FORMATS if form not in words] == []
    source = make("still").save(tmp_path / "a.h5")
    done = CliRunner().invoke(app, [str(source), str(tmp_path / "b.showerdata.h5"), "--json"])
    assert "no place for: x, y" in json.loads(done.stdout)["notes"][0]
