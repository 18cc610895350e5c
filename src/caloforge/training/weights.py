"""Weights on disk: safetensors files whose header holds a checksum of everything in them."""

from __future__ import annotations

__all__ = ["read_foreign_weights", "read_weights", "save_weights", "seal_weights", "weights_below"]

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

from caloforge.errors import RunError
from caloforge.training.seal import BLANK, read_sealed, seal
from caloforge.writing import replace_file

Weights = dict[str, Tensor]


def save_weights(tensors: Mapping[str, Tensor], state: Mapping[str, Any], path: Path) -> None:
    """Write tensors so that `path` holds either the old file or the new one, whatever happens.

    Args:
        tensors: By name.
        state: What else belongs to them; must be JSON.
        path: The file; its folder is made if there is none.
    """
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    head, data = seal_weights(save(ready), state)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as file:
        file.write(head)
        file.write(data)


def seal_weights(content: bytes, state: Mapping[str, Any]) -> tuple[bytes, memoryview]:
    """Give a safetensors file state and checksum: return its new header, and its data as they were."""
    end = 8 + int.from_bytes(content[:8], "little")
    tensors = {name: entry for name, entry in json.loads(content[8:end]).items() if name != "__metadata__"}
    header = {"__metadata__": {"checksum": BLANK, "state": json.dumps(state)}, **tensors}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the data begin at a multiple of eight
    data = memoryview(content)[end:]
    return seal(len(text).to_bytes(8, "little") + text, data), data


def read_weights(path: Path) -> tuple[Weights, dict[str, Any]]:
    """Read a file of a run, every bit of which is checked.

    Returns:
        Its tensors by name, and its state.

    Raises:
        RunError: It is missing, damaged, or has no checksum.
    """
    content = read_sealed(path)
    try:
        length = int.from_bytes(content[:8], "little")
        state = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["state"])
        return load(content), state
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise _unreadable(path, error, "a file that `caloforge train` wrote") from None


def read_foreign_weights(path: Path) -> Weights:
    """Read the tensors of any safetensors file, which says nothing of itself.

    Raises:
        RunError: It is none.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        wanted = "a run's folder, a safetensors file, or weights of Keras in HDF5"
        raise _unreadable(path, error, wanted) from None


def weights_below(tensors: Weights, name: str) -> Weights:
    """Return the tensors of one network or optimiser, under their own names."""
    start = f"{name}."
    return {key.removeprefix(start): value for key, value in tensors.items() if key.startswith(start)}


def _unreadable(path: Path, error: Exception, expected: str) -> RunError:
    got = next(iter(str(error).splitlines()), type(error).__name__)
    return RunError("these weights cannot be read", where=path, got=got, expected=expected)
