"""What objectives that follow gradients share: optimisers, noise, parts of a batch, and a step."""

from __future__ import annotations

__all__ = ["descend", "energies", "in_parts", "make_optimiser", "own_noise"]

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer, RMSprop

from caloforge.models.base import GEV
from caloforge.models.blocks.processes import average_gradients, gather, own_part, world

if TYPE_CHECKING:
    from caloforge.models.base import Generator
    from caloforge.training.objectives.settings import GradientSettings


def make_optimiser(module: nn.Module, rate: float, settings: GradientSettings) -> Optimizer:
    """Adam or RMSprop with Keras' epsilon; `fused` goes through the weights once instead of seven times."""
    if settings.optimiser == "rmsprop":
        return RMSprop(module.parameters(), lr=rate, alpha=settings.beta2, eps=1e-7)
    betas = settings.beta1, settings.beta2
    return Adam(module.parameters(), lr=rate, betas=betas, eps=1e-7, fused=True)


def own_noise(generator: Generator, n: int, device: torch.device) -> Tensor:
    """Draw noise for the `n` showers of this process.

    It is drawn for the whole batch by each process, so that all go through the same random numbers.
    """
    return own_part(generator.sample_noise(n * world(), device=device))


def in_parts(count: int, *whole: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Cut the rows of this process into what is computed at once."""
    return zip(*(x.chunk(count) for x in whole), strict=True)


def descend(
    module: nn.Module,
    optimiser: Optimizer,
    losses: Iterable[Mapping[str, Tensor]],
    parts: int,
    longest: float | None = None,
) -> dict[str, Tensor]:
    """Take a step along the gradient of all losses together, of all processes, and return the mean of each.

    Args:
        module: What learns.
        optimiser: Its own.
        losses: Terms of each part of the batch; the next part is computed when this one is done with.
        parts: How many there are.
        longest: Length to which a longer gradient is cut.
    """
    optimiser.zero_grad(set_to_none=True)
    seen: list[dict[str, Tensor]] = []
    for terms in losses:
        total = torch.stack(list(terms.values())).sum() / parts
        total.backward()  # type: ignore[no-untyped-call]
        seen.append({key: value.detach() for key, value in terms.items()})
    average_gradients(module)
    if longest is not None:
        nn.utils.clip_grad_norm_(module.parameters(), longest)
    optimiser.step()
    return {key: torch.stack([terms[key] for terms in seen]).mean() for key in seen[0]}


def energies(visible: Tensor, wanted: Tensor) -> dict[str, Tensor]:
    """Return how well the energy in the cells of generated showers is met, over all processes.

    Args:
        visible: Energy in the cells of each shower, `(n,)` MeV.
        wanted: What should be there, `(n,)` MeV.

    Returns:
        `energy`, the mean distance of the two, GeV; `response`, all energy over all that should be there;
        `spread` of the energy in the cells, GeV.
    """
    visible, wanted = gather(torch.stack([visible.detach(), wanted], dim=1)).unbind(1)
    return {
        "energy": (visible - wanted).abs().mean() / GEV,
        "response": visible.sum() / wanted.sum(),
        "spread": visible.std() / GEV,
    }
