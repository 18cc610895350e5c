"""Clusters: one contract, on processes of this machine, on a real Dask and on a real Ray."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread
from typing import Any

import psutil
import pytest

import cluster_toys as toys
from caloforge.calls import pack, pack_function
from caloforge.cluster import Chunk, Cluster, in_order, open_cluster, remote
from caloforge.cluster.dask import Dask, check_scheduler
from caloforge.cluster.presence import Presence
from caloforge.cluster.replies import outcome as outcome_of
from caloforge.errors import ClusterError, MissingExtraError, QuantityError, ShowersError, WorkerError

RAY = pytest.param("ray", marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def place(request, tmp_path_factory) -> Iterator[Any]:
    kind = request.param
    if kind == "processes":
        yield None
        return
    pytest.importorskip("distributed" if kind == "dask" else "ray")
    started = (toys.DaskToy if kind == "dask" else toys.RayToy)(tmp_path_factory.mktemp(kind))
    try:
        yield started
    finally:
        started.close()


@pytest.fixture
def cluster(place) -> Iterator[Cluster]:
    with open_cluster("processes:2" if place is None else place.address) as opened:
        toys.wait_for(lambda: opened.slots == 2)
        yield opened


everywhere = pytest.mark.parametrize("place", ["processes", "dask", RAY], indirect=True)


def chunks(*arguments: Any) -> list[Chunk]:
    return [Chunk(number, (argument,)) for number, argument in enumerate(arguments)]


@everywhere
def test_every_chunk_comes_back_once(cluster):
    outcomes = list(cluster.run(toys.square, chunks(*range(20)), ahead=3))
    assert all(outcome.fault is None for outcome in outcomes)
    assert {outcome.chunk.number: outcome.result for outcome in outcomes} == {n: n * n for n in range(20)}
    assert len(outcomes) == 20
    assert list(cluster.run(toys.square, [])) == []


@everywhere
@pytest.mark.parametrize("ahead", [0, 2])
def test_chunks_are_taken_when_there_is_room(cluster, ahead):
    taken = finished = most = 0

    def lazily() -> Iterator[Chunk]:
        nonlocal taken, most
        for number in range(12):
            taken += 1
            most = max(most, taken - finished)
            yield Chunk(number, (number,))

    for _ in cluster.run(toys.square, lazily(), ahead):
        finished += 1
    assert most == cluster.slots + ahead
    assert finished == 12


@everywhere
def test_an_outcome_decides_the_next_chunk(cluster):
    """2, squared again and again; meanwhile there is nothing to do, though there would be room."""
    last = 2

    def following() -> Iterator[Chunk | None]:
        for number in range(4):
            asked = last
            yield Chunk(number, (asked,))
            while last == asked:
                yield None

    for outcome in cluster.run(toys.square, following()):
        last = outcome.result
    assert last == 2**16


@everywhere
def test_nothing_to_do_and_nothing_under_way_is_a_mistake(cluster):
    with pytest.raises(RuntimeError, match="none is under way"):
        list(cluster.run(toys.square, [None]))


@everywhere
def test_what_is_raised_arrives_and_is_not_tried_again(cluster):
    odd, ours, good = sorted(
        cluster.run(toys.fail, chunks("odd", "ours", "good")), key=lambda outcome: outcome.chunk.number
    )
    assert odd.fault.kind == ours.fault.kind == "raised"
    assert str(odd.fault.error) == "OddError: it broke, twice"
    assert isinstance(ours.fault.error, ShowersError)
    assert ours.fault.error.details["cure"] == "copy it again"
    assert (good.result, good.fault) == ("good", None)


@everywhere
def test_a_function_stays_with_its_process(cluster):
    outcomes = cluster.run(toys.Remembers(), chunks(*range(12)))
    calls = Counter(outcome.result[0] for outcome in outcomes)
    again = Counter(outcome.result for outcome in cluster.run(toys.Remembers(), chunks(*range(4))))
    assert len(calls) <= 2
    assert os.getpid() not in calls
    assert {(pid, 1) for pid, _ in again} <= set(again), "another run begins anew"
    assert not {pid for pid, _ in again} & set(calls)


@everywhere
def test_a_process_has_one_thread(cluster):
    (outcome,) = cluster.run(toys.threads, [Chunk(0, ())])
    assert outcome.result == ["1", "1", "1"]


@everywhere
def test_a_chunk_that_kills_is_set_aside_and_the_others_are_done(cluster, tmp_path):
    todo = [Chunk(number, (number, {1: 9, 2: 3}.get(number, 0), tmp_path)) for number in range(5)]
    outcomes = {outcome.chunk.number: outcome for outcome in cluster.run(toys.die, todo)}
    fault = outcomes.pop(1).fault
    assert (fault.kind, fault.deaths) == ("died", 4)
    assert isinstance(fault.error, WorkerError)
    assert "SIGKILL" in fault.error.details["got"]
    assert {number: outcome.result for number, outcome in outcomes.items()} == {0: 0, 2: 2, 3: 3, 4: 4}
    begun = [len((tmp_path / str(number)).read_text()) for number in range(5)]
    assert begun == [1, 4, 4, 1, 1]


@everywhere
def test_a_killed_worker_loses_nothing_that_was_finished(cluster, place, tmp_path):
    """Killed is the whole worker of Dask or Ray, and not only our process in it."""

    def kill() -> None:
        process, parent = map(int, toys.wait_for(lambda: read(tmp_path / "who")).split())
        toys.wait_for(lambda: len(list(tmp_path.iterdir())) == 9)
        psutil.Process(process if place is None else parent).kill()
        if isinstance(place, toys.DaskToy):
            place.add()  # as a batch system would

    killer = Thread(target=kill)
    killer.start()
    todo = [Chunk(number, (number, tmp_path)) for number in range(8)]
    outcomes = list(cluster.run(toys.linger, todo))
    killer.join()
    assert sorted(outcome.result for outcome in outcomes) == list(range(8))
    assert outcomes[-1].result == 3
    assert [len((tmp_path / str(number)).read_text()) for number in range(8)] == [1, 1, 1, 2, 1, 1, 1, 1]
    toys.wait_for(lambda: cluster.slots == 2)


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


@everywhere
def test_whoever_stops_early_leaves_nothing_running(cluster, tmp_path):
    todo = [Chunk(number, (120 if number else 0, tmp_path)) for number in range(8)]
    with closing(cluster.run(toys.sleep, todo)) as outcomes:
        assert next(outcomes).chunk.number == 0
        busy = toys.wait_for(lambda: len(list(tmp_path.iterdir())) == 2 and list(tmp_path.iterdir()))
        busy = [psutil.Process(int(path.name)) for path in busy]
    gone, _ = psutil.wait_procs(busy, timeout=60)
    assert len(gone) == 2
    (outcome,) = cluster.run(toys.square, chunks(3))
    assert outcome.result == 9
    assert len(list(tmp_path.iterdir())) == 2, "none was begun after all"


@everywhere
def test_what_cannot_be_imported_is_said(cluster):
    with pytest.raises(WorkerError, match="cannot import"):
        list(cluster.run(lambda: 1, [Chunk(0, ())]))
    (outcome,) = cluster.run(toys.Lost(), [Chunk(0, ())])
    assert outcome.fault.kind == "raised"
    assert "No module named 'nowhere'" in outcome.fault.error.details["got"]


# --- in order ----------------------------------------------------------------------------------------


def test_results_come_in_order_and_few_wait(tmp_path):
    """Number 0 waits until as many others are done as may wait for it."""
    held: list[int] = []
    with open_cluster("processes:2") as cluster:
        most = 2 * cluster.slots + 2
        todo = ((number, most - 1, tmp_path) for number in range(30))
        for outcome in in_order(cluster, toys.first_is_last, todo, len):
            held.append(len(list(tmp_path.iterdir())))
            assert outcome.result == str(outcome.chunk.number)
            assert outcome.chunk.number == len(held) - 1
    assert held[0] == most, "no more was begun than may wait"
    assert len(held) == 30


def test_results_that_are_large_make_others_wait(tmp_path):
    with open_cluster("processes:2") as cluster:
        todo = ((number, 1, tmp_path) for number in range(5))
        outcomes = in_order(cluster, toys.first_is_last, todo, lambda _: 600_000_000)
        assert [outcome.result for outcome in outcomes] == list("01234")


# --- elsewhere ---------------------------------------------------------------------------------------


@pytest.fixture
def dask(tmp_path) -> Iterator[toys.DaskToy]:
    started = toys.DaskToy(tmp_path, workers=0)
    try:
        yield started
    finally:
        started.close()


@pytest.mark.slow
def test_dask_without_workers_waits_for_them_and_then_gives_up(dask, caplog):
    with Dask(dask.address, patience=0.0) as cluster, pytest.raises(ClusterError, match="no workers"):
        list(cluster.run(toys.square, chunks(1)))
    with Dask(dask.address) as cluster:
        Thread(target=dask.add, args=[2]).start()
        assert next(cluster.run(toys.square, chunks(2))).result == 4
        toys.wait_for(lambda: cluster.slots == 2)
        pids = {outcome.result[0] for outcome in cluster.run(toys.Remembers(), chunks(*range(20)), ahead=4)}
    assert len(pids) == 2, "each thread of a worker has a process of its own"
    assert "waiting up to 600 s" in caplog.text


@pytest.mark.slow
def test_workers_with_another_caloforge_are_refused(dask, tmp_path):
    package = tmp_path / "older" / "caloforge"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('__version__ = "0.0.1"')
    dask.add(PYTHONPATH=str(package.parent))
    with pytest.raises(ClusterError, match="another caloforge") as error:
        toys.wait_for(lambda: Dask(dask.address).close())
    assert error.value.details["got"] == "caloforge 0.0.1"


def test_a_worker_of_another_version_that_joins_later_is_refused():
    reply = remote.call(remote.new_run(), "0.0.1", pack_function(toys.square), pack((1,)))
    with pytest.raises(ClusterError, match="another caloforge"):
        outcome_of(Chunk(0, (1,)), reply, "tcp://there:8786")


def test_workers_are_missed_for_a_while():
    # (seconds, workers that are there, slots that are told)
    story = [(0, 0, 1), (30, 0, 1), (60, 0, 1), (61, 7, 7), (61.5, 0, 7), (70, 0, 1), (130, 0, 1)]
    at = iter(story)
    now, there, told = next(at)
    presence = Presence("there", lambda: there, patience=60.0, clock=lambda: now)
    assert presence.slots() == told, "a cluster that grows with its work must see some"
    for now, there, told in at:  # noqa: B007 - read by the presence
        assert presence.slots() == told
    now = 131
    with pytest.raises(ClusterError, match="no workers"):
        presence.slots()


# --- addresses ---------------------------------------------------------------------------------------


def test_without_an_address_it_is_this_machine():
    with (
        open_cluster(None, jobs=3) as one,
        open_cluster("processes", 2) as two,
        open_cluster("processes:4") as four,
    ):
        assert [cluster.slots for cluster in (one, two, four)] == [3, 2, 4]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("dusk://host:8786", "did you mean: dask"),
        ("host", "expected:     processes, "),
        ("ray", "expected:     processes, "),
        ("processes:many", "processes:4"),
        ("processes:0", "out of range"),
        ("dask://host", "HOST:PORT"),
        ("ray:host", "HOST:PORT"),
        ("nowhere.json", "nowhere.json"),
        ("dask://127.0.0.1:1", "dask scheduler"),
        ("ray:127.0.0.1:1", "ray start --head"),
        ("ray://127.0.0.1:1", "ray start --head"),
    ],
)
def test_an_address_where_nobody_is(address, said):
    with pytest.raises((ClusterError, QuantityError)) as error:
        open_cluster(address)
    assert said in str(error.value)


def test_a_port_that_is_silent_is_not_waited_for():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        begin = time.monotonic()
        with pytest.raises(ClusterError, match="no Dask scheduler answers"):
            check_scheduler(where, seconds=0.5)
    assert time.monotonic() - begin < 60


def test_a_file_that_names_no_scheduler(tmp_path):
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(ClusterError, match="names no scheduler"):
        open_cluster(str(tmp_path / "a.json"))


@pytest.mark.parametrize(("package", "address"), [("distributed", "dask://there:1"), ("ray", "ray:auto")])
def test_without_the_package_the_extra_is_named(package, address, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError) as error:
        open_cluster(address)
    assert f"caloforge[{address[: len(package)] if package == 'ray' else 'dask'}]" in str(error.value)
