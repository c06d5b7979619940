"""The documented request of a list, and its pagination."""

from collections.abc import Callable, Iterable
from typing import Annotated, Any, ClassVar, Final
from urllib.parse import urlencode

from pydantic import AliasChoices, ConfigDict, Field, PrivateAttr, StrictStr

from service import paths
from service.dialects.flat.filters import LIST_OPERATORS
from service.errors import Invalid, Location
from service.paths import Path
from service.planning.order import SortKey
from service.values import Json
from service.wire import WireModel

MAX_LIMIT: Final = 1_000
WINDOW: Final = 10_000
"""Results that `offset` can reach: OpenSearch's limit (`index.max_result_window`). Later ones need a `cursor`."""

POSITION_KEYS: Final = frozenset({"offset", "page", "cursor"})
"""The keys that set where a page begins."""
SIZE_KEYS: Final = frozenset({"limit", "page_size"})

MAX_SORTS: Final = 8
"""Maximum sort keys; each takes up to five clauses of OpenSearch's `sort`."""

Count = Annotated[int, Field(ge=1, le=MAX_LIMIT)]


class SortOption(WireModel):
    """One field and a direction, `asc` by default."""

    field: StrictStr = Field(min_length=1, examples=["created_at"])
    direction: StrictStr = Field(
        "asc",
        pattern="(?i)^(asc|desc)$",
        description="asc or desc, in any letter case.",
        # JSON Schema's regular expressions have no (?i).
        json_schema_extra={"pattern": "^([aA][sS][cC]|[dD][eE][sS][cC])$"},
    )

    @property
    def descending(self) -> bool:
        return self.direction.lower() == "desc"


class ListParameters(WireModel):
    """The page of a list, and what matches in which case: in the query as in the body."""

    search: str | None = Field(None, description="Substring of ids, names, descriptions (objects: metadata).")
    case_sensitive: bool = Field(False, description="Whether filters and `search` distinguish upper from lower case.")
    limit: Count | None = Field(None, description="Results of a page, 10 by default.")
    page_size: Count | None = Field(None, description="The same as `limit`.")
    offset: Annotated[int, Field(ge=0)] | None = Field(
        None, description=f"Results to skip; reaches {WINDOW:,} results, `cursor` reaches all."
    )
    page: Annotated[int, Field(ge=1)] | None = Field(None, description="Number of the page, from 1.")
    cursor: str | None = Field(
        None,
        validation_alias=AliasChoices("cursor", "next_cursor", "after"),
        description="`next_cursor` of the page before; `*` begins a walk over one state of the data.",
    )
    include_total: bool = Field(True, description="Accepted for older clients; the total is always given.")


class ListRequest(ListParameters):
    """Filters, order and page of a list. What stands in the query counts more than what stands in the body."""

    model_config = ConfigDict(strict=True)
    unsupported: ClassVar = {
        "include_system": "every collection is one that a user made",
        "return_presigned_urls": "Tally stores no files that a URL could lead to",
    }

    filters: dict[str, Any] | None = Field(
        None,
        description="`AND`, `OR` and `NOT` of conditions, each `{field, operator, value}`; any other key is shorthand "
        f"equality. Operators: {', '.join(LIST_OPERATORS)}.",
    )
    sort: SortOption | None = Field(None, description="One key of the order.")
    sorts: list[SortOption] | None = Field(
        None,
        max_length=MAX_SORTS,
        description="All keys of the order: each decides between what ties in the keys before it. With `sort` beside "
        "it, its first key has to be the same.",
    )
    select: list[str] | None = Field(None, description="Paths to give back; all by default.")

    _in_query: frozenset[str] = PrivateAttr(frozenset())

    @property
    def size(self) -> int:
        return self.limit or self.page_size or 10

    @property
    def start(self) -> int:
        """How many results come before this page."""
        if self.offset is not None:
            return self.offset
        return ((self.page or 1) - 1) * self.size

    @property
    def question(self) -> Json:
        """What is asked, whatever the page and the order: a cursor goes on with the same."""
        return self.model_dump(include={"filters", "search", "case_sensitive"})

    def order(self, place: Callable[[Path], Path]) -> list[SortKey]:
        """The keys of the order, the most significant first; `place` says where a path lies in the resources.

        Raises `Invalid` for a path that cannot be read, a field that is there twice, and a `sort` that is not the
        first of `sorts`.
        """
        options = self.sorts or ([self.sort] if self.sort else [])
        keys = [
            SortKey(place(read_path(option.field, self.sort_at(number))), option.descending)
            for number, option in enumerate(options)
        ]
        for number, key in enumerate(keys):
            earlier = [each.path for each in keys[:number]]
            if key.path in earlier:
                first = earlier.index(key.path)
                raise Invalid.at(
                    self.sort_at(number),
                    f"{options[number].field!r} is sorted by already: {options[first].field!r} at position {first} is "
                    "the same field; leave out one of them",
                    "duplicate",
                )
        if self.sort and self.sorts:
            alone = SortKey(place(read_path(self.sort.field, ("body", "sort", "field"))), self.sort.descending)
            if alone != keys[0]:
                raise Invalid.at(
                    ("body", "sort"),
                    f"`sort` and the first of `sorts` say different things ({_shown(self.sort)}, "
                    f"{_shown(self.sorts[0])}); send `sorts` alone",
                    "contradiction",
                )
        return keys

    def sort_at(self, number: int) -> Location:
        """Where the field of a key stands in the request."""
        if self.sorts:
            return ("body", "sorts", number, "field")
        return ("query", "sort_field") if "sort" in self._in_query else ("body", "sort", "field")

    def overridden(self, parameters: ListParameters, **changes: Json) -> "ListRequest":
        """With what the query gives in place of the same in the body; `changes`: what it spells in another way.

        A page that is chosen in the query replaces the body's whole choice: links are followed with the first body.
        """
        given = parameters.model_fields_set & ListParameters.model_fields.keys()
        update = {name: getattr(parameters, name) for name in given}
        for keys in (POSITION_KEYS, SIZE_KEYS):
            if given & keys:
                update = {**dict.fromkeys(keys), **update}
        found = self.model_copy(update={**update, **changes})
        found._in_query = frozenset({*given, *changes})
        found._check()
        return found

    @property
    def cursor_at(self) -> Location:
        return self._at("cursor")

    def _at(self, name: str) -> Location:
        return ("query" if name in self._in_query else "body", name)

    def _check(self) -> None:
        """Raises `Invalid` for a page that contradicts itself, or that cannot be reached by counting."""
        if None not in (self.limit, self.page_size) and self.limit != self.page_size:
            raise Invalid.at(self._at("page_size"), f"`limit` says {self.limit}: send one of them", "contradiction")
        if None not in (self.offset, self.page) and self.offset != (self.page - 1) * self.size:  # type: ignore[operator]
            raise Invalid.at(self._at("page"), f"`offset` says {self.offset}: send one of them", "contradiction")
        if self.cursor not in (None, "", "*") and self.start:
            name = "offset" if self.offset is not None else "page"
            raise Invalid.at(self._at(name), "a cursor says where the page begins: leave this out", "contradiction")
        if self.cursor in (None, "", "*") and self.start + self.size > WINDOW:
            raise Invalid.at(
                self._at("offset" if self.offset is not None else "page"),
                f"offset and page reach {WINDOW:,} results, this page ends at {self.start + self.size:,}; go on with "
                "`cursor`: the `next_cursor` of the page before, or `*` to begin a walk",
                "too_deep",
            )


_PAGING: Final = frozenset(
    {"limit", "page_size", "offset", "page", "cursor", "next_cursor", "after", "include_total", "case_sensitive"}
)
"""Query keys that a link to another page replaces."""


def _shown(option: SortOption) -> str:
    field = option.field if len(option.field) <= 60 else option.field[:59] + "…"
    return f"{field!r} {'desc' if option.descending else 'asc'}"


def read_path(text: str, at: tuple[str | int, ...]) -> Path:
    try:
        return paths.parse(text)
    except ValueError as error:
        raise Invalid.at(at, str(error), "path") from None


def pagination(
    request: ListRequest, place: str, query: Iterable[tuple[str, str]], *, start: int, total: int, cursor: str | None
) -> dict[str, Json]:
    """The documented `pagination`; `place` and `query` are the request's own, for the links."""
    size = request.size
    kept = [(name, value) for name, value in query if name not in _PAGING]
    if request.case_sensitive:
        kept.append(("case_sensitive", "true"))

    def link(**page: Json) -> str:
        return f"{place}?{urlencode([*kept, *page.items()])}"

    def counted(first: int) -> str:
        if request.page is not None and first % size == 0:
            return link(page=first // size + 1, page_size=size)
        return link(limit=size, offset=first)

    following = previous = None
    if start + size < total:
        reachable = request.cursor is None and start + 2 * size <= WINDOW
        following = counted(start + size) if reachable else link(limit=size, cursor=cursor) if cursor else None
    if start > 0 and max(0, start - size) + size <= WINDOW:
        previous = counted(max(0, start - size))
    return {
        "total": total,
        "page": start // size + 1,
        "page_size": size,
        "total_pages": -(-total // size),
        "next_page": following,
        "previous_page": previous,
        "next_cursor": cursor,
    }
