"""Finds the known name that a misspelt one most likely means."""

import difflib
from collections.abc import Iterable

from service.errors import Location, Problem

_SHOWN = 40
"""Known names that a message lists; a longer list would hide the suggestion."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The most similar known name, `None` if none is similar: case, `_`, `-` and abbreviation do not count."""
    names = list(known)
    match = misspelt(name, names)
    if match is not None:
        return match
    plain = {_plain(each): each for each in names}
    wanted = _plain(name)
    abbreviated = [each for each in plain if len(wanted) > 1 and (each.startswith(wanted) or wanted.startswith(each))]
    return plain[min(abbreviated, key=len)] if abbreviated else None


def misspelt(name: str, known: Iterable[str]) -> str | None:
    """As `nearest`, but an abbreviation is another name: where unknown names are allowed, too."""
    plain = {_plain(each): each for each in known}
    wanted = _plain(name)
    if wanted in plain:
        return plain[wanted]
    close = difflib.get_close_matches(wanted, plain, n=1, cutoff=0.7)
    return plain[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean \\`filters\\`?`, or nothing."""
    match = nearest(name, known)
    return f"; did you mean `{match}`?" if match is not None else ""


def unknown_key(location: Location, key: str, known: Iterable[str]) -> Problem:
    """The 422 for a key that nothing reads: place, key, the known keys and the nearest of them."""
    names = sorted(known)
    listed = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    shown = key if len(key) <= 60 else key[:59] + "…"
    expected = f"known keys: {listed}" if names else "no keys are known here"
    return Problem(
        (*location, shown), f"unknown key `{shown}`{did_you_mean(key, names)} ({expected})", "extra_forbidden"
    )


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").casefold()
