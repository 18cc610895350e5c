"""Several processes on one batch: which part is one's own, and what the others have.

Each process trains on its part of every batch. What depends on the whole batch (norms, comparisons between
showers, random numbers) is made of the parts of all: any number of processes learns what one would. With one
process, and in exported graphs, nothing here does anything.
"""

from __future__ import annotations

__all__ = [
    "average_gradients",
    "gather",
    "join",
    "largest",
    "leave",
    "mean",
    "own_part",
    "own_rand",
    "own_rand_like",
    "rank",
    "send_weights",
    "world",
]

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from caloforge.errors import ProcessLostError


@dataclass
class _Here:
    rank: int = 0
    world: int = 1


# Not asked of torch.distributed: a program of which this is only a part may use that for something else.
_here = _Here()


def join(rank: int, world: int) -> None:
    """Say that torch's process group is up and that training shares batches over it from now on."""
    _here.rank, _here.world = rank, world


def leave() -> None:
    """Go back to one process."""
    _here.rank, _here.world = 0, 1


def rank() -> int:
    """Number of this process, from 0, which writes and reports for all."""
    return _here.rank


def world() -> int:
    """Number of processes."""
    return _here.world


@contextmanager
def _together() -> Iterator[None]:
    """Say in this package's words that another process has died: talking to it fails at once."""
    try:
        yield
    except RuntimeError as error:
        raise ProcessLostError(
            "a process of this training is gone", where=f"process {rank()} of {world()}", got=_first(error)
        ) from None


def _first(error: Exception) -> str:
    return str(error).splitlines()[0].partition(". ")[0]


# --- parts of a batch ---


def own_part(x: Tensor) -> Tensor:
    """Return the rows of a whole batch that belong to this process."""
    return x if world() == 1 else x.chunk(world())[rank()]


def own_rand(shape: Sequence[int], device: torch.device | None = None) -> Tensor:
    """Draw uniform numbers for the own rows, the same that one process would draw for them.

    All processes draw for the whole batch and so go through the same random numbers.
    """
    return own_part(torch.rand((shape[0] * world(), *shape[1:]), device=device))


def own_rand_like(x: Tensor) -> Tensor:
    """Draw uniform numbers in the shape of `x`, whose rows are the own ones."""
    return own_rand(x.shape, x.device)


def gather(x: Tensor) -> Tensor:
    """Return the rows of all processes, `(n, ...)` to `(world * n, ...)`; gradients find their way back."""
    if world() == 1:
        return x
    rows: Tensor = _Gather.apply(x)  # type: ignore[no-untyped-call]
    return rows


class _Gather(torch.autograd.Function):
    """Each the other's derivative, so that penalties on gradients can be learned from too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ARG004 - torch's signature
        x = x.contiguous()
        out = x.new_empty((world() * x.shape[0], *x.shape[1:]))
        with _together():
            dist.all_gather_single(out, x)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # noqa: ARG004
        own: Tensor = _SumAndTakeOwn.apply(grad)  # type: ignore[no-untyped-call]
        return own


class _SumAndTakeOwn(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ARG004
        total = x.contiguous().clone()
        with _together():
            dist.all_reduce(total)
        return own_part(total)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # noqa: ARG004
        return gather(grad)


# --- what the processes agree on ---


@torch.no_grad()
def average_gradients(module: nn.Module) -> None:
    """Replace each gradient by its mean over the processes.

    All of a network's gradients travel in one piece. DistributedDataParallel would send them while the rest
    is still computed, but it counts on one backward pass over all parameters of a module; here two networks
    take turns in three passes a step, each time with one of them frozen.
    """
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    if world() == 1 or not gradients:
        return
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    with _together():
        dist.all_reduce(flat)
    flat /= world()
    for gradient, part in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


@torch.no_grad()
def mean(x: Tensor) -> Tensor:
    """Return the mean of a tensor over the processes."""
    if world() == 1:
        return x
    total = x.clone()
    with _together():
        dist.all_reduce(total)
    return total / world()


def largest(*numbers: int) -> list[int]:
    """Return the largest that any process has of each number, so that all decide alike."""
    if world() == 1:
        return list(numbers)
    # In main memory, also on GPUs: nobody waits for a GPU, and a process that died is noticed at once.
    values = torch.tensor(numbers)
    with _together():
        dist.all_reduce(values, dist.ReduceOp.MAX)
    return [int(value) for value in values]


@torch.no_grad()
def send_weights(modules: Iterable[nn.Module]) -> None:
    """Give all processes the weights of the first: machines may differ in the last bit of a random number."""
    if world() == 1:
        return
    for module in modules:
        for value in module.state_dict().values():
            whole = value.contiguous()  # a kernel may lie in memory with its channels last
            with _together():
                dist.broadcast(whole, 0)
            value.copy_(whole)
