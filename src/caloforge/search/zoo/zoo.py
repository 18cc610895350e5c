"""The verb: generators of one detector, measured in one way, and a page of quality against time."""

from __future__ import annotations

__all__ = ["zoo"]

import hashlib
import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from caloforge import __version__, machine
from caloforge.deploy.bench.measure import PACKAGES
from caloforge.deploy.bundle import Bundle
from caloforge.deploy.bundle.validity import Span
from caloforge.deploy.bundled import bundled
from caloforge.errors import SearchError
from caloforge.particles import particle_name
from caloforge.progress import Progress
from caloforge.search.zoo.measure import BATCHES, Judges, measure
from caloforge.search.zoo.page import PAGE, page
from caloforge.search.zoo.record import FILE, Sample, Zoo, read_zoo
from caloforge.search.zoo.traits import traits_of
from caloforge.showers import open_showers
from caloforge.showers.container import same_detector
from caloforge.writing import locked_folder, replace_text

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,59}")
_PIECE = 1 << 20


def zoo(
    members: Mapping[str, str | Path],
    reference: str | Path,
    floor: str | Path,
    out: str | Path,
    *,
    seconds: float = 2.0,
    progress: Progress | None = None,
) -> Zoo:
    """Measure generators of one detector in the same way, and write a page of quality against time.

    Each makes showers of the reference's incident particles, is compared with it by `validate`, and timed on
    one core, in a process of its own, with every runtime that there is. A zoo grows: what is in `out` stays,
    and a member with the same weights is not measured again.

    Args:
        members: Runs, bundles, or names of runs that come with caloforge, by the names that they are to have.
        reference: File of Geant4's showers that no member has seen in its training.
        floor: File of other showers of Geant4; members may have been trained on them.
        out: Folder of `zoo.json`, `zoo.html` and a report for each member.
        seconds: How long each batch size is timed, at least.
        progress: Told after every member.

    Returns:
        What `zoo.json` holds.

    Raises:
        SearchError: Names that are none, a generator of another detector, or `out` holds a zoo of other
            showers or of another machine.
        BundleError, RunError, ShowersError, RangeError: A file or folder that is none, is damaged, or does
            not go with the others.
        OutputError: `out` cannot be written, or another process writes there.

    Example:
        >>> found = zoo({"fit": "runs/fit"}, "unseen.h5", "floor.h5", "zoo")  # doctest: +SKIP
    """
    _check_names(members)
    judges = Judges(Path(reference), Path(floor), seconds)
    with ExitStack() as stack:
        folder = stack.enter_context(locked_folder(Path(out)))
        record = _begin(folder, judges)
        # All are opened before any is measured: a wrong name shows at once.
        opened = [(name, source, stack.enter_context(bundled(source))) for name, source in members.items()]
        for name, _, bundle in opened:
            _same_detector(name, bundle, record)
        todo = [one for one in opened if not _done(record, one[0], one[2])]
        for done, (name, source, bundle) in enumerate(todo):
            tell = _teller(progress, done, len(todo), name)
            record = measure(record, name, source, bundle, judges, folder, tell)
            _write(folder, record)
        _write(folder, record)
        if progress:
            progress(len(todo), len(todo), "page written")
    return record


def _check_names(members: Mapping[str, str | Path]) -> None:
    if not members:
        raise SearchError("there is nothing to measure", expected="a run or a bundle, or several")
    for name in members:
        if not _NAME.fullmatch(name):
            raise SearchError(
                "this cannot be the name of a member",
                got=repr(name),
                expected="letters, digits and . _ + -, at most 60 of them",
                cure="name it: NAME=RUN",
            )


def _begin(folder: Path, judges: Judges) -> Zoo:
    """Return the zoo that is there and goes on, or a new one."""
    fresh = _fresh(judges)
    if not (folder / FILE).exists():
        return fresh
    found = read_zoo(folder)
    for what in ("detector", "reference", "floor_sample", "machine"):
        old, new = getattr(found, what), getattr(fresh, what)
        if (getattr(old, "sha256", None) or old) != (getattr(new, "sha256", None) or new):
            raise SearchError(
                f"the zoo in that folder has another {_CALLED[what]}: its figures could not be compared",
                where=folder / FILE,
                got=_short(new),
                expected=_short(old),
                cure="choose another --out, or go on with what that zoo was begun with",
            )
    return found


_CALLED = {
    "detector": "detector",
    "reference": "file that judges",
    "floor_sample": "file for the floor",
    "machine": "machine",
}


def _short(value: object) -> str:
    return f"{value.file}, {value.showers:,} showers" if isinstance(value, Sample) else str(value)


def _fresh(judges: Judges) -> Zoo:
    with open_showers(judges.reference) as file, open_showers(judges.floor) as other:
        same_detector(file.detector, other.detector, judges.floor)
        incident, detector = file.incident(), file.detector
        samples = [_sample(judges.reference, len(file)), _sample(judges.floor, len(other))]
    if samples[0].sha256 == samples[1].sha256:
        raise SearchError(
            "the floor is the file that judges",
            where=judges.floor,
            expected="other showers of Geant4, independent of the reference",
        )
    names = ", ".join(particle_name(pdg) for pdg in np.unique(incident.pdg).tolist())
    span = Span(min=float(incident.energy.min()), max=float(incident.energy.max()), unit="MeV")
    return Zoo(
        caloforge=__version__,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        detector=traits_of(detector),
        particles=f"{names} of {span}",
        reference=samples[0],
        floor_sample=samples[1],
        machine=machine.processor(),
        versions=machine.versions(*PACKAGES),
        batches=BATCHES,
    )


def _sample(path: Path, showers: int) -> Sample:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for piece in iter(lambda: file.read(_PIECE), b""):
            digest.update(piece)
    return Sample(file=path.name, showers=showers, sha256=digest.hexdigest())


def _same_detector(name: str, bundle: Bundle, record: Zoo) -> None:
    entry = bundle.manifest.detector
    if entry.digest != record.detector.digest:
        raise SearchError(
            "this generator makes showers of another detector",
            where=name,
            got=entry.name,
            expected=f"{record.detector.name}, whose showers are in {record.reference.file}",
            cure="leave it out; each detector has a zoo of its own",
        )


def _done(record: Zoo, name: str, bundle: Bundle) -> bool:
    """Say whether these weights were measured under that name, in the same model: it may take other steps."""
    known, provenance = record.member(name), bundle.manifest.provenance
    weights = provenance.get("weights_sha256")
    if known is None or not weights or known.weights_sha256 != weights:
        return False
    return known.model == dict((provenance.get("recipe") or {}).get("model", {}))


def _teller(progress: Progress | None, done: int, many: int, name: str) -> Callable[[str], None]:
    def tell(what: str) -> None:
        if progress:
            progress(done, many, f"{name}: {what}")

    return tell


def _write(folder: Path, record: Zoo) -> None:
    replace_text(folder / FILE, record.to_json())
    replace_text(folder / PAGE, page(record, folder))
