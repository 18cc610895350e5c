"""Where a training computes and with what precision."""

from __future__ import annotations

__all__ = ["Hardware"]

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from caloforge.errors import TrainingError

if TYPE_CHECKING:
    from caloforge.training.place import Place
    from caloforge.training.recipe import ScheduleSettings


@dataclass(frozen=True)
class Hardware:
    """A device and a precision.

    Attributes:
        device: The processor or a GPU.
        precision: `fp32`, or `bf16` for products of matrices while weights and sums stay fp32.
    """

    device: torch.device
    precision: str

    @classmethod
    def choose(cls, schedule: ScheduleSettings, place: Place | None = None) -> Hardware:
        """Turn `auto` into what this machine does best.

        Args:
            schedule: What the recipe says.
            place: Which of several processes this is: on a machine with several GPUs, each takes its own.

        Raises:
            TrainingError: A GPU was asked for and there is none, or there are more processes than GPUs.
        """
        if schedule.device == "cuda" and not torch.cuda.is_available():
            raise TrainingError(
                "there is no GPU that torch can use",
                where="schedule.device",
                got="cuda",
                cure="leave it at auto, or install torch with CUDA",
            )
        cuda = schedule.device != "cpu" and torch.cuda.is_available()
        device = _gpu(place) if cuda else torch.device("cpu")
        if schedule.precision != "auto":
            return cls(device, schedule.precision)
        return cls(device, "bf16" if _native_bf16(device) else "fp32")

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context in which networks are evaluated."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")


def _gpu(place: Place | None) -> torch.device:
    """The GPU of this process, which becomes torch's current one."""
    found = torch.cuda.device_count()
    # Where the launcher shows each process one GPU only, that is the one.
    number = place.local if place is not None and found > 1 else 0
    if number >= found:
        raise TrainingError(
            "there are more processes than GPUs on this machine",
            got=f"process {number} of this machine, {found} GPUs",
            cure=f"start {found} processes on each machine, or train with --set schedule.device=cpu",
        )
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


def _native_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        # Before compute capability 8 bf16 is emulated, and slower than fp32.
        return torch.cuda.get_device_capability(device) >= (8, 0)
    info = Path("/proc/cpuinfo")
    flags = info.read_text(errors="replace") if info.is_file() else ""
    return "amx_bf16" in flags or "avx512_bf16" in flags
