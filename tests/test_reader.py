"""The streaming reader: every shower once, the same order for the same seed, constant memory."""

from __future__ import annotations

import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from caloforge.detector import Detector, load_detector
from caloforge.errors import ShowersError
from caloforge.showers import Incident, Showers, StreamingReader, convert


def numbered(n: int, first: int = 0, detector: Detector | None = None) -> Showers:
    """Showers whose energy and first cell say their number."""
    detector = detector or load_detector("calogan")
    numbers = np.arange(first, first + n, dtype=np.float32) + 1
    cells = np.zeros((n, detector.n_cells), np.float32)
    cells[:, 0] = numbers
    cells[:, 7] = 0.5
    return Showers(detector, Incident.of(numbers, 11, theta=numbers / 1e6), cells)


@pytest.fixture(scope="module")
def two_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("reader")
    return [numbered(6000).save(folder / "a.h5"), numbered(1003, 10_000).save(folder / "b.h5")]


def numbers(batches) -> list[int]:
    found = []
    for batch in batches:
        assert np.array_equal(batch.cells[:, 0], batch.incident.energy)
        assert (batch.cells[:, 7] == 0.5).all()
        assert batch.cells.shape[1] == 504
        found += batch.incident.energy.astype(int).tolist()
    return found


def test_every_shower_once(two_files: list[Path]) -> None:
    with StreamingReader(two_files, 64, seed=1, select=(0, 1)) as reader:
        found = numbers(reader.epoch())
        assert len(reader) == 7003
        assert reader.steps == 7003 // 64
    everything = {*range(1, 6001), *range(10_001, 11_004)}
    assert len(found) == len(set(found)) == 64 * reader.steps
    assert set(found) <= everything


def test_all_batches_are_full(two_files: list[Path]) -> None:
    with StreamingReader(two_files, 100, seed=1) as reader:
        sizes = [len(batch) for batch in reader.epoch(3)]
    assert sizes == [100] * reader.steps


def test_seed_and_epoch_make_the_order(two_files: list[Path]) -> None:
    def order(seed: int, epoch: int) -> list[int]:
        with StreamingReader(two_files, 50, seed=seed) as reader:
            return numbers(reader.epoch(epoch))

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


def test_shuffled_well(two_files: list[Path]) -> None:
    """Neighbours in the file are strangers in a batch, and a batch is a sample of the whole."""
    with StreamingReader(two_files[0], 128, seed=1, select=(0, 1)) as reader:
        found = np.array(numbers(reader.epoch()))
    assert (np.abs(np.diff(found)) == 1).mean() < 0.01
    means = found.reshape(-1, 128).mean(axis=1)
    assert abs(np.corrcoef(np.arange(len(means)), means)[0, 1]) < 0.5
    assert means.std() < 2.5 * 6000 / np.sqrt(12 * 128)


@pytest.mark.parametrize("step", [0, 1, 5, 63, 64, 65, 90])
def test_resumes_at_any_step(two_files: list[Path], step: int) -> None:
    with StreamingReader(two_files, 64, seed=9, select=(0, 1)) as reader:
        whole = list(reader.epoch(2))
        rest = list(reader.epoch(2, step))
    assert len(rest) == len(whole) - step
    assert all(a.cells.tobytes() == b.cells.tobytes() for a, b in zip(whole[step:], rest, strict=True))


def test_the_stream_goes_over_epochs(two_files: list[Path]) -> None:
    with StreamingReader(two_files, 500, seed=9) as reader:
        steps = reader.steps
        whole = list(islice(reader.stream(), 3 * steps))
        resumed = list(islice(reader.stream(1, steps - 2), 5))
    assert [(epoch, step) for epoch, step, _ in whole] == [(e, s) for e in range(3) for s in range(steps)]
    for (e1, s1, a), (e2, s2, b) in zip(whole[2 * steps - 2 :], resumed, strict=False):
        assert (e1, s1) == (e2, s2)
        assert a.cells.tobytes() == b.cells.tobytes()


def test_parts_of_the_split_share_nothing(two_files: list[Path]) -> None:
    parts = []
    for select in ((0.0, 0.7), (0.7, 0.85), (0.85, 1.0)):
        with StreamingReader(two_files, 10, select=select, shuffle=False) as reader:
            parts.append(numbers(reader.epoch()))
            assert np.array_equal(reader.incident().energy, np.array(parts[-1], np.float32))
    joined = [n for part in parts for n in part]
    assert sorted(joined) == [*range(1, 6001), *range(10_001, 11_004)]
    assert max(n for n in parts[0] if n < 10_000) == 4200


def test_file_order(two_files: list[Path]) -> None:
    with StreamingReader(two_files, 1000, select=(0, 1), shuffle=False) as reader:
        batches = list(reader.epoch())
        assert len(batches) == reader.steps == 8
    assert numbers(batches) == [*range(1, 6001), *range(10_001, 11_004)]
    assert len(batches[-1]) == 3


def test_a_batch_larger_than_the_buffer(two_files: list[Path]) -> None:
    with StreamingReader(two_files, 5000, seed=1, select=(0, 1)) as reader:
        (only,) = reader.epoch()
    assert len(set(numbers([only]))) == 5000


def test_different_detectors_are_refused(two_files: list[Path], tmp_path: Path) -> None:
    other = numbered(5, detector=load_detector("clic")).save(tmp_path / "c.h5")
    with pytest.raises(ShowersError, match="different detectors") as error:
        StreamingReader([*two_files, other], 2)
    assert "c.h5" in str(error.value)


def test_nothing_to_read(two_files: list[Path]) -> None:
    with pytest.raises(ShowersError, match="fewer showers than one batch"):
        StreamingReader(two_files, 10_000)
    for wrong in ({"paths": [], "batch": 1}, {"paths": two_files, "batch": 1, "select": (0.7, 0.7)}):
        with pytest.raises(ShowersError, match="nothing to read"):
            StreamingReader(**wrong)


def test_published_files_stream_as_they_are(published: Path, tmp_path: Path) -> None:
    ours = convert(published / "calogan" / "positrons.h5", tmp_path / "a.h5").path
    with StreamingReader([ours, published / "calogan" / "positrons.h5"], 256, seed=1) as reader:
        assert len(reader) == 7000
        first = next(reader.epoch())
    assert first.overflow is not None
    assert first.cells.shape == (256, 504)


MEMORY = """
import resource, sys
from caloforge.showers import {what}
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
{before}
start = peak()
{work}
print(peak() - start)
"""


def grown(**script: str) -> float:
    """MB by which a fresh process grew at most while it worked."""
    done = subprocess.run(
        [sys.executable, "-c", MEMORY.format(**script)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A file whose cells are 250 MB in memory."""
    from caloforge.showers import ShowerWriter

    path, n, detector = tmp_path_factory.mktemp("large") / "a.h5", 4_000, load_detector("clic")
    rng = np.random.default_rng(0)
    cells = rng.exponential(1, (500, detector.n_cells)) * (rng.random((500, detector.n_cells)) < 0.04)
    part = Showers(detector, Incident.of(rng.uniform(1e4, 1e5, 500)), cells.astype(np.float32))
    with ShowerWriter(path, detector, {}) as writer:
        for _ in range(0, n, 500):
            writer.append(part)
    return path, n


def test_reading_takes_constant_memory(large: tuple[Path, int]) -> None:
    path, n = large
    before = f"reader = StreamingReader({str(path)!r}, 64, seed=1, select=(0, 1)); next(reader.epoch())"
    work = f"assert sum(len(b) for b in reader.epoch(1)) == {n // 64 * 64}"
    assert grown(what="StreamingReader", before=before, work=work) < 60


def test_converting_takes_constant_memory(large: tuple[Path, int], tmp_path: Path) -> None:
    path, n = large
    before = "from caloforge.detector import load_detector; load_detector('clic')"
    there = f"convert({str(path)!r}, {str(tmp_path / 'a.lcd.h5')!r})"
    back = f"assert convert({str(tmp_path / 'a.lcd.h5')!r}, {str(tmp_path / 'b.h5')!r}).showers == {n}"
    assert grown(what="convert", before=before, work=f"{there}\n{back}") < 120


def test_inspecting_takes_constant_memory(large: tuple[Path, int]) -> None:
    path, n = large
    work = f"assert inspect({str(path)!r})['showers'] == {n}"
    assert grown(what="inspect", before="", work=work) < 100
