"""A bundle in a zip: opened where it is, written the same each time, and refused where it could do harm."""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from caloforge.deploy import Bundle, Engine, bench, check_bundle, generate, pack_bundle
from caloforge.deploy.bundle import is_bundle
from caloforge.errors import BundleError, OutputError
from caloforge.showers import Showers
from deploy_toys import make_bundle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "bundle")


@pytest.fixture
def packed(folder: Path) -> Path:
    return pack_bundle(folder, folder.with_suffix(".zip")).path


def test_a_zip_is_taken_wherever_a_folder_is(folder: Path, packed: Path, tmp_path: Path) -> None:
    assert is_bundle(packed)
    assert Bundle.open(packed).manifest == Bundle.open(folder).manifest
    assert Bundle.open(packed).graph() == (folder / "generator.onnx").read_bytes()
    made = [Engine(source, threads=1).generate([2e3, 5e4], seed=1).cells for source in (folder, packed)]
    np.testing.assert_array_equal(*made)
    generate(packed, out=tmp_path / "a.h5", energy="25GeV", count=2)
    assert len(Showers.load(tmp_path / "a.h5")) == 2
    assert bench(packed, batches=[1], seconds=0.01).name == "toy"
    assert check_bundle(packed).differences["fp32"] < 1e-6


def test_another_name_will_do(packed: Path) -> None:
    renamed = packed.rename(packed.with_name("toy.bundle"))
    assert is_bundle(renamed)
    assert Bundle.open(renamed).manifest.name == "toy"


def test_the_same_bundle_gives_the_same_bytes(folder: Path, packed: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        os.utime(file, (1e9, 1e9))
        file.chmod(0o600)
    (folder / "notes.txt").write_text("nothing of the bundle's")
    again = pack_bundle(folder, tmp_path / "again.zip").path
    once_more = pack_bundle(again, tmp_path / "once-more.zip").path
    assert packed.read_bytes() == again.read_bytes() == once_more.read_bytes()


def test_other_programs_read_it(folder: Path, packed: Path) -> None:
    with zipfile.ZipFile(packed) as archive:
        assert archive.testzip() is None
        for file in folder.iterdir():
            assert archive.read(file.name) == file.read_bytes()


def test_zips_of_other_programs_are_read(folder: Path, tmp_path: Path) -> None:
    _zip(tmp_path / "other.zip", _files(folder), zipfile.ZIP_DEFLATED)
    assert Bundle.open(tmp_path / "other.zip").manifest.name == "toy"


def test_what_is_there_stays(folder: Path, packed: Path) -> None:
    with pytest.raises(OutputError, match="exists"):
        pack_bundle(folder, packed)
    with pytest.raises(OutputError, match="is a zip"):
        pack_bundle(folder, folder.with_name("packed"))


def test_every_changed_byte_of_the_files_is_noticed(packed: Path) -> None:
    whole = packed.read_bytes()
    with zipfile.ZipFile(packed) as archive:
        starts = [
            (entry.header_offset + 30 + len(entry.filename), entry.file_size) for entry in archive.infolist()
        ]
    for start, size in starts:
        for at in {start, start + size // 2, start + size - 1}:
            packed.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            with pytest.raises(BundleError):
                Bundle.open(packed)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_cut_short(packed: Path, share: float) -> None:
    whole = packed.read_bytes()
    packed.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(BundleError, match="damaged, cut short, or no zip") as caught:
        Bundle.open(packed)
    assert "get the bundle again" in str(caught.value)


def _files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def _zip(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)


def _named(name: str) -> Callable[[Path, dict[str, bytes]], None]:
    return lambda path, files: _zip(path, files | {name: b"x"})


def _link(path: Path, files: dict[str, bytes]) -> None:
    entry = zipfile.ZipInfo("recipe.yaml")
    entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(entry if name == entry.filename else name, content)


def _twice(path: Path, files: dict[str, bytes]) -> None:
    _zip(path, files)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("recipe.yaml", "name: other")


def _zero(path: Path, files: dict[str, bytes]) -> None:
    """A name that programs in C end where Python goes on."""
    _zip(path, files | {"recipe.yaml?evil": b"x"})
    path.write_bytes(path.read_bytes().replace(b"yaml?evil", b"yaml\0evil"))


def _flagged(path: Path, files: dict[str, bytes]) -> None:
    """Say that all is encrypted: the flag is in the headers and in the directory at the end."""
    _zip(path, files)
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(mark)
        while at >= 0:
            content[at + offset] |= 1
            at = content.find(mark, at + 1)
    path.write_bytes(content)


def _bomb(path: Path, files: dict[str, bytes]) -> None:
    _zip(path, files | {"zeros.bin": bytes(200_000_000)}, zipfile.ZIP_DEFLATED)


def _understated(path: Path, files: dict[str, bytes]) -> None:
    """A file that is longer than the directory claims: no more than that is ever read."""
    _zip(path, files, zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    at = content.find(b"manifest.json", content.find(b"PK\x01\x02")) - 46
    struct.pack_into("<I", content, at + 24, 10)
    path.write_bytes(content)


HARM: dict[str, tuple[Callable[[Path, dict[str, bytes]], None], str]] = {
    "no zip": (lambda path, _: path.write_bytes(b"no zip at all") and None, "no zip at all"),
    "nothing in it": (lambda path, _: _zip(path, {}), "no manifest"),
    "no manifest": (lambda path, files: _zip(path, {"recipe.yaml": files["recipe.yaml"]}), "no manifest"),
    "no graph": (lambda path, files: _zip(path, files | {"generator.onnx": b""}), "wrong size"),
    "a file missing": (
        lambda path, files: _zip(path, {k: v for k, v in files.items() if k != "recipe.yaml"}),
        "missing",
    ),
    "a folder around it": (
        lambda path, files: _zip(path, {f"bundle/{k}": v for k, v in files.items()}),
        "pack its files anew",
    ),
    "out of the folder": (_named("../evil"), "no folders"),
    "absolute": (_named("/etc/evil"), "no folders"),
    "of Windows": (_named("..\\evil"), "no folders"),
    "a drive": (_named("C:evil"), "no folders"),
    "a name cut by a zero": (_zero, "no folders"),
    "a link": (_link, "a link"),
    "a name twice": (_twice, "a file twice"),
    "encrypted": (_flagged, "encrypted"),
    "a rare compression": (lambda path, files: _zip(path, files, zipfile.ZIP_LZMA), "rare compression"),
    "too many files": (lambda path, files: _zip(path, files | {f"f{i}": b"" for i in range(99)}), "too many"),
    "a bomb": (_bomb, "more than its size can hold"),
    "claims too little": (_understated, "bundle.zip"),
}


@pytest.mark.parametrize("name", HARM)
def test_harm_is_refused(folder: Path, name: str) -> None:
    make, words = HARM[name]
    path = folder.with_suffix(".zip")
    make(path, _files(folder))
    with pytest.raises(BundleError) as caught:
        Bundle.open(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_bomb_is_refused_before_it_grows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _bomb(folder.with_suffix(".zip"), _files(folder))

    def never(*_: object, **__: object) -> io.BytesIO:
        raise AssertionError("a file of the bomb was opened")

    monkeypatch.setattr(zipfile.ZipFile, "open", never)
    with pytest.raises(BundleError, match="more than its size can hold"):
        Bundle.open(folder.with_suffix(".zip"))
