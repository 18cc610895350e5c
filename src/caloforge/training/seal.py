"""A file of a run holds its own SHA-256, so that whatever changes a bit of it is noticed.

The checksum stands in the file as 64 hexadecimal digits, and is that of the file with zeros in their place.
"""

from __future__ import annotations

__all__ = ["check_seal", "read_sealed", "seal", "sealed_json", "sealed_yaml"]

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from caloforge.errors import RunError

BLANK = "0" * 64
# First in JSON and in the header of safetensors, last in YAML: nothing that a file says is taken for it.
_PLACES = (
    rb'\A\{\s*"checksum": "',
    rb'\A.{8}\{"__metadata__":\{"checksum":"',
    rb"\n# checksum: (?=[0-9a-f]{64}\n\Z)",
)
_PLACE = re.compile(rb"(?:%s)([0-9a-f]{64})" % b"|".join(_PLACES), re.DOTALL)


def seal(head: bytes, rest: bytes | memoryview = b"") -> bytes:
    """Put a checksum where `head` has `checksum: 000...0`.

    Args:
        head: The beginning of a file.
        rest: What follows it.

    Returns:
        The beginning with the checksum of all.
    """
    place = _place(head)
    if place is None:
        raise ValueError("no place for a checksum")
    start, end = place
    return head[:start] + _digest(head, start, end, rest).encode() + head[end:]


def sealed_yaml(text: str) -> str:
    """Add a line with its checksum to a YAML text."""
    return seal(f"{text.rstrip()}\n# checksum: {BLANK}\n".encode()).decode()


def sealed_json(tree: Mapping[str, Any]) -> str:
    """Write a tree as JSON, with its checksum as the first key."""
    return seal(json.dumps({"checksum": BLANK, **tree}, indent=2).encode()).decode()


def read_sealed(path: Path) -> bytes:
    """Read a small file or a large one, and see that it is as it was written.

    Raises:
        RunError: It cannot be read, has no checksum, or another one than it says.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunError("a file of the run cannot be read", where=path, got=error.strerror) from None
    check_seal(content, path)
    return content


def check_seal(content: bytes, where: Path) -> None:
    """See that a file is as it was written.

    Raises:
        RunError: It has no checksum, or another one than it says.
    """
    place = _place(content)
    if place is None:
        raise RunError(
            "a file of the run has no checksum",
            where=where,
            cure="train again; weights of an older caloforge will do to begin with: --init FILE.safetensors",
        )
    start, end = place
    said, found = content[start:end].decode(), _digest(content, start, end)
    if said != found:
        raise RunError(
            "a file of the run was changed: its checksum is wrong",
            where=where,
            got=f"sha256 {found}",
            expected=f"sha256 {said}",
            cure="copy the run again from where it was trained, or train it again",
        )


def _place(content: bytes) -> tuple[int, int] | None:
    found = _PLACE.search(content)
    return found.span(1) if found else None


def _digest(content: bytes, start: int, end: int, rest: bytes | memoryview = b"") -> str:
    digest = hashlib.sha256(content[:start] + BLANK.encode())
    digest.update(memoryview(content)[end:])
    digest.update(rest)
    return digest.hexdigest()
