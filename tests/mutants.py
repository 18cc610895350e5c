"""Small damages to files, as disks, copies and editors do them, and what each kind of file is asked then."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from caloforge.showers import Showers, open_showers

Change = Callable[[bytes, np.random.Generator], bytes]
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_ODD = (
    b"0|-1|1e999|-1e-300|nan|.inf|2024-13-45|0x|1_0|12:34:56|null|''|[]|{}|~|true|999999999999999999999|1e9"
    b"|!!int x|&a *a|0o9|${HOME}|a: b: c|\xff\xfe"
).split(b"|")


def _place(data: bytes, rng: np.random.Generator) -> tuple[int, int]:
    """A stretch of the file, mostly a short one."""
    start = int(rng.integers(len(data)))
    return start, min(len(data), start + int(2 ** rng.uniform(0, 9)))


def flip(data: bytes, rng: np.random.Generator) -> bytes:
    """Turn one bit round."""
    at, bit = int(rng.integers(len(data))), int(rng.integers(8))
    return data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]


def overwrite(data: bytes, rng: np.random.Generator) -> bytes:
    """Put random bytes in place of a stretch."""
    start, stop = _place(data, rng)
    return data[:start] + rng.bytes(stop - start) + data[stop:]


def zero(data: bytes, rng: np.random.Generator) -> bytes:
    """Put zeros in place of a stretch, as a power cut does."""
    start, stop = _place(data, rng)
    return data[:start] + bytes(stop - start) + data[stop:]


def truncate(data: bytes, rng: np.random.Generator) -> bytes:
    """Keep the beginning, as a copy that did not finish."""
    return data[: int(rng.integers(len(data)))]


def delete(data: bytes, rng: np.random.Generator) -> bytes:
    """Leave a stretch out."""
    start, stop = _place(data, rng)
    return data[:start] + data[stop:]


def repeat(data: bytes, rng: np.random.Generator) -> bytes:
    """Have a stretch twice."""
    start, stop = _place(data, rng)
    return data[:stop] + data[start:]


def swap(data: bytes, rng: np.random.Generator) -> bytes:
    """Exchange two stretches of equal length."""
    size = min(len(data) // 2, int(2 ** rng.uniform(3, 9)))
    one, two = sorted(int(at) for at in rng.integers(0, len(data) - size + 1, 2))
    if two < one + size:
        return flip(data, rng)
    return (
        data[:one]
        + data[two : two + size]
        + data[one + size : two]
        + data[one : one + size]
        + data[two + size :]
    )


def odd_number(data: bytes, rng: np.random.Generator) -> bytes:
    """Put something odd in place of a number of a text."""
    found = list(_NUMBER.finditer(data))
    if not found:
        return flip(data, rng)
    match = found[int(rng.integers(len(found)))]
    return data[: match.start()] + _ODD[int(rng.integers(len(_ODD)))] + data[match.end() :]


def odd_line(data: bytes, rng: np.random.Generator) -> bytes:
    """Leave out, double, indent or exchange lines of a text."""
    lines = data.splitlines(keepends=True)
    one, two = (int(at) for at in rng.integers(0, len(lines), 2))
    how = int(rng.integers(4))
    if how == 0:
        del lines[one]
    elif how == 1:
        lines.insert(two, lines[one])
    elif how == 2:
        lines[one] = b"  " + lines[one]
    else:
        lines[one], lines[two] = lines[two], lines[one]
    return b"".join(lines)


BINARY: tuple[Change, ...] = (flip, flip, overwrite, zero, truncate, delete, repeat, swap)
TEXT: tuple[Change, ...] = (
    flip,
    overwrite,
    truncate,
    delete,
    repeat,
    odd_number,
    odd_number,
    odd_line,
    odd_line,
)


def _command(*words: str) -> None:
    """Run the command line as `caloforge` does; ends the process unless all went well."""
    from caloforge.cli.main import main

    sys.argv = ["caloforge", *words]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise


def _wrong(what: str) -> None:
    """Say that a damaged file was taken for a good one."""
    sys.stdout.write(f"WRONG: {what}\n")
    raise SystemExit(99)


def detector(path: str, _: str) -> None:
    """A detector that is shown is one: its cells are somewhere and have a size, and it can be written."""
    from caloforge.detector import Detector, load_detector

    _command("detector", "show", path)
    found = load_detector(path)
    if not (
        np.isfinite(found.positions).all() and (found.sizes > 0).all() and np.isfinite(found.volumes).all()
    ):
        _wrong("cells without place or size")
    if Detector.from_yaml(found.to_yaml()) != found:
        _wrong("it is another one when it is written")


def binning(path: str, _: str) -> None:
    """A binning that is read is a detector."""
    from caloforge.detector import read_binning_xml

    found = read_binning_xml(path)
    if not (np.isfinite(found.positions).all() and (found.sizes > 0).all()):
        _wrong("cells without place or size")


def recipe(path: str, data: str) -> None:
    """A recipe that is taken trains, for half a second, and is the same when it is written."""
    from caloforge.training import load_recipe

    out = f"{path}.run"
    _command("train", path, "--data", data, "--out", out, "--minutes", "0.01")
    one, two = (load_recipe(file).model_dump_json() for file in (path, f"{out}/recipe.yaml"))
    learned = ("data", "model", "objective", "schedule")
    if any(json.loads(one)[key] != json.loads(two)[key] for key in learned):
        _wrong("it is another one when it is written")


def store(path: str, original: str) -> None:
    """Our own showers are those that were written, or refused."""
    _command("inspect", path)
    if not _same(_all(path), _all(original)):
        _wrong("other showers than were written")


def journal(path: str, original: str) -> None:
    """Showers that are being produced are those that were written; if the last ones are torn, it is said."""
    _command("inspect", path)
    found, wanted = _all(path), _all(original)
    with open_showers(path) as file:
        told = any("left out" in note for note in file.notes)
    if not _same(found, wanted[: len(found)]) or (len(found) < len(wanted) and not told):
        _wrong(f"other showers than were written, {len(found)} of {len(wanted)}")


def foreign(path: str, _: str) -> None:
    """Files without checksums hold energies that can be, or are refused."""
    _command("inspect", path)
    found = _all(path)
    for values in (found.cells, found.incident.energy, found.incident.theta):
        if not np.isfinite(values).all():
            _wrong("energies that are no numbers")
    if (found.cells < 0).any():
        _wrong("negative energies")


def bundle(folder: str, original: str) -> None:
    """A bundle makes the showers that it made, for the same particles, or is refused."""
    _generates_the_same(folder, original)
    from caloforge.deploy import Bundle

    if Bundle.open(folder).manifest != Bundle.open(original).manifest:
        _wrong("another manifest")


def run(folder: str, original: str) -> None:
    """A run makes the showers that it made, for the same particles, or is refused."""
    _generates_the_same(folder, original)
    from caloforge.training import Run

    one, two = Run.open(folder), Run.open(original)
    if one.provenance != two.provenance or one.incident_range != two.incident_range:
        _wrong("another history")
    json.dumps(one.summary())


def _generates_the_same(folder: str, original: str) -> None:
    out, wanted = Path(f"{folder}.h5"), Path(f"{original}.h5")
    for source, file in ((original, wanted), (folder, out)):
        if not file.exists():
            _command(
                "generate", source, "--energy", "10:50GeV", "--count", "3", "--seed", "5", "--out", str(file)
            )
    if not _same(_all(str(out)), _all(str(wanted))):
        _wrong("other showers than it made")


def _all(path: str) -> Showers:
    with open_showers(path) as file:
        return file.read(0, len(file))


def _same(one: Showers, two: Showers) -> bool:
    return (
        one.detector == two.detector
        and len(one) == len(two)
        and one.cells.tobytes() == two.cells.tobytes()
        and all(
            np.array_equal(a, b)
            for (_, a), (_, b) in zip(one.incident.items(), two.incident.items(), strict=True)
        )
        and (one.overflow is None) == (two.overflow is None)
        and (one.overflow is None or two.overflow is None or one.overflow.tobytes() == two.overflow.tobytes())
    )


# --- what the judge is judged by ---


def _dies() -> None:
    os.kill(os.getpid(), 9)


def _waits() -> None:
    time.sleep(60)


def _raises() -> None:
    raise ValueError


def _eats(megabytes: str) -> None:
    np.ones(int(megabytes) * 125_000)
