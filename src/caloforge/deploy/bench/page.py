"""The table as people read it, and as a page in Markdown."""

from __future__ import annotations

__all__ = ["markdown", "readable"]

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from caloforge.deploy.bench.geant4_cost import Geant4Cost
from caloforge.deploy.bench.result import percent, three_digits

_NOT_TOLD = "not told by this machine"
_COLUMNS = """\
* **ms per shower**: wall time, median over calls, drawing the noise and the threshold included; **CPU ms**:
  all threads together, mean. Geant4's is CPU time of one core, and **times Geant4** compares CPU times.
* **of best**: share of the speed that this processor cannot exceed, given by its product of two float32
  matrices and by its reading as many bytes, both measured by numpy in the same run. int8 may exceed it.
* **CPU use**: CPU time over wall time and threads.
* **MB**: peak memory of a process that runs this engine alone, Python and its libraries included.
* **mJ per shower**: of all processor packages while it ran, whoever used them.
"""


def readable(rows: Sequence[Mapping[str, Any]], geant4: Mapping[str, Geant4Cost]) -> list[dict[str, str]]:
    """Return the rows with the headings as keys, each generator's Geant4 after its own."""
    out = []
    for name, group in groupby(rows, key=lambda row: str(row["name"])):
        out += [_row(row) for row in group]
        if name in geant4:
            out.append(_geant4_row(name, geant4[name]))
    return out


def _row(row: Mapping[str, Any]) -> dict[str, str]:
    joules = row["joules_per_shower"]
    return {
        "generator": row["name"],
        "runtime": row["runtime"],
        "precision": row["precision"],
        "threads": str(row["threads"]),
        "batch": str(row["batch"]),
        "ms per shower": three_digits(row["ms_per_shower"]),
        "CPU ms": three_digits(row["cpu_ms_per_shower"]),
        "of best": percent(row["share_of_best"]),
        "CPU use": percent(row["cpu_use"]),
        "MB": f"{row['peak_memory_mb']:.0f}",
        "mJ per shower": "" if joules is None else three_digits(1e3 * joules),
        "times Geant4": f"{row['speed_up']:,.0f}" if "speed_up" in row else "",
    }


def _geant4_row(name: str, cost: Geant4Cost) -> dict[str, str]:
    ms = three_digits(cost.ms_per_shower)
    told = {"generator": name, "runtime": "Geant4", "threads": "1", "batch": "1", "times Geant4": "1"}
    heads = ("precision", "ms per shower", "CPU ms", "of best", "CPU use", "MB", "mJ per shower")
    order = ("generator", "runtime", "precision", "threads", "batch", *heads[1:], "times Geant4")
    values = dict.fromkeys(heads, "") | told | {"ms per shower": ms, "CPU ms": ms}
    return {head: values[head] for head in order}


def markdown(content: Mapping[str, Any], rows: Sequence[Mapping[str, str]]) -> str:
    """Return a page.

    Args:
        content: The table as plain values.
        rows: What `readable` made of it.
    """
    versions = ", ".join(f"{name} {version}" for name, version in content["versions"].items())
    told = any(row["joules_per_shower"] is not None for row in content["rows"])
    parts = [
        f"# What a shower costs ({content['created'][:10]})",
        f"{content['machine']}; {versions}.",
        f"Made by\n\n```bash\n{content['command']}\n```",
        "\n".join(f"* {name}: energies {energies}." for name, energies in content["energies"].items()),
        _table(rows),
        _COLUMNS + ("" if told else f"  Energy: {_NOT_TOLD}."),
    ]
    how = [f"* Geant4 for {name}: {cost['how']}." for name, cost in content["geant4"].items()]
    how += [f"* {what} could not run here: {why}." for what, why in content["failed"].items()]
    return "\n\n".join(part for part in (*parts, "\n".join(how)) if part) + "\n"


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    heads = list(rows[0])
    lines = [heads, ["---"] * len(heads), *([row[head] for head in heads] for row in rows)]
    return "\n".join(f"| {' | '.join(_cell(text) for text in line)} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
