"""Texts of a manifest as C++ may have them: names of types, and strings."""

from __future__ import annotations

__all__ = ["line", "literal", "type_name"]

import json
import re


def type_name(name: str) -> str:
    """Make a C++ type of a bundle's name: `calogan-tuned` becomes `CaloganTuned`.

    No keyword of C++ begins with a capital letter.
    """
    words = re.findall(r"[A-Za-z0-9]+", name)
    joined = "".join(word[:1].upper() + word[1:] for word in words)
    return joined if joined[:1].isalpha() else f"Bundle{joined}"


def literal(text: str) -> str:
    """Write a text as a C++ string literal in ASCII.

    What is outside printable ASCII becomes `?`; JSON's other escapes are those of C++.
    """
    return json.dumps("".join(c if " " <= c <= "~" else "?" for c in text))


def line(text: str) -> str:
    """Put a text on one line, as comments want it."""
    return " ".join(text.split())
