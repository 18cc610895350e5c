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
    def choose(cls, schedule: ScheduleSettings) -> Hardware:
        """Turn `auto` into what this machine does best.

        Raises:
            TrainingError: A GPU was asked for and there is none.
        """
        if schedule.device == "cuda" and not torch.cuda.is_available():
            raise TrainingError(
                "there is no GPU that torch can use",
                where="schedule.device",
                got="cuda",
                cure="leave it at auto, or install torch with CUDA",
            )
        cuda = schedule.device != "cpu" and torch.cuda.is_available()
        device = torch.device("cuda" if cuda else "cpu")
        if schedule.precision != "auto":
            return cls(device, schedule.precision)
        return cls(device, "bf16" if _native_bf16(device) else "fp32")

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context in which networks are evaluated."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")


def _native_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        # Before compute capability 8 bf16 is emulated, and slower than fp32.
        return torch.cuda.get_device_capability(device) >= (8, 0)
    info = Path("/proc/cpuinfo")
    return info.is_file() and "amx_bf16" in info.read_text(errors="replace")
