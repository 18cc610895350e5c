"""What a training reads: many files as one, the same batches however they come, mirrors, bounded memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from caloforge.detector import Detector, load_detector
from caloforge.errors import RecipeError, ShowersError
from caloforge.showers import Incident, Showers, shower_files
from caloforge.showers.files import ShowerFiles
from caloforge.showers.order import Order
from caloforge.training import Recipe, load_recipe
from caloforge.training.batches import TrainingData
from tiny_toys import planar

TINY = planar((4, 4, 10), (3, 3, 20))
CPU = torch.device("cpu")
Batches = list[tuple[torch.Tensor, torch.Tensor]]


def showers(n: int, first: int = 0, text: str = TINY, **columns: object) -> Showers:
    """Showers whose energy, and the sum of whose cells, is their number."""
    detector = Detector.from_yaml(text)
    number = np.arange(first + 1, first + n + 1, dtype=np.float32)
    cells = np.random.default_rng(first).dirichlet(np.ones(detector.n_cells), n) * number[:, None]
    return Showers(detector, Incident.of(number, -11, **columns), cells.astype(np.float32))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("many")
    sizes = (1200, 3, 700, 90)
    return [showers(n, 10_000 * i).save(folder / f"{i}.h5") for i, n in enumerate(sizes)]


def recipe(*settings: str) -> Recipe:
    return load_recipe("calogan", ["schedule.batch=48", "schedule.seed=3", *settings])


def opened(paths: list[Path], *settings: str, rank: int = 0, size: int = 1, **how: object) -> TrainingData:
    conditions = how.get("conditions", ("energy",))
    detector = Detector.from_yaml(str(how.get("text", TINY)))
    return TrainingData(paths, recipe(*settings), detector, conditions, CPU, rank, size)


def epoch_of(paths: list[Path], *settings: str, at: tuple[int, int] = (0, 0), **how: object) -> Batches:
    data = opened(paths, *settings, **how)
    try:
        return list(data.epoch(*at))
    finally:
        data.close()


def same(one: Batches, other: Batches) -> bool:
    pairs = zip(one, other, strict=True)
    return all(torch.equal(a, b) for left, right in pairs for a, b in zip(left, right, strict=True))


STREAMED = "schedule.memory_mb=0"


# --- the order ---

ORDERS = [(64, [(0, 70)]), (16, [(0, 9_000), (5, 9), (100, 12_000)]), (96, [(0, 17_000)]), (7, [(3, 900)])]


def rows(order: Order, epoch: int, part: tuple[int, int] = (0, 1)) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for number in range(order.rounds):
        pieces, mixed = order.round(epoch, number, part)
        read = [(piece.file, row) for piece in pieces for row in range(piece.start, piece.stop)]
        found += [read[i] for i in mixed]
    return found


@pytest.mark.parametrize(("batch", "spans"), ORDERS)
def test_an_epoch_shows_every_shower_at_most_once(batch: int, spans: list[tuple[int, int]]) -> None:
    order = Order(spans, batch, 1, 504)
    everything = {(file, row) for file, span in enumerate(spans) for row in range(*span)}
    first, second = rows(order, 0), rows(order, 1)
    assert len(first) == len(set(first)) == order.steps * batch == len(everything) // batch * batch
    assert set(first) <= everything
    assert first != second
    left = [everything - set(rows(order, epoch)) for epoch in range(3)]
    assert len({frozenset(rest) for rest in left}) > 1 or not left[0], "the same are left over each time"


@pytest.mark.parametrize("size", [2, 3, 4, 32])
def test_slices_of_all_ranks_are_the_batch_of_one(size: int) -> None:
    order = Order([(0, 12_000), (0, 5_000)], 96, 1, 504)
    whole = np.array(rows(order, 4)).reshape(-1, 96, 2)
    parts = [np.array(rows(order, 4, (rank, size))).reshape(len(whole), -1, 2) for rank in range(size)]
    assert np.array_equal(np.concatenate(parts, axis=1), whole)


def test_a_rank_reads_little_beyond_its_slice() -> None:
    order = Order([(0, 100_000)], 256, 1, 504)
    read = [sum(p.stop - p.start for p in order.round(0, 2, (rank, 8)).pieces) for rank in range(8)]
    assert set(read) == {order.round_steps * 256 // 8}


def test_a_batch_comes_from_many_places() -> None:
    order = Order([(0, 100_000)], 128, 1, 504)
    batch = np.array(rows(order, 0)).reshape(-1, 128, 2)[:, :, 1]
    assert np.ptp(batch, axis=1).min() > 50_000
    assert batch.mean(axis=1).std() < 3 * 100_000 / np.sqrt(12 * 16)
    assert all(len(np.unique(places // 1000)) > 12 for places in batch)


def test_showers_of_many_cells_come_in_smaller_rounds() -> None:
    assert Order([(0, 100_000)], 64, 1, 65_025).round_steps * 64 * 65_025 <= 1 << 26


# --- the same batches, however they come ---


def test_every_shower_of_all_files(files: list[Path]) -> None:
    found = epoch_of(files)
    numbers = torch.cat([incident[:, 0] for _, incident in found])
    expected = {10_000 * i + k + 1 for i, n in enumerate((1200, 3, 700, 90)) for k in range(round(0.7 * n))}
    assert len(found) == len(expected) // 48
    assert len(numbers.unique()) == len(numbers)
    assert {int(number) for number in numbers} <= expected
    for cells, incident in found:
        assert torch.allclose(cells.sum(1), incident[:, 0], rtol=1e-5)


def test_streamed_or_in_memory_is_the_same(files: list[Path]) -> None:
    kept = epoch_of(files, at=(1, 5))
    assert same(kept, epoch_of(files, STREAMED, at=(1, 5)))


def test_reading_ahead_resumes_exactly(files: list[Path]) -> None:
    data = opened(files, STREAMED)
    try:
        whole = [list(data.epoch(epoch)) for epoch in (0, 1)]
        assert data.waited > 0
        for epoch, step in ((1, 0), (0, 7), (1, 27), (1, 28)):
            assert same(list(data.epoch(epoch, step)), whole[epoch][step:])
        stopped = data.epoch(0)
        next(stopped)
        stopped.close()
        assert same(list(data.epoch(1)), whole[1])
    finally:
        data.close()


@pytest.mark.parametrize("size", [2, 4])
def test_ranks_share_the_batch_of_one(files: list[Path], size: int) -> None:
    whole = epoch_of(files, "data.mirror=true")
    parts = [epoch_of(files, "data.mirror=true", rank=rank, size=size) for rank in range(size)]
    joined = [tuple(torch.cat(part) for part in zip(*step, strict=True)) for step in zip(*parts, strict=True)]
    assert same(joined, whole)


def test_a_batch_that_cannot_be_shared(files: list[Path]) -> None:
    with pytest.raises(RecipeError, match="cannot share a batch") as error:
        opened(files, size=5)
    assert "multiple of 5" in str(error.value)


def test_more_files_than_may_be_open(files: list[Path]) -> None:
    few = ShowerFiles(files, at_once=2)
    process, names = psutil.Process(), {str(path) for path in files}
    assert few.lengths == [1200, 3, 700, 90]
    for number in (0, 1, 2, 3, 0, 2):
        assert len(few[number]) == few.lengths[number]
        assert 1 <= sum(file.path in names for file in process.open_files()) <= 2
    few.close()


def test_a_file_that_shrinks_is_noticed(tmp_path: Path) -> None:
    paths = [showers(60, i).save(tmp_path / f"{i}.h5") for i in range(2)]
    files = ShowerFiles(paths, at_once=1)
    paths[0].unlink()
    showers(10).save(paths[0])
    with pytest.raises(ShowersError, match="became shorter") as error:
        files[0]
    assert "0.h5" in str(error.value)
    files.close()


def test_a_killed_reader_is_an_error_not_a_hang(files: list[Path]) -> None:
    before = set(psutil.Process().children())  # another test may have left the reader of HDF5 files
    data = opened(files, STREAMED)
    try:
        next(data.epoch(0))
        (worker,) = set(psutil.Process().children()) - before
        worker.kill()
        with pytest.raises(ShowersError, match="has died"):
            list(chain.from_iterable(data.epoch(epoch) for epoch in range(1, 6)))  # some may be read already
    finally:
        data.close()


def test_damage_is_told_by_the_process_that_reads(tmp_path: Path) -> None:
    import h5py

    path = showers(200).save(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file["cells/energy"][77] = np.nan
    data = opened([path], STREAMED, "schedule.batch=16", "data.select=0")
    try:
        with pytest.raises(ShowersError, match="impossible energies") as error:
            list(data.epoch(0))
        assert "a.h5" in str(error.value)
    finally:
        data.close()


# --- the split ---


def test_whole_files_train_and_select(tmp_path: Path) -> None:
    paths = [showers(60, i).save(tmp_path / f"{i}.h5") for i in range(10)]
    data = opened(paths, "data.split=file", "data.train=0.8", "data.select=0.2")
    assert len(data) == 480
    assert data.selection is not None
    assert data.selection.incident.energy.tolist() == [*range(9, 69), *range(10, 70)]
    assert len(data.facts()["files"]) == 10
    data.close()


def test_values_that_are_few_are_remembered(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    there = {"phi": np.where(np.arange(60) % 2, 1.5, -1.5), "x": rng.integers(0, 9, 60), "theta": 0.25}
    paths = [
        showers(60, 100 * i, y=np.full(60, float(i)), **there).save(tmp_path / f"{i}.h5") for i in range(3)
    ]
    data = opened(paths)
    try:
        assert data.facts()["values"] == {"phi": [-1.5, 1.5], "y": [0, 1, 2]}
    finally:
        data.close()


@pytest.mark.parametrize(("number", "train", "select"), [(1, 0.9, 0.1), (3, 0.9, 0.1), (2, 0.1, 0.5)])
def test_too_few_files(tmp_path: Path, number: int, train: float, select: float) -> None:
    paths = [showers(60, i).save(tmp_path / f"{i}.h5") for i in range(number)]
    with pytest.raises(RecipeError, match="too few files") as error:
        opened(paths, "data.split=file", f"data.train={train}", f"data.select={select}")
    assert f"{number} files" in str(error.value)


def test_files_divided_by_what_they_hold(tmp_path: Path) -> None:
    paths = [showers(60, 1000 * i).save(tmp_path / f"{i}.h5") for i in range(4)]
    with pytest.raises(RecipeError, match="other energies"):
        opened(paths, "data.split=file", "data.train=0.5", "data.select=0.25")


def test_the_selection_comes_from_all_files(tmp_path: Path) -> None:
    """15 % of them are more than the 2,000 that compare epochs."""
    sizes = (9_000, 30, 5_250, 750)
    paths = [showers(n, 10_000 * i).save(tmp_path / f"{i}.h5") for i, n in enumerate(sizes)]
    data = opened(paths)
    assert data.selection is not None
    numbers = data.selection.incident.energy
    counts = [int(((numbers > 10_000 * i) & (numbers <= 10_000 * (i + 1))).sum()) for i in range(4)]
    assert sum(counts) == 2000
    assert np.allclose(counts, [1198, 4, 698, 100], atol=2)
    data.close()


# --- names ---


def test_files_by_folder_and_pattern(tmp_path: Path) -> None:
    for name in ("b.h5", "a.h5", "c.hdf5", "notes.txt", "d.h5.part"):
        (tmp_path / name).touch()
    names = [tmp_path / name for name in ("a.h5", "b.h5", "c.hdf5")]
    assert shower_files(tmp_path) == names
    assert shower_files(str(tmp_path / "*.h5")) == names[:2]
    assert shower_files([tmp_path / "c.hdf5", tmp_path]) == [names[2], names[0], names[1]]
    assert shower_files(tmp_path / "absent.h5") == [tmp_path / "absent.h5"]


def test_names_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(ShowersError, match="no shower files here"):
        shower_files(tmp_path)
    with pytest.raises(ShowersError, match="no file matches"):
        shower_files(tmp_path / "*.h5")


# --- mirror images ---


@pytest.fixture(scope="module")
def leaning(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Showers from all sides."""
    n, rng = 4000, np.random.default_rng(5)
    columns = {"theta": rng.uniform(0, 1, n), "phi": rng.uniform(-np.pi, np.pi, n)}
    place = {"x": rng.uniform(-5, 5, n), "y": rng.uniform(-5, 5, n)}
    return showers(n, **columns, **place).save(tmp_path_factory.mktemp("leaning") / "a.h5")


def images(cells: np.ndarray, detector: Detector, swap: bool, x: int, y: int) -> np.ndarray:
    """The same with numpy alone, layer by layer."""
    layers = detector.split(cells)
    layers = [np.swapaxes(layer, 1, 2) if swap else layer for layer in layers]
    layers = [np.flip(layer, 1) if x < 0 else layer for layer in layers]
    layers = [np.flip(layer, 2) if y < 0 else layer for layer in layers]
    return np.concatenate([layer.reshape(len(cells), -1) for layer in layers], axis=1)


def test_mirrored_as_numpy_does(leaning: Path) -> None:
    conditions = ("energy", "theta", "phi", "x", "y")
    plain = epoch_of([leaning], conditions=conditions)[0]
    cells, incident = epoch_of([leaning], "data.mirror=true", conditions=conditions)[0]
    seen = set()
    for i in range(len(cells)):
        energy, theta, phi, x, y = plain[1][i].double().tolist()
        for swap, sx, sy in [(s, x, y) for s in (False, True) for x in (1, -1) for y in (1, -1)]:
            image = images(plain[0][i : i + 1].numpy(), Detector.from_yaml(TINY), swap, sx, sy)[0]
            if np.array_equal(image, cells[i].numpy()):
                seen.add((swap, sx, sy))
                across = np.array([[x, y], [np.cos(phi), np.sin(phi)]])
                across = (across[:, ::-1] if swap else across) * (sx, sy)
                found = incident[i].double().tolist()
                assert found[:2] == [energy, theta]
                assert np.allclose(across[0], found[3:])
                assert np.allclose(across[1], [np.cos(found[2]), np.sin(found[2])], atol=1e-5)
                assert float(plain[1][:, 2].min()) - 0.1 <= found[2] <= np.pi + 0.1
                break
        else:
            raise AssertionError("no image of this shower")
    assert len(seen) == 8


def test_cells_and_their_positions_move_alike() -> None:
    from caloforge.training.symmetry import _ALL

    detector = load_detector("clic")
    for mirror in _ALL:
        moved = detector.positions.copy()
        moved[:, :2] = detector.positions[mirror.cells(detector), :2] @ mirror.matrix.T
        assert np.allclose(moved, detector.positions)


def test_mirrors_change_from_epoch_to_epoch_and_resume(leaning: Path) -> None:
    data = opened([leaning], "data.mirror=true")
    whole = list(data.epoch(1))
    assert same(list(data.epoch(1, 3)), whole[3:])
    assert not same(list(data.epoch(1)), epoch_of([leaning], at=(1, 0)))
    data.close()


def mirrors(path: Path, **how: object) -> list[str]:
    data = opened([path], "data.mirror=true", **how)
    data.close()
    names: list[str] = data.facts()["mirrors"]
    return names


LONG = planar((4, 4, 10), (3, 6, 20))
UPRIGHT = ["(x, y)", "(x, -y)", "(-x, y)", "(-x, -y)"]


def test_only_square_grids_exchange_x_and_y(tmp_path: Path) -> None:
    square = mirrors(showers(300).save(tmp_path / "a.h5"))
    assert square == [*UPRIGHT, "(y, x)", "(y, -x)", "(-y, x)", "(-y, -x)"]
    long = showers(300, text=LONG).save(tmp_path / "b.h5")
    assert mirrors(long, text=LONG) == UPRIGHT


def test_only_what_comes_as_often_is_shown(tmp_path: Path) -> None:
    up = showers(300, theta=0.3, phi=np.pi / 2).save(tmp_path / "a.h5")
    assert mirrors(up) == ["(x, y)", "(-x, y)"]
    both = np.pi / 2 * np.where(np.arange(3000) % 2, 1, -1)
    up_and_down = showers(3000, theta=0.3, phi=both).save(tmp_path / "b.h5")
    assert mirrors(up_and_down) == UPRIGHT
    corner = showers(300, x=3.0, y=-2.0).save(tmp_path / "c.h5")
    with pytest.raises(RecipeError, match="no mirror images") as error:
        mirrors(corner)
    assert "data.mirror=false" in str(error.value)


def test_polar_grids_have_no_mirror_images(tmp_path: Path) -> None:
    detector = load_detector("calochallenge-2")
    cells = np.ones((200, detector.n_cells), np.float32)
    path = Showers(detector, Incident.of(np.full(200, 1e4), 11), cells).save(tmp_path / "a.h5")
    with pytest.raises(RecipeError, match="no mirror images") as error:
        mirrors(path, text=detector.to_yaml())
    assert "polar" in str(error.value)


# --- memory ---

LIMITED = """
import resource, sys
limit = {limit} << 20
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
import torch
torch.set_num_threads(1)
from caloforge.showers import ShowerFile
from caloforge.training import load_recipe
from caloforge.training.batches import TrainingData
with ShowerFile({path!r}) as file:
    detector = file.detector
data = TrainingData([{path!r}], load_recipe("calogan", ["schedule.batch=64"]), detector, ("energy",),
                    torch.device("cpu"))
data.response(), data.facts()
model = torch.nn.Linear(detector.n_cells, 1)
optimiser, steps, seen = torch.optim.SGD(model.parameters(), lr=1e-9), 0, 0.0
for cells, incident in data.epoch(0):
    optimiser.zero_grad()
    (model(cells) - incident).square().mean().backward()
    optimiser.step()
    steps, seen = steps + 1, seen + float(incident.sum())
data.close()
print(steps, data.steps, seen)
"""


@pytest.mark.slow
def test_a_file_larger_than_the_memory_allowed(tmp_path: Path) -> None:
    """1.8 GB of sparse cells, 10 GB of dense ones, in processes of 1.5 GB each."""
    from caloforge.showers.sparse import Sparse
    from caloforge.showers.store import write_store

    detector, rng, n = load_detector("clic"), np.random.default_rng(0), 2000
    cells = rng.exponential(1, (n, detector.n_cells)) * (rng.random((n, detector.n_cells)) < 0.14)
    part = Sparse.of(Incident.of(rng.uniform(1e4, 1e5, n)), cells.astype(np.float32), None)
    path, times, limit = tmp_path / "large.h5", 80, 1500

    def again() -> Iterator[Sparse]:
        return (part for _ in range(times))

    write_store(path, detector, {}, (n * times, len(part.index) * times), again())
    assert path.stat().st_size > 1.1 * limit * 2**20
    script = LIMITED.format(path=str(path), limit=limit)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    path.unlink()
    assert done.returncode == 0, done.stderr[-2000:]
    steps, planned, seen = done.stdout.split()
    assert steps == planned == str(int(0.7 * n * times) // 64)
    assert float(seen) == pytest.approx(64 * int(steps) * part.incident.energy.mean(), rel=0.01)
