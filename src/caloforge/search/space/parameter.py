"""One setting that is searched: its bounds or choices, and when it counts."""

from __future__ import annotations

__all__ = ["Parameter", "Trial", "leaves"]

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Code = None | bool | int | float | str
"""What a sampler may be given as a choice."""


class Trial(Protocol):
    """What draws values: a trial of Optuna, or a stand-in for one."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float: ...

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int: ...

    def suggest_categorical(self, name: str, choices: Sequence[Code]) -> Code: ...


@dataclass(frozen=True)
class Parameter:
    """A setting that is searched.

    Attributes:
        name: Its key path in a recipe: `objective.generator_rate`.
        kind: Numbers between bounds, whole or not, or one of some choices.
        low: Lower bound, which may be drawn.
        high: Upper bound, which may be drawn.
        step: Values are `low`, `low + step`, ... `high`; None: any.
        log: Draw evenly in the logarithm.
        choices: Values as in YAML. A mapping sets several settings below `name` together.
        when: It counts only while each of these other parameters counts and has one of the values.
    """

    name: str
    kind: Literal["float", "int", "choice"]
    low: float | None = None
    high: float | None = None
    step: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def counts(self, values: Mapping[str, Any]) -> bool:
        """Whether it counts beside the values of those that it depends on."""
        return all(name in values and values[name] in wanted for name, wanted in self.when.items())

    def draw(self, trial: Trial) -> Any:
        """Let a trial draw a value."""
        if self.kind == "choice":
            codes = self.codes
            return self.choices[codes.index(trial.suggest_categorical(self.name, codes))]
        if self.low is None or self.high is None:
            raise ValueError(f"{self.name} has no bounds")
        if self.kind == "float":
            return trial.suggest_float(self.name, self.low, self.high, step=self.step, log=self.log)
        low, high, step = int(self.low), int(self.high), int(self.step or 1)
        return trial.suggest_int(self.name, low, high, step=step, log=self.log)

    @property
    def codes(self) -> tuple[Code, ...]:
        """The choices as samplers and databases take them: lists and mappings as text."""
        return tuple(self.code(choice) for choice in self.choices)

    @staticmethod
    def code(value: Any) -> Code:
        """Return a value as a sampler knows it, as for `enqueue_trial`."""
        return json.dumps(value) if isinstance(value, list | Mapping) else value

    def may_be(self, value: Any) -> bool:
        """Whether a value can be drawn."""
        if self.kind == "choice":
            return value in self.choices
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if self.low is None or self.high is None or not self.low <= value <= self.high:
            return False
        if self.kind == "int":
            return float(value).is_integer() and (value - self.low) % (self.step or 1) == 0
        return True

    def to_tree(self) -> dict[str, Any]:
        """Return it as a space's file has it."""
        if self.kind == "choice":
            tree: dict[str, Any] = {"choice": list(self.choices)}
        else:
            tree = {self.kind: [self.low, self.high]}
            tree |= {"step": self.step} if self.step is not None else {}
            tree |= {"log": True} if self.log else {}
        when = {name: list(values) for name, values in self.when.items()}
        return tree | ({"when": when} if when else {})


def leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the settings that a value is for: itself, or what a mapping says below it."""
    if not isinstance(value, Mapping):
        yield name, value
        return
    for key, inner in value.items():
        yield from leaves(f"{name}.{key}", inner)
