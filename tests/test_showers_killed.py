"""A production that is killed: what was written stays, can be read, and is resumed to the same file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fcntl")
from multiprocessing.context import ForkProcess

from caloforge.detector import load_detector
from caloforge.errors import OutputError, ShowersError
from caloforge.showers import Incident, ShowerFile, Showers, ShowerWriter

COUNT = 3000


def showers(start: int, stop: int) -> Showers:
    """Shower number i is the same whoever makes it."""
    numbers = np.arange(start, stop, dtype=np.float32)
    cells = np.zeros((stop - start, 504), np.float32)
    cells[:, ::5] = 1 + numbers[:, None] + np.arange(101, dtype=np.float32) / 128
    return Showers(load_detector("calogan"), Incident.of(1000 + numbers, theta=numbers / 1e4), cells)


def same(a: Showers, b: Showers) -> bool:
    return a.cells.tobytes() == b.cells.tobytes() and np.array_equal(a.incident.theta, b.incident.theta)


def write(path: Path, say: Connection) -> None:
    """What the writing process does until it is killed."""
    with ShowerWriter(path, load_detector("calogan"), {"seed": 1}, resume=True) as writer:
        while writer.done < COUNT:
            writer.append(showers(writer.done, min(writer.done + 7, COUNT)))
            say.send(writer.done)
        say.send("closing")
    say.send("closed")


def start(path: Path) -> tuple[ForkProcess, Connection]:
    here, there = Pipe(duplex=False)
    process = get_context("fork").Process(target=write, args=(path, there))
    process.start()
    there.close()
    return process, here


def finish(path: Path) -> None:
    process, _ = start(path)
    process.join()
    assert process.exitcode == 0


def said(listen: Connection) -> Iterator[int | str]:
    with suppress(EOFError):
        while True:
            yield listen.recv()


def kill_after(path: Path, words: int, pause: float) -> int:
    """Kill a writer some time after it spoke so many times; returns the last number that it said."""
    process, listen = start(path)
    heard = list(islice(said(listen), words))
    time.sleep(pause)
    process.kill()
    process.join()
    heard += said(listen)
    return max(word for word in heard if isinstance(word, int))


def test_killed_again_and_again(tmp_path: Path) -> None:
    path, part = tmp_path / "a.h5", tmp_path / "a.h5.part"
    rng = np.random.default_rng(5)
    promised = 0
    for _ in range(7):
        promised = kill_after(path, int(rng.integers(1, 25)), rng.uniform(0, 0.01))
        assert not path.exists()
        with ShowerFile(part) as file:
            assert len(file) >= promised
            assert same(file.read(0, len(file)), showers(0, len(file)))
    assert 0 < promised < COUNT
    finish(path)
    assert same(Showers.load(path), showers(0, COUNT))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.h5"]


def test_killed_while_closing(tmp_path: Path) -> None:
    """At every moment either the whole file is there or the journal that makes it."""
    for number, pause in enumerate(np.linspace(0, 0.12, 7)):
        path = tmp_path / f"{number}.h5"
        writer = ShowerWriter(path, load_detector("calogan"), {})
        writer.append(showers(0, COUNT - 1))
        writer.stop()
        process, listen = start(path)
        while listen.recv() != "closing":
            pass
        time.sleep(pause)
        process.kill()
        process.join()
        survivor = path if path.exists() else path.with_name(path.name + ".part")
        with ShowerFile(survivor) as file:
            assert same(file.read(0, COUNT), showers(0, COUNT))
        finish(path)
        assert same(Showers.load(path), showers(0, COUNT))
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{i}.h5" for i in range(7)]


def unfinished(path: Path, n: int = 50) -> Path:
    writer = ShowerWriter(path, load_detector("calogan"), {"seed": 1})
    for first in range(0, n, 10):
        writer.append(showers(first, first + 10))
    writer.stop()
    return path.with_name(path.name + ".part")


@pytest.mark.parametrize("cut", [1, 3, 17, 500, 1500])
def test_a_torn_record_is_dropped(tmp_path: Path, cut: int) -> None:
    part = unfinished(tmp_path / "a.h5")
    part.write_bytes(part.read_bytes()[:-cut])
    with ShowerFile(part) as file:
        assert len(file) == 40
        assert same(file.read(13, 37), showers(13, 37))
    with ShowerWriter(tmp_path / "a.h5", load_detector("calogan"), {}, resume=True) as writer:
        assert writer.done == 40
        writer.append(showers(40, 60))
    assert same(Showers.load(tmp_path / "a.h5"), showers(0, 60))


def test_a_last_record_of_zeros_is_dropped(tmp_path: Path) -> None:
    part = unfinished(tmp_path / "a.h5")
    whole = part.read_bytes()
    part.write_bytes(whole[:-300] + bytes(300))  # what a power cut may leave
    with ShowerFile(part) as file:
        assert len(file) == 40


def test_every_flipped_bit_is_noticed_or_harmless(tmp_path: Path) -> None:
    """Harmless: the end is left out, which is said, and whoever resumes makes it again."""
    part = unfinished(tmp_path / "a.h5", 30)
    whole = part.read_bytes()
    starts = [i for i in range(len(whole)) if whole.startswith(b"\xc5SHOWERS", i)]
    # All bits of magic, marks and headers, and some of everything else.
    places = {byte for start in (0, *starts) for byte in range(start, start + 40)}
    places |= set(np.random.default_rng(3).integers(0, len(whole), 200).tolist())
    for byte in sorted(place for place in places if place < len(whole)):
        damaged = bytearray(whole)
        damaged[byte] ^= 1 << byte % 8
        part.write_bytes(damaged)
        with suppress(ShowersError), ShowerFile(part) as file:
            found = file.read(0, len(file))
            assert same(found, showers(0, len(found)))
            assert len(found) == 20, byte
            assert "left out" in file.notes[0]
            assert byte >= starts[-1], "only the last record can look torn"


@pytest.mark.parametrize("record", [1, 2])
def test_a_damaged_header_before_a_whole_record_is_no_torn_end(tmp_path: Path, record: int) -> None:
    part = unfinished(tmp_path / "a.h5", 30)
    whole = part.read_bytes()
    start = [i for i in range(len(whole)) if whole.startswith(b"\xc5SHOWERS", i)][record]
    damaged = bytearray(whole)
    damaged[start + 9] ^= 2  # the length of the record
    part.write_bytes(damaged)
    for opened in (lambda: ShowerFile(part), lambda: resumed(tmp_path / "a.h5")):
        with pytest.raises(ShowersError, match="damaged journal") as caught:
            opened()
    assert part.read_bytes() == damaged, "nothing is cut off"
    if record > 1:
        assert f"truncate -s {start}" in str(caught.value)
        part.write_bytes(damaged[:start])
        with ShowerFile(part) as file:
            assert same(file.read(0, len(file)), showers(0, 10))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.h5.part"]


def resumed(path: Path) -> ShowerWriter:
    return ShowerWriter(path, load_detector("calogan"), {}, resume=True)


def test_several_last_records_of_zeros_are_dropped(tmp_path: Path) -> None:
    """A power cut may leave the length of what was written after the last sync, and zeros in it."""
    part = unfinished(tmp_path / "a.h5")
    whole = part.read_bytes()
    third = [i for i in range(len(whole)) if whole.startswith(b"\xc5SHOWERS", i)][3]
    for cut in (third, third + 20, third + 200):
        part.write_bytes(whole[:cut] + bytes(len(whole) - cut))
        with ShowerFile(part) as file:
            assert len(file) == 20


def test_damage_inside_is_an_error_not_a_loss(tmp_path: Path) -> None:
    part = unfinished(tmp_path / "a.h5")
    whole = bytearray(part.read_bytes())
    whole[len(whole) // 2] ^= 4
    part.write_bytes(whole)
    with pytest.raises(ShowersError, match="checksum"), ShowerFile(part) as file:
        file.read(0, 50)


def test_resuming_keeps_and_updates_the_provenance(tmp_path: Path) -> None:
    unfinished(tmp_path / "a.h5")
    with ShowerWriter(tmp_path / "a.h5", load_detector("calogan"), {"jobs": 2}, resume=True) as writer:
        assert writer.earlier == {"seed": 1}
        assert writer.done == 50
    with ShowerFile(tmp_path / "a.h5") as file:
        assert file.provenance == {"seed": 1, "jobs": 2}


def test_an_unfinished_production_is_not_overwritten(tmp_path: Path) -> None:
    unfinished(tmp_path / "a.h5")
    with pytest.raises(ShowersError, match="unfinished production"):
        ShowerWriter(tmp_path / "a.h5", load_detector("calogan"), {})
    with pytest.raises(ShowersError) as error:
        ShowerFile(tmp_path / "a.h5")
    assert "a.h5.part" in str(error.value)
    with pytest.raises(ShowersError, match="different detectors"):
        ShowerWriter(tmp_path / "a.h5", load_detector("clic"), {}, resume=True)


def test_resuming_a_complete_file_finds_it_complete(tmp_path: Path) -> None:
    path = showers(0, 20).save(tmp_path / "a.h5")
    with ShowerWriter(path, load_detector("calogan"), {}, resume=True) as writer:
        assert writer.done == 20
        with pytest.raises(ShowersError, match="complete"):
            writer.append(showers(20, 30))
    assert len(Showers.load(path)) == 20


def test_a_journal_beside_a_file_of_others_is_not_thrown_away(tmp_path: Path) -> None:
    """Beside the file that was made of it, it is what a kill left; beside any other, it is all there is."""
    path = tmp_path / "a.h5"
    part = unfinished(path)
    whole = part.read_bytes()
    with ShowerWriter(path, load_detector("calogan"), {}, resume=True):
        pass
    part.write_bytes(whole)
    with ShowerWriter(path, load_detector("calogan"), {}, resume=True) as writer:
        assert writer.done == 50
    assert not part.exists()
    part.write_bytes(whole)
    path.unlink()
    showers(50, 60).save(tmp_path / "b.h5").rename(path)
    with pytest.raises(ShowersError, match="of other showers"):
        ShowerWriter(path, load_detector("calogan"), {}, resume=True)
    assert part.read_bytes() == whole


def test_an_exception_leaves_what_was_written(tmp_path: Path) -> None:
    def interrupted() -> None:
        with ShowerWriter(tmp_path / "a.h5", load_detector("calogan"), {}) as writer:
            writer.append(showers(0, 9))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with ShowerFile(tmp_path / "a.h5.part") as file:
        assert same(file.read(0, 9), showers(0, 9))


def test_two_writers_of_one_file(tmp_path: Path) -> None:
    first = ShowerWriter(tmp_path / "a.h5", load_detector("calogan"), {})
    first.append(showers(0, 5))
    with pytest.raises(OutputError, match="another process"):
        ShowerWriter(tmp_path / "a.h5", load_detector("calogan"), {}, resume=True)
    with ShowerFile(tmp_path / "a.h5.part") as file:  # but reading meanwhile is fine
        assert len(file) == 5
    first.append(showers(5, 9))
    first.close()
    assert same(Showers.load(tmp_path / "a.h5"), showers(0, 9))


def test_overflow_for_all_or_none(tmp_path: Path) -> None:
    some = showers(0, 5)
    with ShowerWriter(tmp_path / "a.h5", some.detector, {}) as writer:
        writer.append(some)
        with pytest.raises(ShowersError, match="for all showers"):
            writer.append(Showers(some.detector, some.incident, some.cells, np.zeros((5, 3), np.float32)))
