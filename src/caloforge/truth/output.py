"""The files of a production: one for each readout of the same showers."""

from __future__ import annotations

__all__ = ["OutputFiles", "check_readouts", "readout_path"]

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caloforge.errors import DetectorError, ShowersError
from caloforge.showers import Showers, ShowerWriter
from caloforge.truth.environment import versions

if TYPE_CHECKING:
    from typing_extensions import Self

    from caloforge.detector import Detector
    from caloforge.showers import Incident
    from caloforge.truth.pool import Energies


def check_readouts(detector: Detector, others: Sequence[Detector]) -> None:
    """Refuse readouts of something else, and two of one name.

    Raises:
        DetectorError: The particles would not meet the same matter, or files would have one name.
    """
    for other in others:
        if _matter(other) != _matter(detector):
            raise DetectorError(
                f"the readout {other.name!r} is of other matter than {detector.name!r}",
                where="--readout",
                expected="the same shape, size and slabs (materials, thicknesses); anything else may differ",
            )
    names = [detector.name, *(other.name for other in others)]
    for name in names:
        if names.count(name) > 1:
            raise DetectorError(
                f"two readouts have the name {name!r}",
                where="--readout",
                cure="give each file a name of its own (`name:`): it is part of its showers' file name",
            )


def readout_path(out: Path, detector: Detector) -> Path:
    """Where the showers of another readout are written: `showers.NAME.h5` beside `showers.h5`."""
    return out.with_name(f"{out.stem}.{detector.name}{out.suffix}")


class OutputFiles:
    """Writes the showers of a production to the file of each readout.

    A context manager; see `ShowerWriter` for what survives.

    Args:
        out: File of the first detector.
        detectors: One for each readout.
        provenance: How the showers are made.
        resume: Go on with what an interrupted production left.

    Attributes:
        done: Showers that are in all files.
    """

    def __init__(
        self, out: str | Path, detectors: Sequence[Detector], provenance: dict[str, Any], resume: bool
    ) -> None:
        first, *others = detectors
        paths = [Path(out), *(readout_path(Path(out), other) for other in others)]
        told = [provenance, *({**provenance, "simulated_as": first.name} for _ in others)]
        self._writers: list[ShowerWriter] = []
        with ExitStack() as opened:
            for path, detector, says in zip(paths, detectors, told, strict=True):
                self._writers.append(opened.enter_context(ShowerWriter(path, detector, says, resume=resume)))
            self._opened = opened.pop_all()
        self.done = min(writer.done for writer in self._writers)

    def check_resumed(self, options: Mapping[str, Any]) -> None:
        """Refuse to mix showers of two productions in one file.

        Raises:
            ShowersError: What is there was started with other options, or other versions.
        """
        for writer in self._writers:
            _check_resumed(writer, options)

    def append(self, incident: Incident, readouts: Sequence[Energies]) -> None:
        """Write a batch; showers that an interrupted production left in some files only are written once."""
        for writer, energies in zip(self._writers, readouts, strict=True):
            cells, overflow, time = energies
            showers = Showers(writer.detector, incident, cells, overflow, time=time)
            writer.append(showers[writer.done - self.done :])
        self.done += len(incident)

    def tell(self, figures: Mapping[str, Any]) -> None:
        """Add to the provenance of all files."""
        for writer in self._writers:
            writer.provenance.update(figures)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: Any) -> None:
        self._opened.__exit__(*failure)


def _matter(detector: Detector) -> tuple[Any, ...]:
    slabs = tuple((detector.made_of(slab), slab.thickness) for slab in detector.slabs)
    return detector.shape, detector.size, detector.inner_radius, slabs


def _check_resumed(writer: ShowerWriter, options: Mapping[str, Any]) -> None:
    """Refuse to mix showers of two productions in one file, and to throw any away.

    A production may be resumed with another count: shower `i` of a seed does not depend on it.
    """
    if writer.earlier is None:
        return
    if writer.done > options["count"]:
        raise ShowersError(
            "this production has made more showers than that",
            where=writer.path,
            got=f"--count {options['count']}",
            expected=f"{writer.done} or more",
        )
    for key, value in options.items():
        earlier = writer.earlier.get(key, 0 if key == "first" else None)  # productions began at 0 once
        if key != "count" and earlier != value:
            raise ShowersError(
                f"this production was started with another {key.removeprefix('impact_').split('_')[0]}",
                where=writer.path,
                got=f"{key} = {value}",
                expected=f"{key} = {earlier}",
                cure="resume with the options it was started with, or write to another file",
            )
    for package, version in versions().items():
        earlier = writer.earlier.get("versions", {}).get(package)
        if package != "caloforge" and earlier != version:
            raise ShowersError(
                f"this production was started with another version of {package}",
                where=writer.path,
                got=version,
                expected=earlier,
                cure="install that version, or write to another file",
            )
