"""Electrical energy of the processors, where the machine tells: Linux's powercap, as RAPL fills it."""

from __future__ import annotations

__all__ = ["EnergyMeter"]

from pathlib import Path

_POWERCAP = Path("/sys/class/powercap")


class EnergyMeter:
    """Joules since it was made, of all processor packages together, whoever uses them.

    Args:
        root: Where the system shows its counters.
    """

    def __init__(self, root: Path = _POWERCAP) -> None:
        self._zones = [zone for zone in sorted(root.glob("intel-rapl:*")) if zone.name.count(":") == 1]
        self._start = self._read()

    def joules(self) -> float | None:
        """Return the energy; None where the machine does not tell, or not to this user."""
        now = self._read()
        if not self._start or not now:
            return None
        spent = [(end - start) % wrap for (start, wrap), (end, _) in zip(self._start, now, strict=True)]
        return sum(spent) / 1e6

    def _read(self) -> list[tuple[int, int]]:
        """Counter of each package, and where it begins again at 0, in microjoules."""
        try:
            return [
                (_number(zone / "energy_uj"), _number(zone / "max_energy_range_uj")) for zone in self._zones
            ]
        except (OSError, ValueError):  # readable by the superuser alone on most machines
            return []


def _number(path: Path) -> int:
    return int(path.read_text())
