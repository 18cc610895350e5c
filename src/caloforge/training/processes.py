"""Starts and ends the conversation of several processes that train together."""

from __future__ import annotations

__all__ = ["all_or_none", "together"]

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

from caloforge.errors import CaloforgeError, TrainingError
from caloforge.models.blocks.processes import join, largest, leave, world
from caloforge.training.place import Place

# While process 0 looks at the physics and saves, the others wait. A process that has died is noticed at once.
_PATIENCE = timedelta(minutes=60)


@contextmanager
def together(place: Place | None) -> Iterator[None]:
    """Let this process be one of several for as long as the context lasts; None: it is the only one.

    Raises:
        TrainingError: The others cannot be reached.
    """
    if place is None:
        yield
        return
    _meet(place)
    join(place.rank, place.world)
    try:
        yield
        largest(0)  # process 0 keeps the meeting point, and writes: nobody leaves before it is done
        dist.destroy_process_group()
    finally:
        # After an error the group is left as it is: taking it down would wait for those that are gone.
        leave()


def _meet(place: Place) -> None:
    cuda = torch.cuda.is_available()
    # Decisions and what lies in main memory go by gloo, also where gradients go by NCCL.
    backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
    try:
        dist.init_process_group(
            backend,
            init_method=f"tcp://{place.address}:{place.port}",
            rank=place.rank,
            world_size=place.world,
            timeout=_PATIENCE,
        )
    except (RuntimeError, ValueError) as error:
        raise TrainingError(
            "the processes of this training do not find each other",
            where=f"process {place.rank} of {place.world}, {place.address}:{place.port}",
            got=str(error).splitlines()[0][:200],
            cure="see that all were started, that this is where process 0 is, and that the port is free",
        ) from None


@contextmanager
def all_or_none() -> Iterator[None]:
    """Do something in each process; if it fails in one, all raise the error of the first that failed."""
    mine: CaloforgeError | None = None
    try:
        yield
    except CaloforgeError as error:
        mine = error
    if world() == 1:
        if mine is not None:
            raise mine
        return
    errors: list[CaloforgeError | None] = [None] * world()
    dist.all_gather_object(errors, mine)
    first = next((error for error in errors if error is not None), None)
    if first is not None:
        raise first
