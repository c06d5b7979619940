"""The request of a list, as it is documented, and its pagination."""

from collections.abc import Container, Iterable
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from pydantic import AliasChoices, Field, PrivateAttr, StrictBool, StrictInt, StrictStr

from service import paths
from service.dialects.flat.spec import Model
from service.errors import Invalid, Location
from service.paths import Path
from service.values import Json

MAX_LIMIT: Final = 1_000
WINDOW: Final = 10_000
"""Results that `offset` reaches; OpenSearch's own limit (`index.max_result_window`). Further ones by `cursor`."""

LIST_KEYS: Final = frozenset(
    {
        "filters", "sort", "sorts", "search", "select", "case_sensitive", "limit", "offset", "page", "page_size",
        "cursor", "include_total",
    }
)  # fmt: skip
CURSORS: Final = frozenset({"cursor", "next_cursor", "after"})
"""Spellings of `cursor`."""

PAGING_KEYS: Final = frozenset({"limit", "offset", "page", "page_size", "cursor", "include_total", "case_sensitive"})

Count = Annotated[StrictInt, Field(ge=1, le=MAX_LIMIT)]


class SortOption(Model):
    """One field and a direction, `asc` by default."""

    field: StrictStr = Field(min_length=1, examples=["created_at"])
    direction: StrictStr = Field(
        "asc",
        pattern="(?i)^(asc|desc)$",
        description="asc or desc, in any letter case.",
        # JSON Schema's expressions have no (?i).
        json_schema_extra={"pattern": "^([aA][sS][cC]|[dD][eE][sS][cC])$"},
    )

    @property
    def descending(self) -> bool:
        return self.direction.lower() == "desc"


class ListRequest(Model):
    """Filters, order and page of a list. What stands in the query counts more than what stands in the body."""

    filters: dict[str, Any] | None = Field(None, description="AND, OR, NOT of conditions; shorthand equality.")
    sort: SortOption | None = None
    sorts: list[SortOption] | None = Field(None, description="The newer spelling of `sort`: the first counts.")
    search: StrictStr | None = Field(None, description="Substring of ids, names, descriptions (objects: metadata).")
    select: list[StrictStr] | None = Field(None, description="Paths to give back; all by default.")
    case_sensitive: StrictBool = False
    limit: Count | None = Field(None, description="Results of a page, 10 by default.")
    page_size: Count | None = Field(None, description="The same as `limit`.")
    offset: Annotated[StrictInt, Field(ge=0)] | None = Field(None, description="Results to skip, within 10,000.")
    page: Annotated[StrictInt, Field(ge=1)] | None = Field(None, description="Number of the page, from 1.")
    cursor: StrictStr | None = Field(
        None,
        validation_alias=AliasChoices("cursor", "next_cursor", "after"),
        description="`next_cursor` of the page before; `*` begins a walk over one state of the data.",
    )

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
    def order(self) -> SortOption | None:
        return self.sort or (self.sorts[0] if self.sorts else None)

    @property
    def question(self) -> Json:
        """What is asked, whatever the page: a cursor goes on with the same."""
        kept = self.model_dump(include={"filters", "search", "case_sensitive"})
        return [kept, self.order.model_dump() if self.order else None]

    def told_in(self, query: Container[str]) -> None:
        """Keeps which parts stood in the query, for what is told of them."""
        self._in_query = frozenset(name for name in (*PAGING_KEYS, *CURSORS) if name in query)

    @property
    def cursor_at(self) -> Location:
        return ("query" if self._in_query & CURSORS else "body", "cursor")

    def check(self) -> None:
        """Raises `Invalid` for a page that cannot be reached by counting."""
        if self.cursor is None and self.start + self.size > WINDOW:
            name = "offset" if self.offset is not None else "page"
            raise Invalid.at(
                ("query" if name in self._in_query else "body", name),
                f"offset and page reach {WINDOW:,} results, this page ends at {self.start + self.size:,}; go on with "
                "`cursor`: the `next_cursor` of the page before, or `*` to begin a walk",
                "too_deep",
            )


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
    kept = [(name, value) for name, value in query if name not in PAGING_KEYS | CURSORS]
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
