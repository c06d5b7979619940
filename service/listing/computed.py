"""Lists filtered or sorted by numbers that are counted on read."""

from collections.abc import Mapping, Sequence
from typing import Final

from service.conditions.base import Condition
from service.dialects.flat.listing import ListRequest
from service.errors import Invalid
from service.listing.base import Hit, ListPage, ListSource
from service.listing.cursors import Cursors
from service.listing.walk import sort_clauses
from service.paths import resolve
from service.planning.order import SortKey
from service.values import MISSING, Json, order, parse_date

COUNTED: Final = 1_000
"""Maximum number of resources to count for one answer (contract, Sorting, search, paging)."""


def is_computed(key: SortKey, listed: ListSource) -> bool:
    return key.path[0] in listed.resource.computed


async def computed_page(
    request: ListRequest,
    listed: ListSource,
    cursors: Cursors,
    condition: Condition,
    query: Json,
    keys: Sequence[SortKey],
    bound: str,
) -> ListPage:
    """Filters and sorts by current counts; a cursor continues after the same result, wherever that is now."""
    given = request.cursor
    gone_on = cursors.open(given, bound, request.cursor_at) if given and given != "*" else None
    # In order of arrival; the stored keys' clauses follow only to return the values by which rows are sorted.
    sort = [*listed.ties, *sort_clauses([key for key in keys if not is_computed(key, listed)], listed)]
    body = {"query": query, "sort": sort, "size": COUNTED, "_source": listed.source}
    found = await listed.search({**body, "track_total_hits": True}, None)
    if found.total > COUNTED:
        names = ", ".join(sorted(listed.resource.computed))
        computed = [request.sort_at(number) for number, key in enumerate(keys) if is_computed(key, listed)]
        raise Invalid.at(
            computed[0][:-1] if computed else ("body", "filters"),
            f"{names} are counted for each that matches, at most {COUNTED:,}; {found.total:,} match: narrow it with "
            "other conditions",
            "too_many",
        )
    items = await listed.counted([listed.item(hit.source) for hit in found.hits])
    rows = [(item, hit) for item, hit in zip(items, found.hits, strict=True) if condition.test(item)]
    rows = _sorted(rows, keys, listed)
    tally = listed.tally()
    for item, _ in rows:
        tally.add(item)
    start, end = request.start, request.start + request.size
    if gone_on is not None:
        seen = [hit.sort[-1] for _, hit in rows]
        start = seen.index(gone_on["after"]) + 1 if gone_on["after"] in seen else gone_on["start"]
        end = start + request.size
    cursor = None
    if end < len(rows):
        cursor = cursors.seal(of=bound, after=rows[end - 1][1].sort[-1], start=end)
    return ListPage([hit.source for _, hit in rows[start:end]], start, len(rows), await tally.stats(), cursor)


Row = tuple[Mapping[str, Json], Hit]


def _sorted(rows: list[Row], keys: Sequence[SortKey], listed: ListSource) -> list[Row]:
    """Sorts rows, given in order of arrival, by all keys: computed fields by value, stored ones by OpenSearch's values.

    A stored key is one clause, whose value is never null. Rows without a value for a computed field come last.
    """
    stored = [key for key in keys if not is_computed(key, listed)]
    for key in reversed(keys):
        if is_computed(key, listed):
            rows = _by_computed(rows, key, instant=listed.fields.get(key.path).instant)
        else:
            column = len(listed.ties) + stored.index(key)
            rows = sorted(rows, key=lambda row: row[1].sort[column], reverse=key.descending)
    return rows


def _by_computed(rows: list[Row], key: SortKey, *, instant: bool) -> list[Row]:
    def value(row: Row) -> Json:
        found = resolve(row[0], key.path)
        if found is MISSING:
            return None
        return parse_date(found) if instant and isinstance(found, str) else found

    have = [row for row in rows if value(row) is not None]
    have.sort(key=lambda row: order(value(row)), reverse=key.descending)
    return [*have, *(row for row in rows if value(row) is None)]
