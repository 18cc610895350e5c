"""The settings that a recipe has, and the values that each may have."""

from __future__ import annotations

__all__ = ["KINDED", "Fields"]

from collections.abc import Iterable, Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from caloforge.errors import SearchError, nearest
from caloforge.search.figures import FIGURES
from caloforge.search.space.parameter import Parameter, leaves
from caloforge.search.space.place import Place
from caloforge.training.faults import classes_below
from caloforge.training.recipe import Recipe

KINDED = "model.kind", "objective.kind"
_SHOWN = 12  # names of a section in a message


class Fields:
    """The settings of a recipe whose sections are of certain kinds.

    Args:
        tree: The recipe's tree.

    Attributes:
        suited: Whether such a model can learn by such an objective.
    """

    def __init__(self, tree: Mapping[str, Any]) -> None:
        self._tree = tree
        model: list[Any] = list(classes_below(Recipe, ("model", tree["model"]["kind"])))
        objective = tree["objective"].get("kind", model[0].objectives[0])
        self._kinds = {"model": tree["model"]["kind"], "objective": objective}
        self.suited = objective in model[0].objectives

    def value(self, name: str, searched: Iterable[str], place: Place) -> Any:
        """Return the recipe's own value of a setting.

        Args:
            name: Its key path.
            searched: Names that could have been meant besides those of the recipe.
            place: Where it is named.

        Raises:
            SearchError: There is none of that name.
        """
        self._field(name, place, searched)
        value: Any = self._tree
        for key in name.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def check(self, name: str, value: Any, place: Place) -> None:
        """See that a setting exists and may have a value.

        Raises:
            SearchError: It does not, or may not.
        """
        if name in KINDED:
            return  # by `check_kinds`
        field = self._field(name, place)
        if _is_section(field):
            kind = f", or {name}.kind" if f"{name}.kind" in KINDED else ""
            raise place.fault(
                f"{name} has settings below it", got=repr(value), expected=f"{{key: value}}{kind}"
            )
        _try(field, name, value, place)

    def check_range(self, parameter: Parameter, place: Place) -> None:
        """See that a setting exists and may have both ends of a range.

        Raises:
            SearchError: It does not, or may not.
        """
        name, kind = parameter.name, parameter.kind
        field = self._field(name, place)
        types = set(_types(field.annotation))
        if not types & {int, float}:
            choices = _literals(field.annotation)
            expected = f"{{choice: [{', '.join(map(str, choices)) or 'one, another'}]}}"
            raise (place / kind).fault(f"{name} is not a number", expected=expected)
        if kind == "float" and float not in types:
            raise (place / kind).fault(
                f"{name} is a whole number", got="float:", expected="int: with whole numbers"
            )
        for i, bound in enumerate((parameter.low, parameter.high)):
            _try(field, name, bound, place / kind / i)

    @staticmethod
    def check_kinds(name: str, choice: Any, place: Place) -> None:
        """See that the kinds which a choice sets exist.

        Raises:
            SearchError: One does not.
        """
        for leaf, value in leaves(name, choice):
            if leaf.startswith(tuple(f"{kind}." for kind in KINDED)):
                raise place.fault("a kind has no settings below it", got=repr(choice), expected="its name")
            if leaf not in KINDED:
                continue
            known = [c.model_fields["kind"].default for c in classes_below(Recipe, leaf.split(".")[:1])]
            if value not in known:
                near = nearest(str(value), known)
                raise place.fault(
                    f"{leaf} has an impossible value", got=repr(value), expected=", ".join(known), near=near
                )

    @staticmethod
    def known_anywhere(name: str, place: Place) -> None:
        """See that a recipe of some kind has a setting.

        Raises:
            SearchError: None has.
        """
        path = name.split(".")
        if not any(path[-1] in c.model_fields for c in classes_below(Recipe, path[:-1])):
            raise place.fault(f"{name} is not a setting", near=nearest(name, _paths(Recipe, ())))

    def _field(self, name: str, place: Place, more: Iterable[str] = ()) -> FieldInfo:
        path = name.split(".")
        for settings in classes_below(Recipe, self._path(path[:-1])):
            if path[-1] in settings.model_fields:
                return settings.model_fields[path[-1]]
        raise self._unknown(name, place, more)

    def _path(self, path: list[str]) -> list[str]:
        """The path with the kind after its section, as `classes_below` wants it."""
        return [*path[:1], self._kinds[path[0]], *path[1:]] if path and path[0] in self._kinds else path

    def _unknown(self, name: str, place: Place, more: Iterable[str]) -> SearchError:
        path = name.split(".")
        section, key = path[0], path[-1]
        if any(key in c.model_fields for c in classes_below(Recipe, path[:-1])):
            kind = self._kinds[section]
            return place.fault(
                f"{name} is not a setting of kind {kind}",
                got=f"{section}.kind: {kind}",
                cure=f"when: {{{section}.kind: ...}} keeps it to the kinds that have it",
            )
        known = [one for one in self._names() if "." in one]  # the others train nothing
        below = [n for n in known if n.rpartition(".")[0] == name.rpartition(".")[0]]
        expected = ", ".join((below or known)[:_SHOWN]) + (" ..." if len(below or known) > _SHOWN else "")
        near = nearest(name, [*known, *more])
        figure = f"{name} is a figure, which objectives: [{name}] makes small" if name in FIGURES else None
        return place.fault(
            f"{name} is not a setting of the recipe", expected=expected, near=near, cure=figure
        )

    def _names(self) -> Iterator[str]:
        """Key paths of all settings that are no section."""
        yield from _paths(Recipe, (), self._kinds)
        yield from KINDED


def _paths(root: type[BaseModel], path: tuple[str, ...], kinds: Mapping[str, str] | None = None) -> list[str]:
    found = []
    for name, field in root.model_fields.items():
        inner, below = (*path, name), _sections(field)
        wanted = (kinds or {}).get(".".join(inner))
        kept = [c for c in below if wanted is None or c.model_fields["kind"].default == wanted]
        found += [".".join(inner)] if not below else []
        found += [leaf for c in kept for leaf in _paths(c, inner, kinds)]
    return list(dict.fromkeys(found))


def _sections(field: FieldInfo) -> list[type[BaseModel]]:
    return [t for t in _types(field.annotation) if isinstance(t, type) and issubclass(t, BaseModel)]


def _is_section(field: FieldInfo) -> bool:
    return bool(_sections(field))


def _types(annotation: Any) -> Iterator[Any]:
    """The types that an annotation allows, without what it says of their values."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _types(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for inner in get_args(annotation):
            yield from _types(inner)
    else:
        yield annotation


def _literals(annotation: Any) -> list[Any]:
    return [v for t in _types(annotation) if get_origin(t) is Literal for v in get_args(t)]


def _try(field: FieldInfo, name: str, value: Any, place: Place) -> None:
    annotation: Any = field.annotation
    if field.metadata:
        annotation = Annotated[(annotation, *field.metadata)]
    try:
        TypeAdapter(annotation).validate_python(value)
    except ValidationError as error:
        expected = error.errors(include_url=False)[0]["msg"].replace("Input should be ", "")
        near = nearest(str(value), [str(v) for v in _literals(field.annotation)])
        raise place.fault(
            f"{name} has an impossible value", got=repr(value), expected=expected, near=near
        ) from None
