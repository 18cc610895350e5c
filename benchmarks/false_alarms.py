"""How often a report blames Geant4 itself, and how often it finds a fault that is there.

    python benchmarks/false_alarms.py calogan/positrons.h5 calogan/positrons-2.h5
    python benchmarks/false_alarms.py clic/electrons.h5 --pairs 40 --metrics distributions,response
    python benchmarks/false_alarms.py clic/electrons.h5 --showers 1500 --pairs 10 --fault narrow

The showers of all files are shuffled for each report: reference, floor and candidate are disjoint,
`--showers` each; two reports share some. `--fault` breaks the candidate in one of the ways of
broken_samples.py. The table counts the reports that say something of the candidate, each thing once.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from broken_samples import FAULTS

from caloforge.showers import Incident, Showers, open_showers
from caloforge.validation.bar import Bar
from caloforge.validation.compare import Comparison, Given, compare
from caloforge.validation.inputs.source import open_source
from caloforge.validation.registry import Options, pick

_ABOUT_THE_SAMPLES = ("Small samples",)


def main() -> None:
    """Make the reports and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--showers", type=int, default=750, help="in each of the three samples")
    parser.add_argument("--pairs", type=int, default=100, help="how many reports")
    parser.add_argument("--metrics", default="quick")
    parser.add_argument("--fault", choices=tuple(FAULTS))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    pool = _pool(options.files)
    said: Counter[str] = Counter()
    began = time.perf_counter()
    for pair in range(options.pairs):
        rows = np.random.default_rng([options.seed, pair]).permutation(len(pool))[: 3 * options.showers]
        candidate = pool[np.sort(rows[: options.showers])]
        if options.fault:
            candidate = FAULTS[options.fault](candidate)
        reference = pool[np.sort(rows[options.showers :])]
        said.update(_said(_compared(reference, candidate, options.metrics, pair)))
        print(f"{pair + 1} {dict(said)}", file=sys.stderr)
    _table(said, options, time.perf_counter() - began)


def _pool(files: Sequence[Path]) -> Showers:
    """Read all showers; what files of one detector say about it may differ in its text."""
    parts = []
    for name in files:
        with open_showers(name) as file:
            parts.append(Showers.concat(list(file.chunks(1000))))
    incident = Incident.concat([part.incident for part in parts])
    return Showers(parts[0].detector, incident, np.concatenate([p.cells for p in parts]))


def _compared(reference: Showers, candidate: Showers, metrics: str, seed: int) -> Comparison:
    with (
        tempfile.TemporaryDirectory() as folder,
        open_source(reference) as one,
        open_source(candidate) as other,
    ):
        entries = pick(metrics, [], False, False)
        return compare(
            Given(one, {"candidate": other}), entries, Options(), seed, Path(folder), Bar(None, 1.0)
        )


def _said(report: Comparison) -> set[str]:
    """What a report says of its candidate, each thing once."""
    findings = [f for f in report.findings[0] if f.title not in _ABOUT_THE_SAMPLES]
    marked = {name for name, number in report.numbers(0).items() if number.off and "." not in name}
    said = {f"{f.severity}: {_plain(f.title)}" for f in findings}
    said |= {f"any {f.severity}" for f in findings}
    said |= {f"marked: {name}" for name in marked} | ({"any number marked"} if marked else set())
    return said | ({"verdict other than the floor"} if report.verdicts[0].level != "floor" else set())


def _plain(title: str) -> str:
    """Return a title without the numbers in it."""
    return " ".join("N" if any(c.isdigit() for c in word) else word for word in title.split())


def _table(said: Counter[str], options: argparse.Namespace, seconds: float) -> None:
    what = options.fault or "Geant4 itself"
    print(
        f"\n{options.pairs} reports, {options.showers} showers in each sample, candidate: {what}, metrics "
        f"{options.metrics}; {seconds / options.pairs:.1f} s each\n\n| said | reports |\n|---|---|"
    )
    for text, count in sorted(
        said.items(), key=lambda pair: (not pair[0].startswith(("any", "v")), -pair[1])
    ):
        print(f"| {text} | {count} |")


if __name__ == "__main__":
    main()
