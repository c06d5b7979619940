"""A golden case: a Markdown file that shows one aggregate from request to response, and how it is read and written.

Sections: Objects, Known fields (what the catalogue has of them), Request, then for each search what OpenSearch is
asked and answers, then Response. `python -m tests.golden` makes the later ones anew on a real OpenSearch.
"""

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service.conditions.base import Condition
from service.conditions.logic import ALWAYS
from service.encoding import load_observed
from service.fields import Fields
from service.planning.grouping import CompositePage

Json = Any
CASES = Path(__file__).parent / "cases"
ASKED, ANSWERED = "OpenSearch is asked", "OpenSearch answers"


def read_sections(path: Path) -> tuple[str, list[tuple[str, Json]]]:
    """What comes before the first title, and the JSON below each."""
    intro, *sections = re.split(r"^## (.*)\n", path.read_text(), flags=re.M)
    blocks = (re.search(r"```json\n(.*?)```", text, re.S) for text in sections[1::2])
    values = [json.loads(block[1]) if block else None for block in blocks]
    return intro.strip(), list(zip(sections[::2], values, strict=True))


def write_sections(path: Path, intro: str, sections: Sequence[tuple[str, Json]]) -> None:
    body = "\n".join(f"## {title}\n```json\n{_shown(value)}\n```\n" for title, value in sections)
    path.write_text(f"{intro}\n\n{body}")


@dataclass
class Case:
    """The sections of one file; texts between them are kept."""

    path: Path
    intro: str
    objects: list[Json]
    request: Json
    fields: dict[str, Json] = field(default_factory=dict)
    searches: list[tuple[Json, Json]] = field(default_factory=list)
    response: Json = None

    @classmethod
    def read(cls, path: Path) -> "Case":
        intro, sections = read_sections(path)
        case = cls(path, intro, [], None)
        asked: Json = None
        for title, value in sections:
            match title:
                case "Objects":
                    case.objects = value
                case "Known fields":
                    case.fields = value
                case "Request":
                    case.request = value
                case "Response":
                    case.response = value
                case _ if title == ASKED:
                    asked = value
                case _:
                    case.searches.append((asked, value))
        return case

    def write(self) -> None:
        sections = [("Objects", self.objects), ("Known fields", self.fields), ("Request", self.request)]
        for asked, answered in self.searches:
            sections += [(ASKED, asked), (ANSWERED, answered)]
        sections.append(("Response", self.response))
        write_sections(self.path, self.intro, sections)

    @property
    def known(self) -> Fields:
        met = load_observed(self.fields)
        return Fields({name: (each.primary_type, each.traits, each.bits) for name, each in met.items()})


@dataclass
class Replay:
    """A bucket that answers what the case holds, if it is asked what the case holds."""

    case: Case
    position: int = 0

    @property
    def fields(self) -> Fields:
        return self.case.known

    @property
    def query(self) -> Json:
        return {"term": {"bucket_id": "bkt_golden"}}

    @property
    def condition(self) -> Condition:
        return ALWAYS

    async def refreshed(self) -> None:
        return None

    async def search(self, body: Mapping[str, Any]) -> CompositePage:
        asked, answered = self.case.searches[self.position]
        self.position += 1
        assert json.loads(json.dumps(body)) == asked
        return CompositePage.parse(json.dumps(answered))

    async def widths(self, body: Mapping[str, Any]) -> dict[str, int]:
        raise NotImplementedError("no case goes over its budget")

    @asynccontextmanager
    async def view(self) -> AsyncIterator["Replay"]:
        yield self

    async def objects(self, query: Json, *, ordered: bool) -> AsyncIterator[list[Json]]:
        asked, answered = self.case.searches[self.position]
        self.position += 1
        assert {"query": query, "ordered": ordered} == asked
        yield answered


def settled(response: Json) -> Json:
    """Without what differs from run to run."""
    response["query_info"].pop("execution_time_ms", None)
    return response


def _shown(value: Json) -> str:
    """JSON that is wide where it is short."""
    return _lines(value, 0)


def _lines(value: Json, depth: int) -> str:
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + 2 * depth <= 110 or not isinstance(value, dict | list):
        return flat
    pad = "  " * (depth + 1)
    if isinstance(value, dict):
        inner = [
            f"{pad}{json.dumps(key, ensure_ascii=False)}: {_lines(each, depth + 1)}" for key, each in value.items()
        ]
        return "{\n" + ",\n".join(inner) + "\n" + "  " * depth + "}"
    return "[\n" + ",\n".join(pad + _lines(each, depth + 1) for each in value) + "\n" + "  " * depth + "]"
