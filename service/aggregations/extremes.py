"""What min and max share: one of them is the other upside down."""

from service.aggregations.base import NUMBERS, Aggregation, Pushdown, Raw, Selector, exact_as_double, instant
from service.fields import Field, JsonType
from service.values import Json, Missing, is_number, number, render_date


class Extreme(Aggregation):
    """The least or greatest number or date; null without any. Numbers come before dates, as in BSON."""

    takes = NUMBERS | {"date"}
    dates = True
    greatest = False

    def gives(self, field: Field) -> frozenset[JsonType]:
        return field.types & ({"number", "text"} if "date" in field.traits else {"number"})

    def pushdown(self, field: Field) -> Pushdown | None:
        if not exact_as_double(field):
            return None
        leaves = [*field.numbers, *([field.dates] if field.dates else [])]
        return Pushdown(
            [{self.name: {"field": leaf}} for leaf in leaves],
            selector=Selector({"a": 0}) if len(leaves) == 1 and not field.dates else None,
        )

    def read(self, field: Field, raw: Raw, documents: int) -> Json:
        numbers = [answer["value"] for answer in raw[: len(field.numbers)] if answer["value"] is not None]
        dates = [answer["value"] for answer in raw[len(field.numbers) :] if answer["value"] is not None]
        found = ExtremeAccumulator(self.greatest)
        for value in numbers:
            found.take(0, number(value))
        for value in dates:
            found.take(1, int(value))
        return found.result()

    def accumulator(self) -> "ExtremeAccumulator":
        return ExtremeAccumulator(self.greatest)


class ExtremeAccumulator:
    """The extreme so far, as (0, number) or (1, epoch milliseconds)."""

    def __init__(self, greatest: bool) -> None:
        self.greatest = greatest
        self.best: tuple[int, int | float] | None = None

    def take(self, rank: int, value: int | float) -> None:
        candidate = (rank, value)
        if self.best is None or (candidate > self.best if self.greatest else candidate < self.best):
            self.best = candidate

    def add(self, value: Json | Missing, count: int = 1) -> None:
        if is_number(value):
            self.take(0, value)
        elif (millis := instant(value)) is not None:
            self.take(1, millis)

    def result(self) -> Json:
        if self.best is None:
            return None
        rank, value = self.best
        return render_date(int(value)) if rank else number(value)
