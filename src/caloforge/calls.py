"""Calls that other processes make for us: function and arguments go out as bytes, the answer comes back."""

from __future__ import annotations

__all__ = ["answer", "load_function", "pack", "pack_function", "raised_there", "unpack"]

import pickle
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from caloforge.errors import WorkerError


def pack(value: object) -> bytes:
    """Pickle what goes to a worker."""
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def pack_function(function: Callable[..., Any]) -> bytes:
    """Pickle what a worker is to call.

    Raises:
        WorkerError: It has no name by which it could be imported.
    """
    try:
        return pack(function)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise _not_importable(f"{type(error).__name__}: {error}") from error


def load_function(packed: bytes) -> Callable[..., Any]:
    """Unpickle what is to be called; if that fails, every call of what is returned says so."""
    try:
        function: Callable[..., Any] = pickle.loads(packed)
    except Exception as error:
        return partial(_refuse, f"{type(error).__name__}: {error}")
    return function


def _refuse(got: str, *_: object) -> None:
    raise _not_importable(got)


def _not_importable(got: str) -> WorkerError:
    return WorkerError(
        "a worker cannot import what it should call",
        got=got,
        expected="a function of a module that can be imported where the worker is",
        cure="put it into a module, not into the script or the notebook that is run",
    )


def answer(function: Callable[..., Any], packed: bytes) -> bytes:
    """Call a function with pickled arguments; what it returns or raises is pickled for `unpack`."""
    try:
        return pack((function(*pickle.loads(packed)), None))
    except Exception as error:
        return pack((_portable(error), traceback.format_exc()))


def unpack(answered: bytes) -> Any:
    """Return what a function returned elsewhere, or raise what it raised."""
    value, remote = pickle.loads(answered)
    if remote is None:
        return value
    raise value from _Remote(remote)


def raised_there(error: Exception) -> bool:
    """Whether the function of a worker raised an error: otherwise it is about the worker itself."""
    return isinstance(error.__cause__, _Remote)


class _Remote(Exception):  # noqa: N818 - shows where in a worker an error was raised, below the error
    pass


def _portable(error: Exception) -> Exception:
    """Return an error as it will arrive; one whose constructor pickle cannot serve arrives by its words."""
    try:
        restored: Exception = pickle.loads(pack(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return restored
