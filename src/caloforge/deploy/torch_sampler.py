"""The generator of a run as a source of showers. The one part of this room that needs torch."""

from __future__ import annotations

__all__ = ["RunSampler", "with_evaluations"]

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caloforge.deploy.bundle import file_entry
from caloforge.deploy.bundle.validity import Validity
from caloforge.models.settings import MOST_EVALUATIONS, MatchingSettings
from caloforge.quantities import check_whole

if TYPE_CHECKING:
    from caloforge.training.recipe import Recipe


class RunSampler:
    """Makes showers with the weights of a run, on the processor.

    Args:
        path: Folder of the run.
        threads: Threads of torch; by default as torch was told to.
        evaluations: How often a network that is asked in steps is asked; by default as the recipe says.

    Attributes:
        opened: The run.
        recipe: Its recipe, with these evaluations.
        threads: Threads in use.
        generator: Its generator with the trained weights.

    Raises:
        RunError: Not a run, or nothing trained in it yet.
        RecipeError: Evaluations for a model that takes no steps, or an impossible number of them.
    """

    def __init__(self, path: str | Path, threads: int | None = None, evaluations: int | None = None) -> None:
        import torch

        from caloforge.training import Run

        if threads:
            torch.set_num_threads(threads)
        self.opened = Run.open(path)
        self.recipe = self.opened.recipe
        if evaluations is not None:
            self.recipe = with_evaluations(self.recipe, evaluations)
        self.generator = self.opened.generator(settings=self.recipe.model).eval()
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


def with_evaluations(recipe: Recipe, evaluations: int) -> Recipe:
    """Return the recipe of a generator that asks its network as often.

    Raises:
        RecipeError: A model that takes no steps, or an impossible number of them.
    """
    from caloforge.errors import RecipeError

    if not isinstance(recipe.model, MatchingSettings):
        raise RecipeError(
            "this model takes no steps",
            where="--evaluations",
            got=f"a model of kind {recipe.model.kind}",
            expected="one of kind matching",
            cure="leave --evaluations out",
        )
    check_whole(evaluations, "--evaluations", 1, MOST_EVALUATIONS)
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"evaluations": evaluations})})
