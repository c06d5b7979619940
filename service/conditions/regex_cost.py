"""Whether Lucene can determinize an expression's automaton at reasonable cost.

Lucene gives up, failing the whole request, at an effort of 100,000 (10 times `max_determinized_states`): the sum
over the deterministic states of the positions in each. `.*a.{20}` has a million of them. This counts the same way
with a safety margin, so that no query is sent that would fail.
"""

from service.conditions.regex_parse import Alt, Chars, Node, Ranges, Repeat, Seq, Unsupported

_MAX_POSITIONS = 3_000
_MAX_EFFORT = 50_000
_MAX_STEPS = 300_000
"""Bounds our own computing time: well below 0.1 s."""


def affordable(node: Node) -> bool:
    """Whether the expression (without edges) costs less than half of what Lucene allows."""
    try:
        return _Automaton(node).determinizes()
    except Unsupported:
        return False


class _Automaton:
    """The position automaton: one position per character of the expression, repetitions expanded.

    Sets of positions are the bits of an int; bit 0 is the start.
    """

    def __init__(self, node: Node) -> None:
        self._classes: list[Ranges] = [()]
        self._follow = [0]
        self._steps = 0
        _, first, _ = self._build(node)
        self._follow[0] |= first

    def _build(self, node: Node) -> tuple[bool, int, int]:
        """Add the positions of a node: may it be empty, where does it begin, where does it end?"""
        match node:
            case Chars(ranges):
                if len(self._classes) > _MAX_POSITIONS:
                    raise Unsupported
                self._classes.append(ranges)
                self._follow.append(0)
                bit = 1 << (len(self._classes) - 1)
                return False, bit, bit
            case Alt(items):
                nullable, first, last = False, 0, 0
                for item in items:
                    empty, begin, end = self._build(item)
                    nullable, first, last = nullable or empty, first | begin, last | end
                return nullable, first, last
            case Seq(items):
                nullable, first, last = True, 0, 0
                for item in items:
                    empty, begin, end = self._build(item)
                    self._connect(last, begin)
                    first = first | begin if nullable else first
                    last = last | end if empty else end
                    nullable = nullable and empty
                return nullable, first, last
            case Repeat(item, low, high):
                return self._repeat(item, low, high)
            case _:
                raise Unsupported

    def _repeat(self, item: Node, low: int, high: int | None) -> tuple[bool, int, int]:
        """Copies of an item, the optional ones nested as in Lucene: `x(x(x)?)?`."""
        nullable, first, last, ends = True, 0, 0, 0
        for number in range(1, (max(low, 1) if high is None else high) + 1):
            empty, begin, end = self._build(item)
            self._connect(last, begin)
            first = first | begin if nullable else first
            last = last | end if empty else end
            ends = ends | last if number >= low else 0
            nullable = nullable and empty
        if high is None:
            self._connect(last, begin)
        return nullable or low == 0, first, ends

    def _connect(self, ends: int, begins: int) -> None:
        self._steps += ends.bit_count()
        if self._steps > _MAX_STEPS:
            raise Unsupported
        while ends:
            low = ends & -ends
            self._follow[low.bit_length() - 1] |= begins
            ends ^= low

    def _symbols(self) -> set[int]:
        """For each kind of character, the positions that accept it."""
        masks: dict[Ranges, int] = {}
        for position, ranges in enumerate(self._classes):
            masks[ranges] = masks.get(ranges, 0) | 1 << position
        changes: dict[int, int] = {}
        for ranges, mask in masks.items():
            for low, high in ranges:
                changes[low] = changes.get(low, 0) ^ mask
                changes[high + 1] = changes.get(high + 1, 0) ^ mask
        current, symbols = 0, set()
        for point in sorted(changes):
            current ^= changes[point]
            symbols.add(current)
        return symbols - {0}

    def determinizes(self) -> bool:
        """Construct the reachable sets of positions, within the limits."""
        symbols = self._symbols()
        seen, waiting = {1}, [1]
        effort = 0
        while waiting:
            state = waiting.pop()
            effort += state.bit_count()
            self._steps += len(symbols) + state.bit_count()
            if effort > _MAX_EFFORT or self._steps > _MAX_STEPS:
                return False
            reach, rest = 0, state
            while rest:
                low = rest & -rest
                reach |= self._follow[low.bit_length() - 1]
                rest ^= low
            new = {reach & symbol for symbol in symbols} - seen - {0}
            seen |= new
            waiting.extend(new)
        return True
