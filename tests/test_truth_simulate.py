"""Producing showers: the same whatever the number of workers, and whatever interrupts them."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from typer.testing import CliRunner

import caloforge as cf
from caloforge.cli.main import app
from caloforge.cluster.processes import Processes
from caloforge.detector import load_detector
from caloforge.errors import (
    CaloforgeError,
    Geant4Error,
    MissingExtraError,
    OutputError,
    QuantityError,
    ShowersError,
)
from caloforge.quantities import Interval, Spectrum
from caloforge.showers import ShowerFile, Showers, ShowerWriter
from caloforge.truth import available, environment, simulate, time_geant4
from caloforge.truth.gun import Gun
from caloforge.truth.physics import Physics
from caloforge.truth.pool import Plan, batches, produce

OPTIONS = {"particle": "e+", "energy": Spectrum.parse("200:800MeV"), "count": 24, "seed": 5}
# Two batches, because one has at most 256 showers.
MANY = OPTIONS | {"energy": Spectrum.parse("5:15MeV"), "count": 300}
# Three batches of half a second each: time enough to be killed in the middle.
LONG = ["calogan", "--particle", "e-", "--energy", "1GeV", "--count", "150", "--seed", "3"]
CALOFORGE = [sys.executable, "-c", "from caloforge.cli.main import main; main()", "simulate"]


def contents(path):
    showers = Showers.load(path)
    columns = [column.tobytes() for column in showers.incident.values()]
    return [*columns, showers.cells.tobytes(), showers.overflow.tobytes()]


@pytest.mark.geant4
def test_the_number_of_workers_does_not_matter(tmp_path):
    detector = load_detector("calogan")
    reports = []
    two = simulate(detector, **MANY, jobs=2, out=tmp_path / "2.h5", progress=lambda *now: reports.append(now))
    one = simulate(detector, **MANY, jobs=1, out=tmp_path / "1.h5")
    assert contents(one) == contents(two)
    assert reports[0] == (0, 300, "starting Geant4")
    assert [done for done, _, _ in reports] == [0, 256, 300]


@pytest.mark.geant4
def test_the_batches_do_not_matter():
    plan = Plan(load_detector("calogan").to_yaml(), Physics.parse("standard", 0.7), seed=5)
    gun = Gun(-11, OPTIONS["energy"], *[Interval(0.0, 0.0)] * 4)
    one, many = (
        list(produce(plan, batches(gun, 5, 0, 24, seconds), Processes(jobs)))
        for seconds, jobs in ((0.5, 1), (0.02, 2))
    )
    assert len(one) == 1
    assert len(many) > 4
    for column in ("cells", "overflow"):
        parts = [getattr(made.readouts[0], column) for _, made in many]
        assert np.concatenate(parts).tobytes() == getattr(one[0][1].readouts[0], column).tobytes()


@pytest.mark.geant4
def test_python_takes_names_and_quantities_as_the_command_line_does(tmp_path):
    asked = {
        "particle": "e+",
        "energy": "200:800MeV",
        "count": "2",
        "theta": "0:10deg",
        "x": "2mm",
        "cut": "1mm",
    }
    words = [word for key, value in asked.items() for word in (f"--{key}", value)]
    cf.simulate("calogan", **asked | {"count": 2}, out=tmp_path / "python.h5")
    result = CliRunner().invoke(app, ["simulate", "calogan", *words, "--out", str(tmp_path / "line.h5")])
    assert result.exit_code == 0, result.output
    assert contents(tmp_path / "python.h5") == contents(tmp_path / "line.h5")
    incident = Showers.load(tmp_path / "python.h5").incident
    assert incident.x.tolist() == [2.0, 2.0]
    assert 0 < incident.theta.max() < math.radians(10)


@pytest.mark.parametrize(
    "wrong", [{"energy": "1:100"}, {"theta": "10mm"}, {"x": "2"}, {"cut": "1"}, {"detector": "calogam"}]
)
def test_python_refuses_what_the_command_line_refuses(tmp_path, wrong):
    asked = {"detector": "calogan", "particle": "e+", "energy": "1GeV", "count": 1, "out": tmp_path / "a.h5"}
    with pytest.raises(CaloforgeError, match=r"unit|preset"):
        cf.simulate(**asked | wrong)


def test_the_old_names_of_the_impact_point_lead_to_the_new_ones():
    words = ["--particle", "e+", "--energy", "1GeV", "--count", "1", "--out", "a.h5", "--impact-x", "1mm"]
    error = CliRunner().invoke(app, ["simulate", "calogan", *words]).exception
    assert isinstance(error, CaloforgeError)
    assert "did you mean: --x or --y" in str(error)


@pytest.mark.geant4
@pytest.mark.slow
def test_the_example_of_the_package_runs(tmp_path, monkeypatch):
    example = re.search(r"(    import caloforge as cf\n.*)", cf.__doc__, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    space = {}
    exec(textwrap.dedent(example[1]), space)
    assert len(space["showers"]) == 2
    assert space["showers"].detector == load_detector("calogan")


@pytest.mark.geant4
def test_a_file_says_how_it_was_made(tmp_path):
    path = simulate(load_detector("clic"), **OPTIONS | {"count": 2}, out=tmp_path / "a.h5", command="do it")
    with ShowerFile(path) as file:
        made = file.provenance
    assert made["versions"]["geant4"] == "11.4.0"
    assert made["command"] == "do it"
    expected = {"particle": "e+", "seed": 5, "count": 2, "physics": "standard", "cut_mm": 0.7}
    assert expected.items() <= made.items()
    # 10 ms per GeV on a fast core; a machine may be much slower, not a thousand times.
    assert 1 < made["ms_per_gev"] < 10_000
    assert made["ms_per_shower"] < made["ms_per_gev"]
    assert made["processor"]


@pytest.mark.geant4
def test_a_finished_production_is_not_made_again(tmp_path):
    detector, few = load_detector("calogan"), OPTIONS | {"count": 3}
    path = simulate(detector, **few, out=tmp_path / "a.h5")
    before = path.read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        simulate(detector, **few, out=path)
    assert simulate(detector, **few, out=path, resume=True) == path
    assert path.read_bytes() == before


@pytest.mark.geant4
def test_resuming_with_other_options_is_refused(tmp_path):
    detector, path = load_detector("calogan"), tmp_path / "a.h5"
    with pytest.raises(InterruptedError):
        simulate(detector, **OPTIONS, out=path, progress=stop_after_first)
    for key, other in {
        "seed": 6,
        "first": 1,
        "energy": Spectrum.parse("200:900MeV"),
        "particle": "e-",
        "physics": "option4",
        "cut": 0.1,
        "theta": Interval(0.0, 0.1),
        "x": Interval(0.0, 0.1),
    }.items():
        with pytest.raises(ShowersError, match=f"another {key.split('_')[0]}"):
            simulate(detector, **OPTIONS | {key: other}, out=path, resume=True)


@pytest.mark.geant4
def test_resuming_with_another_count_gives_the_same_showers(tmp_path):
    detector, path, part = load_detector("calogan"), tmp_path / "a.h5", MANY | {"first": 60}
    with pytest.raises(InterruptedError):
        simulate(detector, **part, out=path, progress=stop_after_first)
    with pytest.raises(ShowersError, match="has made more"):
        simulate(detector, **part | {"count": 1}, out=path, resume=True)
    fewer = part | {"count": 260}
    assert contents(simulate(detector, **fewer, out=path, resume=True)) == contents(
        simulate(detector, **fewer, out=tmp_path / "b.h5")
    )


@pytest.mark.geant4
def test_a_production_that_began_before_there_was_a_first_is_resumed(tmp_path):
    detector, path = load_detector("calogan"), tmp_path / "a.h5"
    made = simulate(detector, **OPTIONS | {"count": 3}, out=tmp_path / "b.h5")
    with ShowerFile(made) as file:
        earlier = {key: value for key, value in file.provenance.items() if key != "first"}
    writer = ShowerWriter(path, detector, earlier)
    writer.append(Showers.load(made))
    writer.stop()
    simulate(detector, **OPTIONS | {"count": 3}, out=path, resume=True)
    assert contents(path) == contents(made)


@pytest.mark.geant4
def test_killed_after_its_last_shower_it_is_only_closed(tmp_path):
    arguments = ["simulate", "calogan", "--particle", "e+", "--energy", "200:800MeV", "--count", "4"]
    few = OPTIONS | {"count": 4}
    with pytest.raises(InterruptedError):
        simulate(load_detector("calogan"), **few, out=tmp_path / "a.h5", progress=stop_after_first)
    told = CliRunner().invoke(app, [*arguments, "--seed", "5", "--out", str(tmp_path / "a.h5"), "--resume"])
    assert told.exit_code == 0, told.output
    assert "4 showers" in told.output
    assert len(Showers.load(tmp_path / "a.h5")) == 4


def stop_after_first(done, total, note):
    if done:
        raise InterruptedError


@pytest.mark.geant4
def test_an_unfinished_production_is_not_overwritten(tmp_path):
    detector, path = load_detector("calogan"), tmp_path / "a.h5"
    with pytest.raises(InterruptedError):
        simulate(detector, **MANY, out=path, progress=stop_after_first)
    with pytest.raises(ShowersError, match="unfinished"):
        simulate(detector, **MANY, out=path)
    with ShowerFile(tmp_path / "a.h5.part") as file:
        assert 0 < len(file) < 300
    assert contents(simulate(detector, **MANY, out=path, resume=True)) == contents(
        simulate(detector, **MANY, out=tmp_path / "b.h5")
    )


@pytest.mark.geant4
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers end after their batch")
def test_killed_it_keeps_its_showers_and_resumes_to_the_same_file(tmp_path):
    process, workers = interrupted(tmp_path, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert all_gone(workers)
    with ShowerFile(tmp_path / "a.h5.part") as file:
        assert 0 < len(file) < 150
    for arguments in (["--out", "a.h5", "--resume"], ["--out", "b.h5", "--jobs", "2"]):
        subprocess.run([*CALOFORGE, *LONG, *arguments], cwd=tmp_path, check=True, capture_output=True)
    assert contents(tmp_path / "a.h5") == contents(tmp_path / "b.h5")


@pytest.mark.geant4
@pytest.mark.skipif(sys.platform == "win32", reason="no signals to groups")
def test_ctrl_c_says_how_to_go_on(tmp_path):
    # So many that a slow machine cannot finish them first.
    process, workers = interrupted(tmp_path, signal.SIGINT, "--count", "20000")
    _, printed = process.communicate()
    assert process.returncode == 130
    assert "--resume" in printed
    assert "are kept in a.h5.part" in printed
    assert "Traceback" not in printed
    assert "Warning" not in printed
    assert all_gone(workers)


def interrupted(
    folder: Path, how: int, *arguments: str
) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """A production with two workers, interrupted as soon as it has showers; and what it had started."""
    process = subprocess.Popen(
        [*CALOFORGE, *LONG, *arguments, "--jobs", "2", "--out", "a.h5"],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell's background jobs ignore Ctrl-C, and so would what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not kept(folder / "a.h5.part") and process.poll() is None:
        time.sleep(0.02)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 2
    # Ctrl-C reaches the workers, too; a kill does not.
    (os.killpg if how == signal.SIGINT else os.kill)(process.pid, how)
    process.wait(120)
    return process, workers


def kept(path: Path) -> int:
    """How many whole showers an unfinished file holds."""
    try:
        with ShowerFile(path) as file:
            return len(file)
    except ShowersError:  # not there yet
        return 0


def all_gone(processes: list[psutil.Process]) -> bool:
    gone, _ = psutil.wait_procs(processes, timeout=60)
    return len(gone) == len(processes)


@pytest.mark.geant4
def test_a_shower_is_made_by_any_gun_from_any_side(tmp_path):
    wide = {"theta": Interval(0.1, 0.5), "phi": Interval(-3, 3), "x": Interval(-20, 20)}
    for name in ("clic-angle", "calochallenge-2"):
        path = simulate(load_detector(name), **OPTIONS | {"count": 4}, **wide, out=tmp_path / f"{name}.h5")
        showers = Showers.load(path)
        assert (showers.cells.sum(1) > 0).all()
        assert showers.incident.theta.min() >= np.float32(0.1)


@pytest.mark.geant4
def test_the_time_of_geant4_follows_the_energy():
    detector = load_detector("calogan")
    fast, slow = (
        time_geant4(detector, "e+", Spectrum.parse(energy), count=12) for energy in ("200MeV", "4GeV")
    )
    # Twenty times, if nothing else runs and every shower costs nothing before its first particle.
    assert 5 < slow.mean / fast.mean < 60
    assert len(slow.milliseconds) == len(slow.energy) == 12
    assert (slow.energy == 4000).all()
    assert slow.milliseconds.min() <= slow.median <= slow.milliseconds.max()
    assert slow.per_gev == pytest.approx(slow.mean / 4)


@pytest.mark.geant4
def test_a_lifeless_geant4_is_an_error_and_no_hang(tmp_path, monkeypatch, capfd):
    # Geant4 ends its process when a data set is there and a file in it is not.
    whole = Path(os.environ["GEANT4_DATA_DIR"])
    for found in sorted([*whole.glob("*"), *whole.glob("*/*")]):
        place = tmp_path / found.relative_to(whole)
        if found.is_dir():
            place.mkdir()
            (place / "nothing").touch()
        else:
            place.touch()
    monkeypatch.setenv("GEANT4_DATA_DIR", str(tmp_path))
    with pytest.raises(Geant4Error, match="ended its process"):
        simulate(load_detector("calogan"), **OPTIONS, out=tmp_path / "a.h5")
    assert "G4Exception" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("folder", "problem"),
    [("nowhere", "does not exist"), ("", "not complete"), (None, "are missing")],
)
def test_without_data_the_cure_is_named(tmp_path, monkeypatch, folder, problem):
    pytest.importorskip("calzone")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    if folder is None:
        monkeypatch.delenv("GEANT4_DATA_DIR", raising=False)
    else:
        monkeypatch.setenv("GEANT4_DATA_DIR", str(tmp_path / folder))
    with pytest.raises(Geant4Error, match=problem) as error:
        simulate(load_detector("calogan"), **OPTIONS, out=tmp_path / "a.h5")
    assert "GEANT4_DATA_DIR" in str(error.value)
    assert not list(tmp_path.iterdir())


def test_without_calzone_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(environment, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="calzone") as error:
        available()
    assert "caloforge[geant4]" in str(error.value)


@pytest.mark.parametrize(
    "wrong", [{"count": 0}, {"first": -1}, {"seed": -1}, {"seed": 2**63}, {"jobs": 0}, {"jobs": 10**8}]
)
def test_impossible_numbers_are_refused(tmp_path, wrong):
    with pytest.raises(QuantityError, match=f"--{next(iter(wrong))}"):
        simulate(load_detector("calogan"), **OPTIONS | wrong, out=tmp_path / "a.h5")
