"""Studies on a cluster: classifiers are trained there, while the other studies are made here."""

from __future__ import annotations

__all__ = ["study_elsewhere", "without_cells"]

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain
from typing import Any

from caloforge.cluster import Chunk, Cluster, Fault, Outcome
from caloforge.errors import ValidationError
from caloforge.validation.inputs.sample import Sample
from caloforge.validation.inputs.samples import Samples
from caloforge.validation.registry import Entry, Options
from caloforge.validation.study import Study, Tell

_NOTHING = -1


def study_elsewhere(
    entries: Sequence[Entry],
    samples: Samples,
    options: Options,
    cluster: Cluster,
    here: Callable[[], Sequence[Study]],
    tell: Callable[[], Tell],
) -> tuple[Study, ...]:
    """Make studies on a cluster, one as one chunk, and others here meanwhile.

    Args:
        entries: Studies that need nothing on this disk.
        samples: What they look at; it goes to the workers.
        options: How classifiers are trained.
        cluster: Where.
        here: Makes the other studies.
        tell: Returns what is told of the studies on the cluster.

    Returns:
        The studies on the cluster, and then the others.
    """
    bare = without_cells(samples)
    chunks = [
        Chunk(number, (entry, bare if entry.light else samples, options))
        for number, entry in enumerate(entries)
    ]
    # Before the first outcome, all are under way: with nothing to do in one, that is soon.
    with closing(cluster.run(_study, [Chunk(_NOTHING, ()), *chunks], len(chunks))) as outcomes:
        first = next(outcomes)
        beside = here()
        found = dict(_results(chain([first], outcomes), entries, tell()))
    return (*(found[i] for i in range(len(entries))), *beside)


def without_cells(samples: Samples) -> Samples:
    """Return samples for studies that need none: much less to send."""

    def bare(sample: Sample) -> Sample:
        return replace(sample, cells=sample.cells[:0])

    reference, floor = bare(samples.reference), bare(samples.floor)
    candidates = tuple(bare(candidate) for candidate in samples.candidates)
    return Samples(samples.detector, reference, floor, candidates, seed=samples.seed)


def _results(
    outcomes: Iterable[Outcome], entries: Sequence[Entry], tell: Tell
) -> Iterator[tuple[int, Study]]:
    done, total = 0.0, sum(entry.seconds for entry in entries)
    tell(0.0, "waiting for the cluster")
    for outcome in outcomes:
        if outcome.chunk.number == _NOTHING:
            continue
        entry = entries[outcome.chunk.number]
        if outcome.fault:
            raise _fault(entry, outcome.fault)
        done += entry.seconds
        tell(done / total, entry.name)
        yield outcome.chunk.number, outcome.result


def _fault(entry: Entry, fault: Fault) -> Exception:
    if fault.kind == "raised":
        return fault.error
    return ValidationError(
        "a study ended every process that made it",
        where=entry.name,
        got=f"{fault.deaths} processes died",
        cure="most often memory was short: use workers with more, or leave the study out",
    )


def _study(*what: Any) -> Study | None:
    if not what:
        return None
    entry, samples, options = what
    study: Study = entry.run(samples, _silent, options)
    return study


def _silent(_: float, __: str) -> None:
    """Tell nobody."""
