"""The shape of the house: imports run down the rooms, the command starts light, the engine needs no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
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
    "locking",
    "calls",
    "writing",
    "workers",
    "interrupts",
    "machine",
    "samples",
)
ROOMS = (
    "hdf5",
    "cluster",
    "detector",
    "showers",
    "truth",
    "observables",
    "models",
    "evolution",
    "training",
    "validation",
    "deploy",
    "simulation",
    "search",
    "cli",
)


FILES = {
    ".".join(("caloforge", *file.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__"): file
    for file in SOURCE.rglob("*.py")
}
# `Showers` loads and saves itself, as a user expects, by means of files that are made of Showers.
CONVENIENCE = {
    ("caloforge.showers.container", "caloforge.showers.store"),
    ("caloforge.showers.container", "caloforge.showers.writer"),
}


def _imports(file: Path, typing: bool = True) -> Iterator[str]:
    """Names of caloforge's files that a file imports anywhere in it, inside functions, too."""
    todo: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while todo:
        node = todo.pop()
        if not typing and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        todo.extend(ast.iter_child_nodes(node))
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name.split(".")[0] == "caloforge":
                yield name if name in FILES else name.rpartition(".")[0]


def _rooms(file: Path) -> set[str]:
    return {name.split(".")[1] for name in _imports(file) if "." in name}


def test_files_import_in_no_circle() -> None:
    """Names that only annotations need are left out: nothing runs with them."""
    edges = {(name, other) for name, file in FILES.items() for other in _imports(file, typing=False)}
    assert edges >= CONVENIENCE, "an exception that is none any more"
    graph: dict[str, set[str]] = {name: set() for name in FILES}
    for name, other in edges - CONVENIENCE:
        graph[name].add(other)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_down_the_list(room: str) -> None:
    allowed = {*ROOMS[: ROOMS.index(room) + 1], *SHARED}
    for file in (SOURCE / room).rglob("*.py"):
        forbidden = _rooms(file) - allowed
        assert not forbidden, f"{file.relative_to(SOURCE)} imports {sorted(forbidden)}"


@pytest.mark.parametrize("name", SHARED)
def test_what_every_room_may_use_needs_no_room(name: str) -> None:
    file = FILES[f"caloforge.{name}"]
    assert _rooms(file) <= set(SHARED)


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
