"""Small HDF5 files with huge claims, and files that end the process that looks at them: one message each."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest

from caloforge.detector import load_detector
from caloforge.errors import CaloforgeError, ShowersError
from caloforge.hdf5 import open_hdf5
from caloforge.showers import Incident, ShowerFile, Showers, inspect, open_showers

Make = Callable[[h5py.File, str, tuple[int, ...]], None]

# Rows of each format's datasets, as in the published files.
FORMATS: dict[str, dict[str, tuple[int, ...]]] = {
    "calogan": {"energy": (1,), "layer_0": (3, 96), "layer_1": (12, 12), "layer_2": (12, 6)},
    "lcd": {"ECAL": (25, 25, 25), "target": (2,)},
    "calochallenge": {"showers": (368,), "incident_energies": (1,)},
    "lagan": {"image": (25, 25), "jet_pt": (), "signal": ()},
}


def chunked(file: h5py.File, key: str, shape: tuple[int, ...]) -> None:
    """No chunk is written: HDF5 reads the fill value."""
    file.create_dataset(key, shape, "f4", chunks=(1, *shape[1:]), fillvalue=1.0)


def contiguous(file: h5py.File, key: str, shape: tuple[int, ...]) -> None:
    """Storage is allocated when something is written."""
    how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    how.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
    space = h5py.h5s.create_simple(shape)
    h5py.h5d.create(file.id, key.encode(), h5py.h5t.IEEE_F32LE, space, dcpl=how)


def large_chunks(file: h5py.File, key: str, shape: tuple[int, ...]) -> None:
    rows = (3 << 30) // (4 * int(np.prod(shape[1:])))
    file.create_dataset(key, shape, "f4", chunks=(rows, *shape[1:]), maxshape=(None, *shape[1:]))


def virtual(file: h5py.File, key: str, shape: tuple[int, ...]) -> None:
    layout = h5py.VirtualLayout(shape, "f4")
    layout[:4] = h5py.VirtualSource("part1.h5", key, (4, *shape[1:]))
    file.create_virtual_dataset(key, layout, fillvalue=1.0)


def external(file: h5py.File, key: str, shape: tuple[int, ...]) -> None:
    file.create_dataset(key, (10**6, *shape[1:]), "f4", external=[("part1.h5", 0, h5py.h5f.UNLIMITED)])


def packed_twice(file: h5py.File, key: str, shape: tuple[int, ...]) -> None:
    """Kilobytes that unpack to gigabytes."""
    rows = 1 << 16
    how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    how.set_chunk((rows, *shape[1:]))
    how.set_deflate(9)
    how.set_deflate(9)
    space = h5py.h5s.create_simple((400 * rows, *shape[1:]))
    made = h5py.h5d.create(file.id, key.encode(), h5py.h5t.IEEE_F32LE, space, dcpl=how)
    packer = zlib.compressobj(1)
    once = b"".join(packer.compress(bytes(1 << 20)) for _ in range(int(np.prod(shape[1:])) // 4 or 1))
    twice = zlib.compress(once + packer.flush(), 9)
    for chunk in range(400):
        made.write_direct_chunk((chunk * rows, *[0] * (len(shape) - 1)), twice)


def linked(file: h5py.File, key: str, shape: tuple[int, ...]) -> None:
    file[key] = h5py.ExternalLink("part1.h5", key)


def circle(file: h5py.File, key: str, shape: tuple[int, ...]) -> None:
    file[key] = h5py.SoftLink(f"/{key}")


def texts(file: h5py.File, key: str, shape: tuple[int, ...]) -> None:
    file.create_dataset(key, (10, *shape[1:]), h5py.string_dtype())


def records(file: h5py.File, key: str, shape: tuple[int, ...]) -> None:
    kind = np.dtype([("a", "f4", (1000,)), ("b", "i4")])
    file.create_dataset(key, shape, kind, chunks=(1, *shape[1:]))


CLAIMS: dict[str, tuple[Make, str]] = {
    "no chunk written": (chunked, "claims more than the file stores"),
    "nothing allocated": (contiguous, "claims more than the file stores"),
    "chunks of gigabytes": (large_chunks, "chunks of a dataset are too large"),
    "virtual": (virtual, "virtual dataset"),
    "external": (external, "lie in other files"),
    "link to another file": (linked, "leads to another file"),
    "links in a circle": (circle, "lead in a circle"),
    "texts": (texts, "wrong shape or type"),
    "records": (records, "wrong shape or type"),
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("claim", CLAIMS)
def test_claims_are_refused_before_reading(tmp_path: Path, form: str, claim: str) -> None:
    make, message = CLAIMS[claim]
    path = tmp_path / "huge.h5"
    with h5py.File(path, "w") as file:
        for key, row in FORMATS[form].items():
            make(file, key, (10**9, *row))
    assert path.stat().st_size < 10_000
    start = time.process_time()
    with pytest.raises(ShowersError, match=message) as error:
        inspect(path)
    assert "huge.h5" in str(error.value)
    assert ("part1.h5" in str(error.value)) == (claim in ("virtual", "external", "link to another file"))
    assert time.process_time() - start < 5


def test_packed_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.h5"
    with h5py.File(path, "w") as file:
        for key, row in FORMATS["calochallenge"].items():
            packed_twice(file, key, (0, *row))
    with pytest.raises(ShowersError, match="unpacks to more than is believed"):
        inspect(path)


def test_columns_that_say_little_are_read(tmp_path: Path) -> None:
    """A long column of one number is packed as tightly as a bomb, and is none."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("theta", data=np.zeros(200_000, "f4"), chunks=(200_000,), compression="gzip")
    with open_hdf5(tmp_path / "a.h5") as file:
        theta = file.dataset("theta", (200_000,))
        assert not theta[150_000:].any()
        assert len(theta[199_990:300_000]) == 10


def test_large_reads_are_cut_into_pieces_and_joined(tmp_path: Path) -> None:
    values = np.arange(20_000_000, dtype="f4").reshape(-1, 2)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=values, chunks=(1_000_000, 2))
    with open_hdf5(tmp_path / "a.h5") as file:
        assert np.array_equal(file.dataset("x")[:], values)


# --- our own store -----------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Path:
    detector = load_detector("calogan")
    rng = np.random.default_rng(1)
    cells = rng.exponential(1, (10, 504)) * (rng.random((10, 504)) < 0.2)
    incident = Incident.of(np.full(10, 1000.0), 11)
    return Showers(detector, incident, cells.astype("f4"), np.ones((10, 3), "f4")).save(tmp_path / "a.h5")


def _again(file: h5py.File, key: str, rows: int) -> None:
    """A dataset of this name with more rows, of which none is written."""
    row, kind = file[key].shape[1:], file[key].dtype
    del file[key]
    file.create_dataset(key, (rows, *row), kind, chunks=(1 << 14, *row))


def test_a_store_that_claims_rows(store: Path) -> None:
    with h5py.File(store, "r+") as file:
        for name in list(file["incident"]):
            _again(file, f"incident/{name}", 10**9)
        _again(file, "overflow", 10**9)
        _again(file, "cells/offset", 10**9 + 1)
    with pytest.raises(ShowersError, match="claims more than the file stores"):
        ShowerFile(store)


def test_a_store_that_claims_hits(store: Path) -> None:
    with h5py.File(store, "r+") as file:
        file["cells/offset"][5] = 10**15
    with pytest.raises(ShowersError, match="offsets point outside"), ShowerFile(store) as opened:
        opened.read(0, 10)
    with h5py.File(store, "r+") as file:
        _again(file, "cells/index", 10**11)
        _again(file, "cells/energy", 10**11)
    with pytest.raises(ShowersError, match="claims more than the file stores"):
        ShowerFile(store)


def test_hits_are_counted_before_they_are_read(store: Path) -> None:
    """One shower may not have more hits than there are cells, however many the file stores."""
    with h5py.File(store, "r+") as file:
        offset = file["cells/offset"][:]
        file["cells/offset"][1:-1] = offset[-1]
    with pytest.raises(ShowersError, match="hits in a shower"), ShowerFile(store) as opened:
        opened.read(0, 1)


def test_a_store_lies_in_one_file(store: Path) -> None:
    with h5py.File(store, "r+") as file:
        hits = len(file["cells/energy"])
        del file["cells/energy"]
        layout = h5py.VirtualLayout((hits,), "f4")
        layout[:] = h5py.VirtualSource("part1.h5", "x", (hits,))
        file["cells"].create_virtual_dataset("energy", layout)
    with pytest.raises(ShowersError, match="virtual") as error:
        ShowerFile(store)
    assert "part1.h5 (missing)" in str(error.value)


@pytest.mark.parametrize("key", ["provenance", "units"])
def test_changed_attributes_are_noticed(store: Path, key: str) -> None:
    with h5py.File(store, "r+") as file:
        file.attrs[key] = file.attrs[key] + b" "
    with pytest.raises(ShowersError, match="attributes do not match"):
        ShowerFile(store)


def test_energies_that_were_never_written_are_noticed(store: Path) -> None:
    """A block of zeros fits the checksum of zeros."""
    with h5py.File(store, "r+") as file:
        file["cells/energy"][100:200] = 0
    with pytest.raises(ShowersError, match="holds no energy"), ShowerFile(store) as opened:
        opened.read(0, 10)


def test_every_bit_of_a_store_counts(store: Path) -> None:
    """A flipped bit is an error with a message, or changes nothing that is read."""
    whole, right = store.read_bytes(), _content(store)
    rng = np.random.default_rng(9)
    for place in rng.integers(0, len(whole), 150):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        store.write_bytes(damaged)
        try:
            assert _content(store) == right, place
        except CaloforgeError:
            continue


def _content(path: Path) -> tuple[bytes, ...]:
    with ShowerFile(path) as file:
        showers = file.raw(0, len(file))
        assert showers.overflow is not None
        parts = [showers.cells, showers.overflow, *showers.incident.values()]
        texts = json.dumps(file.provenance), file.detector.digest
    return *(part.tobytes() for part in parts), *(text.encode() for text in texts)


# --- a process of its own ----------------------------------------------------------------------------


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "theirs.h5", "w", libver="earliest") as file:
        for key, row in FORMATS["calochallenge"].items():
            file[key] = np.ones((5, *row), "f4")
    return tmp_path / "theirs.h5"


def _readers() -> list[psutil.Process]:
    return [p for p in psutil.Process().children() if "caloforge.workers" in " ".join(p.cmdline())]


def test_the_death_of_the_reading_process_is_an_error_here(foreign: Path) -> None:
    with open_showers(foreign) as file:
        reader = _readers()[-1]
        reader.send_signal(signal.SIGSEGV)
        while reader.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        with pytest.raises(ShowersError, match="ended the process that looked at it") as error:
            file.raw(0, 5)
    assert error.value.details["got"] == "SIGSEGV"
    assert str(foreign) in str(error.value)
    assert inspect(foreign)["showers"] == 5  # another process reads on


def test_our_own_files_need_no_other_process(store: Path) -> None:
    code = (
        "import sys, psutil; from caloforge.showers import inspect\n"
        "assert inspect(sys.argv[1])['showers'] == 10; print(len(psutil.Process().children()))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(store)], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "0"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_has_a_reader_of_its_own(foreign: Path) -> None:
    with open_showers(foreign) as file:
        child = os.fork()
        if child == 0:
            good = file.raw(0, 5).cells.sum() == 5 * 368
            os._exit(0 if good else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert file.raw(0, 5).cells.sum() == 5 * 368


def test_files_that_change_are_noticed(foreign: Path, tmp_path: Path) -> None:
    with open_showers(foreign) as file:
        with h5py.File(tmp_path / "new.h5", "w", libver="earliest") as new:
            for key, row in FORMATS["calochallenge"].items():
                new[key] = np.zeros((5, *row), "f4")
        os.replace(tmp_path / "new.h5", foreign)  # noqa: PTH105
        assert file.raw(0, 5).cells.all()  # what is open stays what it was
    with open_showers(foreign) as file:
        assert not file.raw(0, 5).cells.any()


def test_a_file_can_be_written_after_it_was_read(foreign: Path) -> None:
    inspect(foreign)
    with h5py.File(foreign, "r+") as file:
        file["showers"][:] = 2
    assert inspect(foreign)["showers"] == 5


def test_a_damaged_file_is_not_kept_open(foreign: Path) -> None:
    """HDF5 takes a file that is still open for the same, whatever was written to it since."""
    whole = foreign.read_bytes()
    foreign.write_bytes(whole.replace(b"TREE", b"eert"))
    with pytest.raises(ShowersError, match="damaged HDF5 file"):
        open_showers(foreign)
    assert str(foreign) not in [file.path for file in _readers()[-1].open_files()]
    foreign.write_bytes(whole)
    assert inspect(foreign)["showers"] == 5


def test_a_filter_that_is_missing_is_named(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for key, row in FORMATS["calochallenge"].items():
            how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            how.set_chunk((4, *row))
            how.set_filter(32026, h5py.h5z.FLAG_OPTIONAL, (0,) * 7)
            space = h5py.h5s.create_simple((4, *row))
            made = h5py.h5d.create(file.id, key.encode(), h5py.h5t.IEEE_F32LE, space, dcpl=how)
            made.write_direct_chunk((0,) * (1 + len(row)), b"packed")
    with pytest.raises(ShowersError, match="filter that is not installed") as error:
        inspect(tmp_path / "a.h5")
    assert "32026 (blosc2)" in str(error.value)
    assert "hdf5plugin" in str(error.value)


# --- mutants -----------------------------------------------------------------------------------------

_READ = """
import resource, sys
from pathlib import Path
import numpy as np
from caloforge.errors import CaloforgeError
from caloforge.showers import open_showers
whole, path = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])
for seed in range(int(sys.argv[3])):
    rng = np.random.default_rng((16, seed))
    data = bytearray(whole)
    size, place = int(2 ** rng.integers(0, 12)), int(rng.integers(len(data)))
    match seed % 5:
        case 0: data[place] ^= 1 << int(rng.integers(8))
        case 1: del data[place:]
        case 2: data[place : place + size] = bytes(len(data[place : place + size]))
        case 3: data[place : place + 8] = b"\\xff" * len(data[place : place + 8])
        case 4: data[place : place + size] = data[:size][: len(data[place : place + size])]
    path.write_bytes(data)
    print(seed, flush=True)
    try:
        with open_showers(path) as file:
            file.raw(0, len(file))
    except CaloforgeError:
        pass
who = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
print("peak", max(resource.getrusage(one).ru_maxrss for one in who))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["store", "foreign"])
def test_mutants_end_nothing(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Nothing but one message: no signal, no traceback, no memory that was not needed."""
    whole = request.getfixturevalue(name)
    command = [sys.executable, "-c", _READ, str(whole), str(tmp_path / "mutant.h5"), "500"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    lines = found.stdout.splitlines()
    assert found.returncode == 0, (lines[-1:], found.stderr)
    assert int(lines[-1].split()[1]) * 1024 < 2e9


def test_a_reader_may_not_take_all_memory(foreign: Path) -> None:
    inspect(foreign)
    limit = (
        psutil.Process(_readers()[-1].pid).rlimit(resource.RLIMIT_AS) if sys.platform == "linux" else (0, 0)
    )
    assert limit[0] <= 2 << 30
