"""Finds the known name most similar to a misspelt one."""

import difflib
from collections.abc import Iterable

from service.errors import Location, Problem
from service.paths import Path

_SHOWN = 40
"""Maximum known names in a message; a longer list would hide the suggestion."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The most similar known name, `None` if none is similar; ignores case, `_`, `-` and abbreviation."""
    names = list(known)
    match = misspelt(name, names)
    if match is not None:
        return match
    plain = {_plain(each): each for each in names}
    wanted = _plain(name)
    abbreviated = [
        each
        for each in plain
        if len(wanted) > 1 and (each.startswith(wanted) or (wanted.startswith(each) and 2 * len(each) >= len(wanted)))
    ]
    return plain[min(abbreviated, key=len)] if abbreviated else None


def misspelt(name: str, known: Iterable[str]) -> str | None:
    """As `nearest`, but an abbreviation is a different name: for places where unknown names are allowed."""
    plain = {_plain(each): each for each in known}
    wanted = _plain(name)
    if wanted in plain:
        return plain[wanted]
    close = difflib.get_close_matches(wanted, plain, n=1, cutoff=0.7)
    return plain[close[0]] if close else None


def nearest_path(path: Path, known: Iterable[Path]) -> Path | None:
    """The known path most similar to a wrong one, `None` if none is similar.

    A path with the same last steps (`carrier`, `meta.carrier` → `metadata.carrier`) is preferred to a misspelt last
    step under the same parent, then one anywhere, then the known part of the path. Comparing whole texts would find
    `metadata.abc` similar to `metadata.xyz`, as the parent's name dominates both.
    """
    candidates = [each for each in known if each != path]
    tails = {each: _shared_tail(path, each) for each in candidates}
    if any(tails.values()):
        return max(candidates, key=lambda each: (tails[each], _shared_head(path, each), -len(each)))
    for place in (path[:-1], None):
        lasts: dict[str, Path] = {}
        for each in candidates:
            if place is None or each[:-1] == place:
                shorter = each[-1] not in lasts or len(each) < len(lasts[each[-1]])
                lasts[each[-1]] = each if shorter else lasts[each[-1]]
        if (last := nearest(path[-1], lasts)) is not None:
            return lasts[last]
    beginnings = [each for each in candidates if len(each) > 1 and each == path[: len(each)]]
    return max(beginnings, key=len, default=None)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean \\`filters\\`?`, or nothing."""
    match = nearest(name, known)
    return f"; did you mean `{match}`?" if match is not None else ""


def unknown_key(location: Location, key: str, known: Iterable[str]) -> Problem:
    """The 422 for an unknown key: location, key, the known keys and the nearest of them."""
    names = sorted(known)
    listed = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    shown = key if len(key) <= 60 else key[:59] + "…"
    expected = f"known keys: {listed}" if names else "no keys are known here"
    return Problem(
        (*location, shown), f"unknown key `{shown}`{did_you_mean(key, names)} ({expected})", "extra_forbidden"
    )


def _shared_tail(one: Path, other: Path) -> int:
    """The number of equal last steps, ignoring spelling variants; a dot within a name counts like one between names."""
    count = 0
    for mine, theirs in zip(reversed(".".join(one).split(".")), reversed(".".join(other).split(".")), strict=False):
        if _plain(mine) != _plain(theirs):
            break
        count += 1
    return count


def _shared_head(one: Path, other: Path) -> int:
    return _shared_tail(one[::-1], other[::-1])


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").casefold()
