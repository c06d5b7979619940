"""A golden case of a tree: a Markdown file that shows one aggregate over records in its four panes.

Request, what OpenSearch is asked (`aggs`), what it answers, and the documented answer; before them stand properties and
records.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service.aggregations.base import Inexact
from service.dialects.tree.nodes import QueryEffort, Reading, compiled, read_all
from service.dialects.tree.properties import PropertyColumn
from service.dialects.tree.references import References
from service.dialects.tree.request import Tree, read_tree
from service.settings import Settings
from tests.golden.case import ANSWERED, ASKED, read_sections, write_sections

Json = Any
TREES = Path(__file__).parent / "trees"
SPACE, CONTAINER = "s", "c"


@dataclass
class TreeCase:
    """The sections of one file."""

    path: Path
    intro: str
    properties: Mapping[str, Json]
    """Name → type, as a container declares it."""
    records: list[Json]
    """Properties of each."""
    aggregates: Json
    searches: list[tuple[Json, Json]] = field(default_factory=list)
    """First the cheap one, then, where that cannot be proved exact, the careful one."""
    response: Json = None

    @classmethod
    def read(cls, path: Path) -> "TreeCase":
        intro, sections = read_sections(path)
        values = dict(sections)
        asked = [value for title, value in sections if title == ASKED]
        answered = [value for title, value in sections if title == ANSWERED]
        searches = list(zip(asked, answered, strict=True))
        return cls(
            path, intro, values["Properties"], values["Records"], values["Request"], searches, values.get("Response")
        )

    def write(self) -> None:
        sections = [("Properties", self.properties), ("Records", self.records), ("Request", self.aggregates)]
        for asked, answered in self.searches:
            sections += [(ASKED, asked), (ANSWERED, answered)]
        write_sections(self.path, self.intro, [*sections, ("Response", self.response)])

    @property
    def tree(self) -> Tree:
        columns = {
            name: PropertyColumn(
                (SPACE, CONTAINER, name), type["type"], type.get("list", False), frozenset(type.get("values", ()))
            )
            for name, type in self.properties.items()
        }
        return read_tree(self.aggregates, References({(SPACE, CONTAINER): columns}))


def asked(tree: Tree, how: QueryEffort) -> Json:
    return json.loads(json.dumps(compiled(tree.nodes, how)))


def result_of(tree: Tree, answered: Json) -> Json:
    """The aggregates, None where the answer cannot be proved exact."""
    total = answered["hits"]["total"]["value"]
    try:
        return read_all(tree.nodes, answered.get("aggregations", {}), total, Reading(Settings().bucket_limit))
    except Inexact:
        return None
