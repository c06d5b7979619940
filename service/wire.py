"""Base models of what requests say, and how a JSON value becomes one: what no model reads is refused."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, ClassVar, Final, TypeVar, Union, get_args, get_origin

from pydantic import AliasChoices, BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_core import core_schema

from service.errors import Invalid, Location, Problem
from service.spelling import did_you_mean, unknown_key
from service.values import Json

M = TypeVar("M", bound=BaseModel)

_SHOWN = 60
"""Characters of a value that a message repeats."""


def spellings(field: tuple[str, FieldInfo]) -> list[str]:
    """The keys that a field is read from, the preferred one first."""
    name, info = field
    alias = info.validation_alias
    if isinstance(alias, AliasChoices):
        return [str(each) for each in alias.choices]
    return [alias if isinstance(alias, str) else name]


class WireModel(BaseModel):
    """A part of a request. Unknown keys are errors; null stands for an optional key that is not given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unsupported: ClassVar[Mapping[str, str]] = {}
    """Keys that the vendor documents and Tally does not act on, each with the reason.

    They are accepted where they ask for nothing.
    """

    empty_asks_nothing: ClassVar[bool] = True
    """Whether an unsupported key may be false or empty; it may always be null."""

    _nullable: ClassVar[frozenset[str]] = frozenset()
    """Spellings of optional keys that do not take null themselves."""

    _spelled: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """The spellings of fields that have several."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        fields = cls.model_fields.items()
        optional = [each for each in fields if not each[1].is_required() and each[1].default is not None]
        cls._nullable = frozenset(spelling for each in optional for spelling in spellings(each))
        cls._spelled = tuple(tuple(names) for names in [spellings(each) for each in fields] if len(names) > 1)

    @model_validator(mode="before")
    @classmethod
    def _without_what_says_nothing(cls, given: Any) -> Any:
        if not isinstance(given, dict) or not (cls.unsupported or cls._nullable or cls._spelled):
            return given
        kept = {name: each for name, each in given.items() if not cls._says_nothing(name, each)}
        for first, *others in cls._spelled:
            present = [name for name in (first, *others) if name in kept]
            for name in present[1:]:
                if kept[name] == kept[present[0]]:
                    del kept[name]
        return kept

    @classmethod
    def _says_nothing(cls, name: str, value: Any) -> bool:
        if name in cls.unsupported:
            return value is None or (cls.empty_asks_nothing and not value)
        return value is None and name in cls._nullable


@dataclass(frozen=True)
class ReadByHand:
    """Marks a part that a dialect reads itself: here it is taken as it is, and documented as this type."""

    type: Any

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_wrap_validator_function(
            lambda value, inner: value, handler.generate_schema(self.type)
        )


class CamelModel(WireModel):
    """The same in the spelling of the records API."""

    model_config = ConfigDict(alias_generator=to_camel)

    empty_asks_nothing: ClassVar[bool] = False


def read(model: type[M], value: Json, at: Location = ("body",), beside: Iterable[str] = ()) -> M:
    """The model; raises `Invalid` with the location of everything that is wrong. `beside`: keys known to others."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise Invalid(list(_problems(model, error.errors(include_url=False), at, beside))) from None


def _problems(model: type[BaseModel], errors: Sequence[Any], at: Location, beside: Iterable[str]) -> Iterator[Problem]:
    """One problem for each place: what a union cannot be read as, it says once for each of its types."""
    places: dict[Location, list[Any]] = {}
    for error in errors:
        places.setdefault(_place(model, error["loc"], error["type"]), []).append(error)
    for steps, each in places.items():
        location: Location = (*at, *(_short(step) for step in steps))
        if each[0]["type"] == "extra_forbidden" and steps:
            yield _unknown(model, steps, at, beside if len(steps) == 1 else ())
        elif len(each) > 1 and all(error["type"] in _WANTED for error in each):
            wanted = list(dict.fromkeys(_WANTED[error["type"]] for error in each))
            if "a number" in wanted and "an integer" in wanted:
                wanted.remove("an integer")
            what = " or ".join(filter(None, [", ".join(wanted[:-1]), wanted[-1]]))
            bounds = _bounds(model, steps)
            message = f"{_within(what, bounds) if len(wanted) == 1 else what} is needed, not {_given(each[0]['input'])}"
            yield Problem(location, message, each[-1]["type"])
        else:
            for error in each:
                yield Problem(location, _explained(error, _bounds(model, steps)), error["type"])


def _place(model: type[BaseModel], steps: Location, kind: str) -> Location:
    """Where in the request it is: without the names that pydantic gives to the parts of a union."""
    kept: list[str | int] = []
    found: list[Any] = [model]
    for number, step in enumerate(steps):
        inner = [each for annotation in found for each in _inside(annotation, step)]
        if inner or isinstance(step, int) or (number == len(steps) - 1 and kind in ("extra_forbidden", "missing")):
            kept.append(step)
            found = inner or found
    return tuple(kept)


def _explained(error: Any, bounds: Mapping[str, Any]) -> str:
    """What is needed, with both ends of what is allowed, and what was given."""
    kind, value, context = error["type"], error.get("input"), error.get("ctx", {})
    if kind in _BOUNDED:
        return (
            f"{_within('a number' if bounds.get('fractions') else 'an integer', bounds)} is needed, not {_given(value)}"
        )
    if kind in ("too_short", "too_long") and isinstance(value, list | dict) and "actual_length" in context:
        return _counted(len(value), "element" if isinstance(value, list) else "key", bounds, context)
    if kind in _WANTED:
        return f"{_within(_WANTED[kind], bounds)} is needed, not {_given(value)}"
    if kind == "missing" and error["msg"] == "Field required":  # pydantic's own, not a model's
        return "this key is needed"
    if kind == "literal_error":
        known = re.findall(r"'([^']*)'", context["expected"])
        hint = did_you_mean(value, known) if isinstance(value, str) else ""
        return f"{context['expected']} is needed, not {_given(value)}{hint}"
    if kind == "string_pattern_mismatch":
        return f"a text of the form {context['pattern']} is needed, not {_given(value)}"
    if kind in ("string_too_short", "string_too_long"):
        least, most = bounds.get("min_length", 0), bounds.get("max_length")
        return f"{_range(least, most, 'character')} needed, not {_given(value)}"
    message: str = error["msg"]
    if isinstance(value, str | int | float | bool):
        message += f", not {_given(value)}"
    return message


_BOUNDED: Final = frozenset({"greater_than", "greater_than_equal", "less_than", "less_than_equal"})
_WANTED: Final[Mapping[str, str]] = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), "an integer"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    "string_type": "a text",
    **dict.fromkeys(("list_type", "tuple_type"), "an array"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "an object"),
}
"""Pydantic's errors about a type, and the type."""


def _within(what: str, bounds: Mapping[str, Any]) -> str:
    """`an integer from 1 to 1,000`."""
    if what not in ("an integer", "a number"):
        return what
    least = bounds["ge"] if "ge" in bounds else bounds["gt"] + 1 if "gt" in bounds and what == "an integer" else None
    most = bounds.get("le")
    if least is None:
        return what if most is None else f"{what} up to {most:,}"
    return f"{what} from {least:,} on" if most is None else f"{what} from {least:,} to {most:,}"


def _counted(count: int, what: str, bounds: Mapping[str, Any], context: Mapping[str, Any]) -> str:
    least = bounds.get("min_length", context.get("min_length", 0))
    most = bounds.get("max_length", context.get("max_length"))
    if most == 0:
        return f"leave this empty, or out; it has {count:,} {what}{'s' * (count != 1)}"
    return f"{_range(least, most, what)} needed, not {count:,}"


def _range(least: int, most: int | None, what: str) -> str:
    """`1 to 32 elements are`, with the verb."""
    if most is None:
        return f"at least {least:,} {what}{'s are' if least != 1 else ' is'}"
    if least == most:
        return f"exactly {most:,} {what}{'s are' if most != 1 else ' is'}"
    return f"at most {most:,} {what}s are" if not least else f"{least:,} to {most:,} {what}s are"


def _bounds(model: type[BaseModel], steps: Location) -> dict[str, Any]:
    """What is declared at a location: ge, gt, le, min_length, max_length; fractions: a number need not be whole."""
    found: dict[str, Any] = {}
    for owner in _models(_annotations(model, list(steps[:-1]))) if steps else ():
        for name, info in owner.model_fields.items():
            if steps[-1] in spellings((name, info)):
                for each in (*info.metadata, *_metadata(info.annotation)):
                    found |= {key: getattr(each, key) for key in _LIMITS if getattr(each, key, None) is not None}
                if _holds_float(info.annotation):
                    found["fractions"] = True
    return found


_LIMITS: Final = ("ge", "gt", "le", "min_length", "max_length")


def _holds_float(annotation: Any) -> bool:
    return annotation is float or any(map(_holds_float, get_args(annotation)))


def _metadata(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        for each in metadata:
            yield from each.metadata if isinstance(each, FieldInfo) else (each,)
        yield from _metadata(inner)
    elif get_origin(annotation) in (Union, UnionType):
        for each in get_args(annotation):
            yield from _metadata(each)


def _unknown(model: type[BaseModel], steps: Location, at: Location, beside: Iterable[str]) -> Problem:
    *above, key = steps
    place: Location = (*at, *(_short(step) for step in above))
    owners = list(_models(_annotations(model, above)))
    for owner in owners:
        if isinstance(key, str) and key in getattr(owner, "unsupported", {}):
            return Problem((*place, key), f"`{key}` is not supported: {owner.unsupported[key]}", "not_supported")
        for names in map(spellings, owner.model_fields.items()):
            if key in names and len(names) > 1:
                others = ", ".join(f"`{each}`" for each in names if each != key)
                return Problem((*place, key), f"`{key}` means the same as {others}: send one of them", "repeated")
    known = {spelling for owner in owners for each in owner.model_fields.items() for spelling in spellings(each)}
    return unknown_key(place, str(key), {*known, *beside})


def _annotations(root: Any, steps: list[str | int]) -> list[Any]:
    """The types that may stand at a location; a step that names no part of them (a union's tag) is passed over."""
    found = [root]
    for step in steps:
        found = [inner for each in found for inner in _inside(each, step)] or found
    return found


def _inside(annotation: Any, step: str | int) -> Iterator[Any]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _inside(arguments[0], step)
    elif origin in (Union, UnionType):
        for each in arguments:
            yield from _inside(each, step)
    elif origin in (list, tuple) and isinstance(step, int):
        yield arguments[0]
    elif origin is dict:
        yield arguments[1]
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, info in annotation.model_fields.items():
            if step in spellings((name, info)):
                yield info.annotation


def _models(annotations: list[Any]) -> Iterator[type[WireModel]]:
    for annotation in annotations:
        if get_origin(annotation) in (Annotated, Union, UnionType):
            yield from _models(list(get_args(annotation)))
        elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield annotation  # type: ignore[misc]


def _short(step: str | int) -> str | int:
    return step if isinstance(step, int) or len(step) <= _SHOWN else step[: _SHOWN - 1] + "…"


def _given(value: Json) -> str:
    """A value, as JSON spells it; of what may be long, only what it is."""
    if isinstance(value, list | dict):
        return "an array" if isinstance(value, list) else "an object"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "…"
