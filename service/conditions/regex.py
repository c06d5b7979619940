"""Regular expressions: users write RE2 syntax; Lucene's `regexp` query gets an exact translation, or none.

Lucene's dialect interprets `^ab` or `(?i)ab` differently and silently finds nothing, so user patterns are never
passed to it unparsed. A pattern without a translation is matched by `search` in the service.
"""

import functools
import re
from collections.abc import Callable

import re2

from service.conditions.regex_cost import affordable
from service.conditions.regex_parse import (
    ANY,
    EMPTY,
    Alt,
    Anchor,
    Chars,
    Node,
    Ranges,
    Repeat,
    Seq,
    Unsupported,
    complement,
    parse,
    sequence,
)

MAX_PATTERN = 1_000
MAX_LUCENE = 900
"""Below the 1,000 characters of `index.max_regex_length`."""

_MAX_MEMORY = 4 << 20
"""Bytes for RE2's program and state cache: `\\pL{100}` fits, `\\pL{1000}` does not."""

Search = Callable[[str], bool]

_Sides = dict[tuple[bool, bool], Node]
"""The expression without `Anchor`s for each combination of: anchored at the start, anchored at the end."""


# Checking and matching


def check(pattern: str, flags: str = "") -> None:
    """Raises `ValueError` with the problem, its position and a remedy unless RE2 accepts the pattern."""
    _compile(pattern, flags)


@functools.lru_cache(maxsize=256)
def search(pattern: str, flags: str = "") -> Search:
    """A function that returns whether the pattern matches anywhere in a text; raises `ValueError` as `check` does."""
    find = _compile(pattern, flags).search

    def matches(text: str) -> bool:
        # With bytes re2 need not convert byte positions back to characters.
        return find(text.encode(errors="surrogatepass")) is not None

    return matches


def _compile(pattern: str, flags: str) -> "re2._Regexp":
    unknown = sorted(set(flags) - set("ims"))
    if unknown:
        raise ValueError(
            f"Unknown regular expression option {unknown[0]!r}: use i (ignore case), m (multi-line) "
            "and s (the dot matches a newline)."
        )
    if len(pattern) > MAX_PATTERN:
        raise ValueError(
            f"The regular expression has {len(pattern):,} characters; at most {MAX_PATTERN:,} are allowed. "
            "Use `$in` for a list of values, or split it into several conditions."
        )
    try:
        source = pattern.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"The regular expression has half of a surrogate pair at character {error.start + 1}; remove it."
        ) from None
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MAX_MEMORY
    options.never_capture = True  # a yes or no needs no groups
    try:
        re2.compile(source, options)  # first without the prefix, so that messages quote the user's pattern
        prefix = f"(?{''.join(sorted(set(flags)))})" if flags else ""
        return re2.compile(prefix.encode() + source, options)
    except re2.error as error:
        reason = error.args[0]
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(_explained(pattern, text)) from None


_HINTS = (
    (
        r"invalid perl operator: \(\?(=|!|<=|<!|<$)",
        "look-around is not part of RE2; use two conditions, one negated",
    ),
    (r"invalid perl operator: \(\?P$", "back-references are not part of RE2; spell the repeated text out"),
    (r"invalid perl operator", "RE2 knows (?:…), (?P<name>…), (?<name>…) and the flags i, m, s, U"),
    (
        r"invalid escape sequence: \\[1-9k]",
        "back-references are not part of RE2; spell the repeated text out",
    ),
    (r"invalid escape sequence: \\Z", r"write \z for the end of the text"),
    (r"invalid escape sequence", r"write \\ for a backslash, and escape only punctuation"),
    (r"missing \)", r"close the group, or write \( for a parenthesis"),
    (r"unexpected \)", r"open the group, or write \) for a parenthesis"),
    (r"missing \]", r"close the character class, or write \[ for a bracket"),
    (r"trailing \\", r"write \\ for a backslash"),
    (r"no argument for repetition", r"put something before it, or escape it: \*"),
    (r"bad repetition operator", "put the inner repetition in a group: (?:…)"),
    (r"invalid repetition size", "repeat at most 1,000 times altogether, the smaller number first"),
    (r"invalid character class range", "put the smaller character first, and use known class names"),
    (r"pattern too large", "use smaller repetition counts or fewer \\p classes"),
)


def _explained(pattern: str, reason: str) -> str:
    what, _, fragment = reason.partition(": ")
    hint = next((hint for expression, hint in _HINTS if re.match(expression, reason)), "see RE2's syntax")
    # For something missing, RE2 quotes the whole pattern or the rest of it, which gives no position.
    place = pattern.find(fragment) if fragment and fragment != pattern else -1
    if place < 0:
        return f"Invalid regular expression: {what}; {hint}."
    return f"Invalid regular expression: {what} {fragment!r} at character {place + 1}; {hint}."


# Translation


@functools.lru_cache(maxsize=1024)
def lucene(pattern: str, flags: str = "") -> str | None:
    """A Lucene regexp (flags NONE) that matches the same whole values as `search`; None if none is certain.

    Also None if Lucene would refuse it as too long or too complex. Raises `ValueError` as `check` does.
    """
    check(pattern, flags)
    try:
        node = _whole(_sides(parse(pattern, flags)))
    except Unsupported:
        return None
    if not affordable(node):
        return None
    text = _print(node)
    return text if len(text) <= MAX_LUCENE else None


def literal(text: str) -> str:
    """The text, escaped for use inside a Lucene regexp."""
    # Never a backslash before a letter or digit: that would be a class, such as `\\d`.
    return "".join(f"\\{c}" if c.isascii() and not c.isalnum() else c for c in text)


_ANYTHING = Repeat(Chars(ANY), 0, None)


def _whole(sides: _Sides) -> Node:
    """The expression for the whole value: free sides get `.*`."""
    wholes = []
    for (start, end), node in sides.items():
        items: list[Node] = list(node.items) if isinstance(node, Seq) else [node]
        # Next to `.*` a possibly empty item adds nothing, and one repetition is equivalent to many.
        while not start and items and _nullable(items[0]):
            del items[0]
        while not end and items and _nullable(items[-1]):
            del items[-1]
        if items and not start:
            items[0] = _least(items[0])
        if items and not end:
            items[-1] = _least(items[-1])
        if not items and not (start and end):
            return _ANYTHING
        wholes.append(sequence([*([] if start else [_ANYTHING]), *items, *([] if end else [_ANYTHING])]))
    if not wholes:
        raise Unsupported  # matches nothing, such as `a^b`
    return _either(wholes)


def _least(node: Node) -> Node:
    if isinstance(node, Repeat) and node.high != node.low:
        return node.item if node.low == 1 else Repeat(node.item, node.low, node.low)
    return node


def _sides(node: Node) -> _Sides:
    """Moves `^` and `$` out of the tree; exact, because the text cannot begin after a character."""
    match node:
        case Anchor(start):
            return {(start, not start): EMPTY}
        case Alt(items):
            return _union([side for item in items for side in _sides(item).items()])
        case Seq(items):
            joined: _Sides = {(False, False): EMPTY}
            for item in items:
                after = _sides(item)
                joined = _union([s for a in joined.items() for b in after.items() if (s := _joined(*a, *b))])
            return joined
        case Repeat(item, low, high):
            inner = _sides(item)
            if set(inner) <= {(False, False)}:
                return {key: Repeat(body, low, high) for key, body in inner.items()}
            if (low, high) == (0, 1):
                return _union([*inner.items(), ((False, False), EMPTY)])
            raise Unsupported  # a repeated anchor
        case _:
            return {(False, False): node}


def _joined(
    before: tuple[bool, bool], left: Node, after: tuple[bool, bool], right: Node
) -> tuple[tuple[bool, bool], Node] | None:
    """The two in sequence; None if that matches nothing."""
    if after[0]:  # still at the beginning, so the left part is empty
        if not _nullable(left):
            return None
        left = EMPTY
    if before[1]:
        if not _nullable(right):
            return None
        right = EMPTY
    return (before[0] or after[0], before[1] or after[1]), sequence([left, right])


def _union(sides: list[tuple[tuple[bool, bool], Node]]) -> _Sides:
    grouped: dict[tuple[bool, bool], list[Node]] = {}
    for key, node in sides:
        grouped.setdefault(key, []).append(node)
    return {key: _either(nodes) for key, nodes in grouped.items()}


def _either(nodes: list[Node]) -> Node:
    """Any of the nodes; `(x|)` becomes `x?`, because Lucene has no empty alternative."""
    flat = [item for node in nodes for item in (node.items if isinstance(node, Alt) else (node,))]
    unique = [node for node in dict.fromkeys(flat) if node != EMPTY]
    if not unique:
        return EMPTY
    some = unique[0] if len(unique) == 1 else Alt(tuple(unique))
    return some if EMPTY not in flat or _nullable(some) else Repeat(some, 0, 1)


def _nullable(node: Node) -> bool:
    """Whether the node (without edges) matches the empty string."""
    match node:
        case Seq(items):
            return all(map(_nullable, items))
        case Alt(items):
            return any(map(_nullable, items))
        case Repeat(item, low, _):
            return low == 0 or _nullable(item)
        case _:
            return False


# Printing


def _print(node: Node) -> str:
    match node:
        case Chars(ranges):
            return _print_chars(ranges)
        case Alt(items):
            return "|".join(map(_print, items))
        case Repeat(item, low, high):
            inner = _print(item) if isinstance(item, Chars) else f"({_print(item)})"
            return inner + _print_bounds(low, high)
        case Seq(items) if items:
            return "".join(f"({_print(item)})" if isinstance(item, Alt) else _print(item) for item in items)
        case _:
            return "()"


def _print_bounds(low: int, high: int | None) -> str:
    sign = {(0, None): "*", (1, None): "+", (0, 1): "?"}.get((low, high))
    if sign is not None:
        return sign
    return f"{{{low}}}" if low == high else f"{{{low},{'' if high is None else high}}}"


def _print_chars(ranges: Ranges) -> str:
    if ranges == ANY:
        return "."
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
        return _one(ranges[0][0])
    inverse = complement(ranges)
    negated = len(inverse) < len(ranges)
    members = (_print_range(low, high) for low, high in (inverse if negated else ranges))
    return f"[{'^' if negated else ''}{''.join(members)}]"


def _print_range(low: int, high: int) -> str:
    """A member of a class. No backslash before a lower end: Lucene reads `[\\+-z]` as `+`, `-`, `z`."""
    singles = ""
    while low < high and chr(low) in "[\\]^-":  # these are not literal there without a backslash
        singles += _one(low)
        low += 1
    if high - low < 2:
        return singles + literal("".join(map(chr, range(low, high + 1))))
    return f"{singles}{chr(low)}-{_one(high)}"


def _one(code: int) -> str:
    return literal(chr(code))
