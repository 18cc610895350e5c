"""What a bundle takes over from a report of `caloforge validate`, if that is about its generator."""

from __future__ import annotations

__all__ = ["read_report"]

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from caloforge.deploy.bundle.figures import Figure, Report, Sample, figure_of
from caloforge.documents import Kind, check_json, read_json
from caloforge.errors import BundleError

_REPORT = Kind("report", BundleError, cure="make it again with `caloforge validate`", most=200_000_000)
_FILE = "report.json"


class _Lenient(BaseModel):
    """A part of a report of which only some keys matter here."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class _Number(_Lenient):
    label: str
    unit: str
    value: float | None
    error: float | None
    floor: float | None
    floor_error: float | None
    off: bool


class _Verdict(_Lenient):
    title: str
    text: str


class _Candidate(_Lenient):
    file: str
    showers: int
    provenance: dict[str, Any]
    verdict: _Verdict
    numbers: dict[str, _Number]

    @property
    def generator(self) -> dict[str, Any]:
        """What made its showers, as their file says; nothing if it does not."""
        said = self.provenance.get("generator")
        return said if isinstance(said, dict) else {}


class _File(_Lenient):
    name: str
    showers: int


class _Report(_Lenient):
    """`report.json`, of the layout that is known here."""

    caloforge: str
    files: dict[str, _File]
    showers_compared: int
    floor: str
    candidates: dict[str, _Candidate]


def read_report(path: str | Path, weights_sha256: str) -> Report:
    """Return what a report says of a generator.

    Args:
        path: The folder that `caloforge validate` has written, or the JSON in it.
        weights_sha256: Of the generator: its showers must be among those that were judged.

    Raises:
        BundleError: No report, or one of another generator.
    """
    file = Path(path) / _FILE if Path(path).is_dir() else Path(path)
    report = check_json(_of_this_layout(read_json(file, _REPORT), file), _Report, str(file), _REPORT)
    candidate = _judged(report, weights_sha256, file)
    samples = {role: Sample(name=said.name, showers=said.showers) for role, said in report.files.items()}
    return Report(
        caloforge=report.caloforge,
        files=samples | {"candidate": Sample(name=candidate.file, showers=candidate.showers)},
        showers_compared=report.showers_compared,
        floor=report.floor,
        verdict=candidate.verdict.title,
        text=candidate.verdict.text,
        figures=_figures(candidate.numbers),
    )


def _of_this_layout(content: Any, file: Path) -> dict[str, Any]:
    from caloforge.validation.report.report import SCHEMA

    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA:
        raise BundleError(
            "this is not a report, or one of another version",
            where=file,
            got=f"schema {schema!r}",
            expected=f"schema {SCHEMA}",
            cure=_REPORT.cure,
        )
    return dict(content)


def _judged(report: _Report, weights_sha256: str, file: Path) -> _Candidate:
    for candidate in report.candidates.values():
        made_by = candidate.generator
        if made_by.get("weights_sha256") == weights_sha256 and made_by.get("precision", "fp32") == "fp32":
            return candidate
    said = {name: _origin(candidate.generator) for name, candidate in report.candidates.items()}
    raise BundleError(
        "the report is not about this generator",
        where=file,
        got="; ".join(f"{name}: {origin}" for name, origin in said.items()),
        expected=f"showers made in fp32 with the weights {weights_sha256[:12]}...",
        cure="`caloforge generate RUN --like GEANT4.h5 --out OWN.h5` makes showers with this run, "
        "`caloforge validate GEANT4.h5 OWN.h5 --out REPORT` judges them",
    )


def _origin(generator: Mapping[str, Any]) -> str:
    if not generator:
        return "its file does not say what made it"
    weights = str(generator.get("weights_sha256", "unknown weights"))
    precision = generator.get("precision", "fp32")
    return f"{generator.get('name', 'a generator')} in {precision} with the weights {weights[:12]}..."


def _figures(numbers: Mapping[str, _Number]) -> dict[str, Figure]:
    """Those that have a floor, what matters most first."""
    from caloforge.validation.report.report import KEYS

    order = [name for name in KEYS if name in numbers] + [name for name in numbers if name not in KEYS]
    found = {name: figure_of(**numbers[name].model_dump()) for name in order}
    return {name: figure for name, figure in found.items() if figure is not None}
