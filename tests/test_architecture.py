"""The shape of the house: imports run down the rooms, the command starts light, the engine needs no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import caloforge

SOURCE = Path(caloforge.__file__).parent
# What every room may use.
SHARED = (
    "errors",
    "documents",
    "progress",
    "quantities",
    "particles",
    "writing",
    "workers",
    "machine",
    "samples",
    "__version__",
)
ROOMS = ("detector", "showers", "truth", "observables", "models", "training", "validation", "deploy", "cli")


def _imports(file: Path) -> Iterator[str]:
    """Names of caloforge's rooms that a file imports anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "caloforge" and len(parts) > 1:
                yield parts[1]


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_down_the_list(room: str) -> None:
    allowed = {*ROOMS[: ROOMS.index(room) + 1], *SHARED}
    for file in (SOURCE / room).rglob("*.py"):
        forbidden = set(_imports(file)) - allowed
        assert not forbidden, f"{file.relative_to(SOURCE)} imports {sorted(forbidden)}"


def test_every_room_is_on_the_list() -> None:
    folders = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    assert folders - {"samples"} == set(ROOMS)


def _python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_help_needs_no_heavy_package() -> None:
    heavy = "('torch', 'numpy', 'h5py', 'matplotlib', 'pydantic', 'scipy', 'onnxruntime')"
    code = f"import sys, caloforge.cli.main; print([m for m in {heavy} if m in sys.modules])"
    assert _python(code).stdout.strip() == "[]"


def test_engine_works_without_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import caloforge.deploy.engine, caloforge.deploy.bundle\n"
        "print('ok')"
    )
    result = _python(code)
    assert result.stdout.strip() == "ok", result.stderr
