"""Operands of comparisons with dates: any form of ISO-8601, nothing else."""

from typing import Final

from service import paths
from service.errors import Invalid, Location
from service.iso8601 import parse_instant
from service.paths import Path
from service.values import Json, is_number, parse_date, render_date

_EXAMPLES: Final = "2026-01-31 or 2026-01-31T10:30:00Z"
_FIRST: Final = 10**8
"""Smaller numbers are unlikely to be epoch seconds (1973-03-03) or milliseconds (1970-01-02)."""
_LAST_SECOND: Final = 253_402_300_799


def date_operand(what: str, value: Json, at: Location) -> Json:
    """The operand in a form that conditions treat as a date; null is unchanged.

    Raises `Invalid` for anything but a date; `what` names the value compared with it.
    """
    if value is None or (isinstance(value, str) and parse_date(value) is not None):
        return value
    millis = parse_instant(value) if isinstance(value, str) else None
    if millis is None:
        raise Invalid.at(
            at,
            f"{what} compares with dates in ISO-8601, such as {_EXAMPLES}, not with {_shown(value)}{_meant(value)}",
            "no_date",
        )
    return render_date(millis)


def date_operands(path: Path, values: tuple[Json, ...], at: Location) -> tuple[Json, ...]:
    """The same for all operands of a condition on a date field."""
    what = f"the date field {paths.text(path)!r}"
    if len(values) == 1:
        return (date_operand(what, values[0], at),)
    return tuple(date_operand(what, value, (*at, position)) for position, value in enumerate(values))


def _shown(value: Json) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _meant(value: Json) -> str:
    """The instant for a number, or a text of digits, that looks like epoch seconds or milliseconds."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if not is_number(value) or not _FIRST <= abs(value) <= _LAST_SECOND * 1000:
        return ""
    millis = int(value) * (1000 if abs(value) < _FIRST * 100 else 1)
    try:
        return f"; as epoch {'milliseconds' if millis == int(value) else 'seconds'} that is {render_date(millis)}"
    except OverflowError:
        return ""
