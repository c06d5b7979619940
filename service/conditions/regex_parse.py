"""Parse RE2 syntax into a small syntax tree.

The parser only gets patterns that RE2 has accepted, so it need not detect errors; for anything it is not certain
about it raises `Unsupported`, and the caller does without a translation.
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import re2

Ranges = tuple[tuple[int, int], ...]
"""Code points as inclusive ranges: ascending, not adjacent, without surrogates."""

MAX_DEPTH = 40
"""Nested groups; keeps the recursion shallow here and in Lucene."""

_LAST = 0x10FFFF
_SURROGATES = (0xD800, 0xDFFF)
UNCASED = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0x20000, _LAST))
"""Ideographs, Hangul and everything above plane 1 have no case folding (a test checks this with RE2)."""


class Unsupported(Exception):
    """There is no provably equivalent translation."""


@dataclass(frozen=True, slots=True)
class Chars:
    """One character out of a set."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Seq:
    """The items in sequence; without items the empty string."""

    items: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Alt:
    """Any one of the items."""

    items: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Repeat:
    """The item `low` to `high` times (`high` None: no limit)."""

    item: "Node"
    low: int
    high: int | None


@dataclass(frozen=True, slots=True)
class Anchor:
    """The beginning (`start`) or the end of the text."""

    start: bool


Node = Chars | Seq | Alt | Repeat | Anchor

EMPTY = Seq(())


# Sets of code points


def merged(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """The ranges in normal form. Surrogates are removed: they occur in no text and no query string."""
    out: list[tuple[int, int]] = []
    first, last = _SURROGATES
    for low, high in sorted(ranges):
        for lo, hi in ((low, min(high, first - 1)), (max(low, last + 1), high)):
            if lo > hi:
                continue
            if out and lo <= out[-1][1] + 1:
                out[-1] = (out[-1][0], max(out[-1][1], hi))
            else:
                out.append((lo, hi))
    return tuple(out)


def complement(ranges: Ranges) -> Ranges:
    """All code points that are not in `ranges`."""
    out: list[tuple[int, int]] = []
    start = 0
    for low, high in ranges:
        out.append((start, low - 1))
        start = high + 1
    out.append((start, _LAST))
    return merged((low, high) for low, high in out if low <= high)


def _set(members: str) -> Ranges:
    """`"09AZ"` -> the ranges 0-9 and A-Z."""
    return merged((ord(low), ord(high)) for low, high in zip(members[::2], members[1::2], strict=True))


ANY = complement(())
NOT_NEWLINE = complement(_set("\n\n"))

_PERL = {"d": _set("09"), "s": _set("\t\n\f\r  "), "w": _set("09AZ__az")}
_POSIX = {
    "alnum": _set("09AZaz"),
    "alpha": _set("AZaz"),
    "ascii": _set("\x00\x7f"),
    "blank": _set("\t\t  "),
    "cntrl": _set("\x00\x1f\x7f\x7f"),
    "digit": _set("09"),
    "graph": _set("!~"),
    "lower": _set("az"),
    "print": _set(" ~"),
    "punct": _set("!/:@[`{~"),
    "space": _set("\t\r  "),
    "upper": _set("AZ"),
    "word": _set("09AZ__az"),
    "xdigit": _set("09AFaf"),
}
_ESCAPES = {"a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}


_EXTRA = {"k": "\u212a", "s": "\u017f"}
"""KELVIN SIGN and LATIN SMALL LETTER LONG S fold to ASCII letters."""


@functools.lru_cache(maxsize=1)
def _cased() -> bytes:
    """Every code point that may take part in case folding, in order, as UTF-8."""
    text = "".join(chr(c) for low, high in complement(UNCASED) for c in range(low, high + 1))
    # Letters with case, Roman numerals, circled letters, and the combining ypogegrammeni.
    return b"".join(re2.findall(rb"[\p{Lu}\p{Ll}\p{Lt}\p{Nl}\p{So}\p{Mn}]+", text.encode()))


@functools.lru_cache(maxsize=2048)
def folded(ranges: Ranges) -> Ranges:
    """The ranges plus everything that they also match under RE2's `(?i)`.

    Determined by RE2 itself, because its Unicode version differs from Python's. ASCII letters take a shortcut.
    """
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1] < 0x80:
        char = chr(ranges[0][0])
        return merged((ord(c), ord(c)) for c in {char.lower(), char.upper(), *_EXTRA.get(char.lower(), "")})
    if all(any(first <= low and high <= last for first, last in UNCASED) for low, high in ranges):
        return ranges
    options = re2.Options()
    options.log_errors = False
    spelled = "".join(rf"\x{{{low:x}}}-\x{{{high:x}}}" for low, high in ranges)
    found = re2.compile(f"(?i)[{spelled}]+".encode(), options).finditer(_cased())
    # Runs of matches, for speed; they may span a gap in the text.
    return merged((*ranges, *((ord(c), ord(c)) for m in found for c in m.group().decode())))


# The parser


@dataclass(frozen=True, slots=True)
class _Flags:
    ignore_case: bool
    multi_line: bool
    dot_all: bool

    def changed(self, letters: str) -> "_Flags":
        """The flags after `(?letters)`; U (swap greedy and lazy) does not change what matches."""
        on, _, off = letters.partition("-")

        def value(letter: str, before: bool) -> bool:
            return letter not in off and (letter in on or before)

        return _Flags(value("i", self.ignore_case), value("m", self.multi_line), value("s", self.dot_all))


def parse(pattern: str, flags: str = "") -> Node:
    """The syntax tree of a pattern that RE2 accepts; raises `Unsupported` if it cannot be represented."""
    return _Parser(pattern, _Flags("i" in flags, "m" in flags, "s" in flags)).parse()


class _Parser:
    """Recursive descent over the pattern."""

    def __init__(self, pattern: str, flags: _Flags) -> None:
        self._text = pattern
        self._at = 0
        self._flags = flags
        self._depth = 0

    def parse(self) -> Node:
        node = self._alternation()
        if self._at != len(self._text):
            raise Unsupported
        return node

    def _peek(self, prefix: str) -> bool:
        return self._text.startswith(prefix, self._at)

    def _take(self, prefix: str) -> bool:
        if not self._peek(prefix):
            return False
        self._at += len(prefix)
        return True

    def _next(self) -> str:
        if self._at >= len(self._text):
            raise Unsupported
        self._at += 1
        return self._text[self._at - 1]

    def _until(self, stop: str) -> str:
        """The text up to `stop`, which is consumed."""
        end = self._text.find(stop, self._at)
        if end < 0:
            raise Unsupported
        start, self._at = self._at, end + len(stop)
        return self._text[start:end]

    def _alternation(self) -> Node:
        """Up to the closing parenthesis or the end. Flags set inside persist across `|`."""
        items = [self._sequence()]
        while self._take("|"):
            items.append(self._sequence())
        return items[0] if len(items) == 1 else Alt(tuple(items))

    def _sequence(self) -> Node:
        items: list[Node] = []
        # RE2 applies a quantifier across `(?i)` and `\Q\E`; too unusual to rely on.
        repeatable = False
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            bounds = self._quantifier()
            if bounds is not None:
                if not repeatable:
                    raise Unsupported
                items.append(_repeated(items.pop(), *bounds))
                continue
            before = len(items)
            self._item(items)
            repeatable = len(items) > before
        return items[0] if len(items) == 1 else Seq(tuple(items))

    def _quantifier(self) -> tuple[int, int | None] | None:
        """The bounds of a greedy or lazy quantifier; None, and nothing consumed, for other text."""
        for sign, low, high in (("*", 0, None), ("+", 1, None), ("?", 0, 1)):
            if self._take(sign):
                self._take("?")
                return low, high
        if not self._peek("{"):
            return None
        end = self._text.find("}", self._at)
        inside = self._text[self._at + 1 : max(end, 0)]
        first, comma, second = inside.partition(",")
        # `{,3}`, `{01}` and the like are literal text.
        if not _is_count(first) or (second and not _is_count(second)):
            return None
        self._at = end + 1
        self._take("?")
        if not comma:
            return int(first), int(first)
        return int(first), int(second) if second else None

    def _item(self, items: list[Node]) -> None:
        """Appends one atom to `items`; a flag group appends nothing, a quotation several."""
        char = self._next()
        if char == "(":
            group = self._group()
            if group is not None:
                items.append(group)
        elif char == "[":
            items.append(_chars(self._char_class()))
        elif char == ".":
            items.append(Chars(ANY if self._flags.dot_all else NOT_NEWLINE))
        elif char in "^$":
            if self._flags.multi_line:
                raise Unsupported
            items.append(Anchor(char == "^"))
        elif char != "\\":
            items.append(self._literal(ord(char)))
        elif self._take("Q"):
            end = self._text.find("\\E", self._at)
            quoted = self._text[self._at :] if end < 0 else self._until("\\E")
            if end < 0:
                self._at = len(self._text)
            items.extend(self._literal(ord(c)) for c in quoted)
        elif self._take("A"):
            items.append(Anchor(True))
        elif self._take("z"):
            items.append(Anchor(False))
        else:
            ranges = self._perl_class()
            items.append(self._literal(self._escape()) if ranges is None else _chars(ranges))

    def _literal(self, code: int) -> Chars:
        return _chars(self._fold(merged([(code, code)])))

    def _fold(self, ranges: Ranges) -> Ranges:
        return folded(ranges) if ranges and self._flags.ignore_case else ranges

    def _group(self) -> Node | None:
        """After `(`. None for a group that only sets flags, which apply to the end of the enclosing group."""
        before = self._flags
        if self._take("?"):
            if self._take("P<") or self._take("<"):
                self._until(">")
            else:
                end = next((i for i in range(self._at, len(self._text)) if self._text[i] in ":)"), None)
                if end is None or set(self._text[self._at : end]) - set("imsU-"):
                    raise Unsupported
                self._flags = before.changed(self._text[self._at : end])
                self._at = end + 1
                if self._text[end] == ")":
                    return None
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Unsupported
        node = self._alternation()
        self._depth -= 1
        self._flags = before
        if not self._take(")"):
            raise Unsupported
        return node

    def _perl_class(self) -> Ranges | None:
        r"""After a backslash: the set of `\d`, `\W`, …; None, and nothing consumed, for other escapes."""
        letter = self._text[self._at : self._at + 1]
        ranges = _PERL.get(letter.lower())
        if ranges is None:
            return None
        self._at += 1
        # RE2 folds first and then negates, so `(?i)\W` matches neither `K` nor the KELVIN SIGN.
        ranges = self._fold(ranges)
        return ranges if letter.islower() else complement(ranges)

    def _escape(self) -> int:
        r"""After a backslash: the code point of an escape; `\b`, `\B`, `\C`, `\p` and `\P` are refused."""
        char = self._next()
        if char in "01234567":
            code = int(char)
            for _ in range(2):
                if self._text[self._at : self._at + 1] not in tuple("01234567"):
                    break
                code = code * 8 + int(self._next())
            return code
        if char == "x":
            return int(self._until("}") if self._take("{") else self._next() + self._next(), 16)
        if char in _ESCAPES:
            return _ESCAPES[char]
        if not char.isascii() or char.isalnum():
            raise Unsupported
        return ord(char)

    def _char_class(self) -> Ranges:
        """After `[`."""
        negated = self._take("^")
        ranges: list[tuple[int, int]] = []
        first = True
        while first or not self._peek("]"):
            first = False
            if self._peek("[:") and self._text.find(":]", self._at + 2) >= 0:
                self._at += 2
                name = self._until(":]")
                inverted = name.startswith("^")
                known = _POSIX.get(name.removeprefix("^"))
                if known is None:
                    raise Unsupported
                known = self._fold(known)
                ranges += complement(known) if inverted else known
                continue
            if self._peek("\\"):
                self._at += 1
                perl = self._perl_class()
                if perl is not None:
                    ranges += perl
                    continue
                low = self._escape()
            else:
                low = ord(self._next())
            high = low
            if self._peek("-") and not self._peek("-]"):
                self._at += 1
                high = self._escape() if self._take("\\") else ord(self._next())
            ranges += self._fold(merged([(low, high)]))
        self._at += 1
        whole = merged(ranges)
        return complement(whole) if negated else whole


def _chars(ranges: Ranges) -> Chars:
    if not ranges:
        raise Unsupported  # `[^\x00-\x{10FFFF}]`, `\x{D800}`: matches nothing
    return Chars(ranges)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and (text == "0" or text[0] != "0")


def _repeated(item: Node, low: int, high: int | None) -> Node:
    if high == 0 or item == EMPTY:
        return EMPTY
    return item if low == high == 1 else Repeat(item, low, high)


def sequence(items: Sequence[Node]) -> Node:
    """The items in sequence, flattened as far as possible."""
    flat: list[Node] = []
    for item in items:
        flat.extend(item.items if isinstance(item, Seq) else (item,))
    return flat[0] if len(flat) == 1 else Seq(tuple(flat))
