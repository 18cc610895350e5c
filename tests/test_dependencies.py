"""What the package imports is declared, and what is declared is imported."""

from __future__ import annotations

import ast
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import caloforge

SOURCE = Path(caloforge.__file__).parent
# Import names whose distribution is called otherwise.
DISTRIBUTION = {"sklearn": "scikit-learn", "yaml": "pyyaml"}
# Imported on our behalf: by torch when it exports, and when it writes for TensorBoard; by Optuna for CMA-ES.
THROUGH_OTHERS = {"onnxscript", "tensorboard", "cmaes"}


@cache
def imported() -> set[str]:
    """Import names of other people's packages; `_typeshed` is part of the type checker."""
    names = set()
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module)
    return {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"caloforge", "_typeshed"}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    read: Any = pytest.importorskip("tomllib")  # Python 3.11
    file = SOURCE.parents[1] / "pyproject.toml"
    if not file.is_file():
        pytest.skip("not a checkout")
    content: dict[str, Any] = read.loads(file.read_text(encoding="utf-8"))
    return content


def test_what_is_imported_is_declared_and_the_reverse(project: dict[str, Any]) -> None:
    extras = project["project"]["optional-dependencies"]
    optional = [line for name, extra in extras.items() if name != "dev" for line in extra]
    lines = [*project["project"]["dependencies"], *optional]
    declared = {re.split(r"[<>=~ ]", line)[0].lower() for line in lines}
    needed = {DISTRIBUTION.get(name, name.replace("_", "-")) for name in imported()}
    assert needed | THROUGH_OTHERS == declared


def test_types_are_missed_only_of_what_is_imported(project: dict[str, Any]) -> None:
    (override,) = project["tool"]["mypy"]["overrides"]
    assert {module.removesuffix(".*") for module in override["module"]} <= imported()
