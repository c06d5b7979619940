"""What may be seen at a moment, from what was asked for and what was acknowledged.

Everything that is written has a key with one writer at a time. A table knows for each key the states that are possible:
one after an acknowledged write, the one before and the new one while a write is on its way or if its answer never came.
A reader may see whatever was possible at some moment between its question and its answer, and nothing else.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

State = int | None
"""The number that a thing holds, None for no such thing."""

ABSENT: frozenset[State] = frozenset({None})


@dataclass
class Report:
    """What happened while something was wrong, as the table has it."""

    title: str
    requests: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    """Documented errors that clients got, by status and type; `cut`: the process died, or its answer was lost."""
    examples: dict[str, str] = field(default_factory=dict)
    """The first one of each: the request, and what was said."""
    wrong: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    seconds: float | None = None
    """Until everything went well again."""

    @property
    def clean(self) -> bool:
        return not (self.wrong or self.lost or self.doubled)

    @property
    def told(self) -> str:
        lines = [f"{name}: {example}" for name, example in self.examples.items()]
        lines += [f"{name}: {each}" for name in ("wrong", "lost", "doubled") for each in getattr(self, name)[:15]]
        return "\n".join([f"{self.title}: {self.requests} requests, errors {dict(self.errors)}", *lines])


class Watch:
    """What one reader may see."""

    def __init__(self, possible: Mapping[str, frozenset[State]]) -> None:
        self.allowed = dict(possible)

    def may(self, key: str) -> frozenset[State]:
        return self.allowed.get(key, ABSENT)

    def bounds(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """The least and the greatest that a count and a sum over everything can be."""
        counts, sums = [0, 0], [0, 0]
        for states in self.allowed.values():
            there = [each for each in states if each is not None]
            absent = None in states
            counts[0] += not absent
            counts[1] += bool(there)
            values = [*there, *([0] if absent else [])]
            sums[0] += min(values)
            sums[1] += max(values)
        return (counts[0], counts[1]), (sums[0], sums[1])


class Table:
    """Things of one kind, by key."""

    def __init__(self, name: str, report: Report) -> None:
        self.name = name
        self.report = report
        self.possible: dict[str, frozenset[State]] = {}
        self.ever: dict[str, frozenset[State]] = {}
        """All that was ever possible."""
        self.ids: dict[str, str] = {}
        """Key → the id that an acknowledged write told."""
        self.unsettled: set[str] = set()
        """What may still change by itself: it matches a deletion that nobody heard of."""
        self._watches: set[Watch] = set()

    def __len__(self) -> int:
        return len(self.possible)

    def begin(self, new: Mapping[str, State]) -> dict[str, frozenset[State]]:
        """Writes are on their way; gives what was possible before."""
        before = {key: self.possible.get(key, ABSENT) for key in new}
        for key, state in new.items():
            self._set(key, before[key] | {state})
        return before

    def end(self, new: Mapping[str, State]) -> None:
        """They were acknowledged."""
        for key, state in new.items():
            self._set(key, frozenset({state}))

    def refuse(self, before: Mapping[str, frozenset[State]]) -> None:
        """They were refused: everything is as before."""
        for key, states in before.items():
            self._set(key, states)

    def _set(self, key: str, states: frozenset[State]) -> None:
        self.possible[key] = states
        self.ever[key] = self.ever.get(key, ABSENT) | states
        for watch in self._watches:
            watch.allowed[key] = watch.allowed.get(key, ABSENT) | states

    @contextmanager
    def watched(self) -> Iterator[Watch]:
        watch = Watch(self.possible)
        self._watches.add(watch)
        try:
            yield watch
        finally:
            self._watches.discard(watch)

    # What is seen

    def check_counts(self, who: str, watch: Watch, count: int, total: float | None = None) -> None:
        (least, most), (low, high) = watch.bounds()
        if count < least:
            self.report.lost.append(f"{who}: {self.name}: {count} are counted of {least}")
        if count > most:
            self.report.doubled.append(f"{who}: {self.name}: {count} are counted of at most {most}")
        if total is not None and not low <= total <= high:
            self.report.wrong.append(f"{who}: {self.name}: the sum is {total}, not in {low} … {high}")

    def check_one(self, who: str, watch: Watch, key: str, state: State) -> None:
        may = watch.may(key)
        if state in may:
            return
        told = f"{who}: {self.name}: {key} is {state}, may be {sorted(may, key=str)}"
        (self.report.lost if state is None else self.report.wrong).append(told)

    def check_all(self, who: str, watch: Watch, seen: Iterable[tuple[str, State]]) -> None:
        """Everything that there is was seen, from one moment or several."""
        found: dict[str, State] = {}
        for key, state in seen:
            if key in found:
                self.report.doubled.append(f"{who}: {self.name}: {key} is there twice")
            found[key] = state
        for key in found.keys() | watch.allowed.keys():
            self.check_one(who, watch, key, found.get(key))

    def settle(self, found: Mapping[str, State]) -> None:
        """What was unknown is as it was found, now that nothing is on its way any more."""
        for key in self.possible:
            if key not in self.unsettled and found.get(key) in self.possible[key]:
                self._set(key, frozenset({found.get(key)}))
