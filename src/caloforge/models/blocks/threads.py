"""One thread, where what is computed must not depend on how many there are."""

from __future__ import annotations

__all__ = ["one_thread"]

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread inside: sums of several threads are others than those of one."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
