"""Events of others: what is read is what was written, and what is cut off or no event is said."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from caloforge.errors import CaloforgeError, EventError, MissingExtraError, ParticleError
from caloforge.simulation.events import Event, EventGun, open_events
from caloforge.simulation.events.base import kinetic
from caloforge.simulation.events.batch import batches
from event_toys import Particle, write_hepmc

ELECTRON = 0.00051099895
EVENTS: list[list[Particle]] = [
    [(11, (0.0, 3.0, 4.0), ELECTRON), (22, (1.0, 0.0, 1.0), 0.0)],
    [],
    [(2112, (0.0, 0.0, 2.0), 0.939565)],
]


def _read(path: Path) -> list[Event]:
    return list(open_events(path).events)


@pytest.mark.parametrize(
    ("name", "form"), [("a.hepmc", None), ("a.hepmc2", "hepmc2"), ("a.hepmc.gz", None), ("a.gz.hepmc", None)]
)
def test_hepmc_gives_the_final_state_of_every_event(tmp_path: Path, name: str, form: str | None) -> None:
    path = write_hepmc(tmp_path / name, EVENTS, vertex=(1.0, -2.0, 30.0), weights=(2.0, 0.5), form=form)
    if name == "a.gz.hepmc":  # told by its content, not by its name
        path.write_bytes(gzip.compress(path.read_bytes()))
    source = open_events(path)
    found = list(source.events)
    # pyhepmc's own iterator ends at the second event, which has no particles.
    assert [event.number for event in found] == [10, 11, 12]
    assert source.total == 3
    assert [len(event.particles) for event in found] == [2, 0, 1]
    assert [event.weights for event in found] == [(2.0, 0.5)] * 3
    assert len(source.weights) == 2
    assert not source.on_face
    first = found[0].particles
    assert first.pdg.tolist() == [11, 22]
    mass = 1e3 * ELECTRON
    np.testing.assert_allclose(first.energy, [np.hypot(5e3, mass) - mass, 1e3 * np.sqrt(2)], rtol=1e-12)
    np.testing.assert_allclose(first.direction[0], [0, 0.6, 0.8])
    np.testing.assert_allclose(first.position, [[1, -2, 30]] * 2)
    assert found[2].particles.energy[0] == pytest.approx(1e3 * (np.hypot(2, 0.939565) - 0.939565))


def test_an_event_without_weights_counts_as_one(tmp_path: Path) -> None:
    assert _read(write_hepmc(tmp_path / "a.hepmc", EVENTS[:1]))[0].weights == (1.0,)


@pytest.mark.parametrize("packed", [False, True])
def test_a_hepmc_file_that_was_cut_off_is_refused(tmp_path: Path, packed: bool) -> None:
    path = write_hepmc(tmp_path / ("a.hepmc.gz" if packed else "a.hepmc"), EVENTS * 30)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(EventError, match="cut off"):
        open_events(path)


def test_a_damaged_hepmc_event_is_named(tmp_path: Path) -> None:
    path = write_hepmc(tmp_path / "a.hepmc", EVENTS)
    path.write_text(path.read_text().replace("P 3 1 22", "P x 1 22"))
    with pytest.raises(EventError, match="damaged") as caught:
        _read(path)
    assert "event 1 of 3" in str(caught.value)


def test_nan_is_refused_with_its_event(tmp_path: Path) -> None:
    path = write_hepmc(tmp_path / "a.hepmc", EVENTS)
    path.write_text(path.read_text().replace("4.0000000000000000e+00", "nan", 1))
    with pytest.raises(EventError, match="no such particle") as caught:
        _read(path)
    assert "event 10, particle 0" in str(caught.value)


def test_les_houches_events_are_those_that_pylhe_reads(tmp_path: Path) -> None:
    pylhe = pytest.importorskip("pylhe")
    path = _write_lhe(tmp_path / "a.lhe")
    expected = pylhe.LHEFile.fromfile(path)
    source = open_events(path)
    found = list(source.events)
    assert source.weights == ("", "up", "down")
    events = list(expected.events)
    assert len(found) == len(events) == source.total == 2
    for ours, theirs in zip(found, events, strict=True):
        final = [particle for particle in theirs.particles if particle.status == 1]
        momentum = np.array([[p.px, p.py, p.pz] for p in final]) * 1e3
        assert ours.particles.pdg.tolist() == [p.id for p in final]
        np.testing.assert_allclose(
            ours.particles.energy, kinetic(momentum, np.array([p.m for p in final]) * 1e3), rtol=1e-12
        )
        np.testing.assert_allclose(
            ours.particles.direction, momentum / np.linalg.norm(momentum, axis=1)[:, None]
        )
        assert ours.weights[0] == theirs.eventinfo.weight
        assert ours.weights[1:] == (theirs.weights["up"], theirs.weights["down"])
        assert not ours.particles.position.any()


def _write_lhe(path: Path) -> Path:
    """Two events; the header holds what is no XML, and the second event a comment."""
    lines = (
        '<LesHouchesEvents version="3.0">\n<header>\n</header>\n<init>\n'
        " 2212 2212 6.5e+03 6.5e+03 0 0 247000 247000 -4 1\n 1.0e+00 1.0e-01 1.0e+00 1\n</init>\n"
    )
    for weight, pz in ((2.5, 20.0), (-0.5, 31.0)):
        lines += (
            f"<event>\n 4 1 {weight} 9.1e+01 7.8e-03 1.2e-01\n"
            " 2 -1 0 0 501 0 0. 0. 50. 50. 0. 0. 9.\n -2 -1 0 0 0 501 0. 0. -50. 50. 0. 0. 9.\n"
            f" 13 1 1 2 0 0 3. 4. {pz} {np.sqrt(25 + pz * pz + 0.10566**2):.9f} 1.0566e-01 0. 1.\n"
            f" -13 1 1 2 0 0 -3. -4. {-pz} {np.sqrt(25 + pz * pz + 0.10566**2):.9f} 1.0566e-01 0. -1.\n"
            f"<rwgt>\n<wgt id='up'> {2 * weight} </wgt>\n<wgt id='down'> {weight / 2} </wgt>\n"
            "</rwgt>\n</event>\n"
        )
    path.write_text(lines + "</LesHouchesEvents>\n")
    return path


def test_a_header_that_is_no_xml_and_entities_do_no_harm(tmp_path: Path) -> None:
    path = _write_lhe(tmp_path / "a.lhe")
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>\n1 < 2 & 3\n</header>'
    path.write_text(path.read_text().replace("</header>", bomb))
    assert len(_read(path)) == 2


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("</LesHouchesEvents>", "", "cut off"),
        ("\n 4 1 2.5", "\n 5 1 2.5", "not an event"),
        (" 9.\n -2", "\n -2", "not an event"),
        ("3. 4. 20.0", "3. 4. twenty", "not an event"),
        ("3. 4. 20.0", "3. 4. nan", "no such particle"),
        ("<wgt id='down'> -0.25 </wgt>", "", "not an event"),
    ],
)
def test_les_houches_files_that_are_damaged(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = _write_lhe(tmp_path / "a.lhe")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(EventError, match=words):
        _read(path)


def test_a_table_by_energy_and_angle_is_on_the_face(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "event,pdg,energy [GeV],theta [deg],phi [deg],x [cm],y[mm],weight\n"
        "3,e-,5,90,90,1,2,0.5\n3,99999,0.25,0,0,0,0,0.5\n\n7,22,1e3,0,0,-1,0,2\n"
    )
    source = open_events(path)
    found = list(source.events)
    assert source.on_face
    assert source.total == 2
    assert [(event.number, event.weights) for event in found] == [(3, (0.5,)), (7, (2.0,))]
    assert found[0].particles.pdg.tolist() == [11, 99999]
    np.testing.assert_allclose(found[0].particles.energy, [5e3, 250])
    np.testing.assert_allclose(found[0].particles.direction[0], [0, 1, 0], atol=1e-15)
    np.testing.assert_allclose(found[0].particles.position[0], [10, 2, 0])


def test_a_table_by_momentum_and_vertex(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"event,pdg,px [GeV],py [GeV],pz [MeV],z [m]\n1,p,3,0,4000,0.5\n"))
    source = open_events(path)
    (event,) = source.events
    assert not source.on_face
    assert event.particles.energy[0] == pytest.approx(np.hypot(5e3, 938.27209) - 938.27209)
    np.testing.assert_allclose(event.particles.direction[0], [0.6, 0, 0.8])
    assert event.particles.position[0].tolist() == [0, 0, 500]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("event,pdg,energy\n1,11,5\n", "no unit of its kind"),
        ("event,pdg,energy [mm]\n1,11,5\n", "no unit of its kind"),
        ("event,pdg,energy [GeV],speed\n1,11,5,1\n", "unknown"),
        ("event,pdg,energy [GeV],energy [MeV]\n1,11,5,1\n", "twice"),
        ("event,energy [GeV]\n1,5\n", "columns are missing: pdg"),
        ("event,pdg,px [GeV],energy [GeV]\n", "columns are missing: py, pz"),
        ("event,pdg,px [GeV],py [GeV],pz [GeV],energy [GeV]\n", "momentum and energy"),
        ("event,pdg,energy [GeV]\n1,11\n", "no particle"),
        ("event,pdg,energy [GeV]\n1,11,five\n", "no particle"),
        ("event,pdg,energy [GeV]\n1,11,-5\n", "no such particle"),
        ("event,pdg,energy [GeV]\n1,11,nan\n", "no such particle"),
        ("event,pdg,energy [GeV]\n1,electrn,5\n", "unknown particle"),
        ("event,pdg,energy [GeV]\n2,11,5\n1,11,5\n", "do not follow"),
        ("event,pdg,px [GeV],py [GeV],pz [GeV]\n1,99999,0,0,1\n", "nobody knows the mass"),
        ("", "no file of events"),
        ("hello\n", "no file of events"),
    ],
)
def test_tables_that_are_none(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises((EventError, ParticleError), match=words) as caught:
        _read(path)
    assert "a.csv" in str(caught.value)


def test_there_is_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(EventError, match="no such file"):
        open_events(tmp_path / "a.hepmc")


def test_the_gun_shoots_the_same_however_many_events_there_are() -> None:
    gun = EventGun.of("e+,gamma", "1:100GeV", 3, theta="0:1deg", phi="-90:90deg", x="-5:5mm", y="1mm")
    long, short = list(gun.source(3000, 7).events), list(gun.source(11, 7).events)
    for one, other in zip(long, short, strict=False):
        assert np.array_equal(one.particles.energy, other.particles.energy)
        assert np.array_equal(one.particles.direction, other.particles.direction)
    energies = np.concatenate([event.particles.energy for event in long])
    assert len(np.unique(energies)) == 9000
    assert set(np.concatenate([event.particles.pdg for event in long]).tolist()) == {-11, 22}
    assert all(event.particles.position[0, 1] == 1 for event in long)
    assert next(gun.source(1, 8).events).particles.energy[0] != energies[0]
    assert len(next(EventGun.of("e+", "5GeV", 0).source(1, 1).events).particles) == 0
    with pytest.raises(CaloforgeError, match="out of range"):
        EventGun.of("e+", "5GeV", -1)


def test_batches_are_cut_by_the_events_alone() -> None:
    gun = EventGun.of("e+", "5GeV", 400)
    cut = list(batches(gun.source(7, 1), 504))
    assert [len(batch.numbers) for batch in cut] == [2, 2, 2, 1]
    assert [batch.first for batch in cut] == [0, 2, 4, 6]
    assert [batch.first_particle for batch in cut] == [0, 800, 1600, 2400]
    assert cut[0].event_of_particle.tolist() == [0] * 400 + [1] * 400
    one = EventGun.of("e+", "5GeV")
    assert [len(batch.numbers) for batch in batches(one.source(1300, 1), 504)] == [1024, 276]
    # Sums of a large detector are large.
    assert len(next(batches(one.source(9, 1), 2_000_000)).numbers) == 2


def test_without_pyhepmc_the_extra_is_named(tmp_path: Path) -> None:
    path = write_hepmc(tmp_path / "a.hepmc", EVENTS)
    code = (
        "import sys; sys.modules['pyhepmc'] = None\n"
        "from caloforge.simulation.events import open_events\n"
        f"open_events({str(path)!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert MissingExtraError.__name__ in done.stderr
    assert "caloforge[events]" in done.stderr
