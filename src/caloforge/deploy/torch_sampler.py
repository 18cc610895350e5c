"""The generator of a run as a source of showers. The one part of this room that needs torch."""

from __future__ import annotations

__all__ = ["RunSampler"]

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caloforge.deploy.bundle import file_entry
from caloforge.deploy.bundle.validity import Validity


class RunSampler:
    """Makes showers with the weights of a run, on the processor.

    Args:
        path: Folder of the run.
        threads: Threads of torch; by default as torch was told to.

    Attributes:
        opened: The run.
        threads: Threads in use.
        generator: Its generator with the trained weights.

    Raises:
        RunError: Not a run, or nothing trained in it yet.
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        import torch

        from caloforge.training import Run

        if threads:
            torch.set_num_threads(threads)
        self.opened = Run.open(path)
        self.generator = self.opened.generator().eval()
        self.name = self.opened.recipe.name
        self.detector = self.opened.detector
        self.conditions = tuple(self.generator.conditions)
        self.noise_shape = tuple(self.generator.noise_shape)
        self.valid = Validity.of_data(self.opened.data)
        self.threads = torch.get_num_threads()
        self.batch: int | None = None
        self.origin: dict[str, Any] = {
            "kind": "run",
            "name": self.name,
            "weights_sha256": file_entry(self.opened.weights).sha256,
        }

    def run(self, noise: NDArray[np.float32], incident: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map noise `(n, *noise_shape)` and incident `(n, len(conditions))` to cells `(n, n_cells)`, MeV."""
        import torch

        with torch.inference_mode():
            cells = self.generator(torch.from_numpy(noise), torch.from_numpy(incident))
        result: NDArray[np.float32] = cells.numpy()
        return result
