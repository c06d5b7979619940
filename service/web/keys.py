"""What handlers find in the application."""

import asyncio
from dataclasses import dataclass, field
from typing import Final, Protocol

from aiohttp import web

from service.aggregate import Source
from service.resources.buckets import Buckets
from service.resources.caretaker import Caretaker
from service.resources.collections import Collections
from service.resources.inspecting import Inspecting
from service.resources.models import Models
from service.resources.namespaces import Namespaces
from service.resources.objects import Objects
from service.resources.records import Records
from service.resources.streams import Streams
from service.resources.tasks import Tasks
from service.settings import Settings


@dataclass
class State:
    """Whether the process takes part, and how many requests it is at."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    """OpenSearch was there and is set up."""
    draining: bool = False
    in_flight: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)


class Sources(Protocol):
    """Finds what an aggregate asks."""

    async def __call__(self, namespace: str, bucket: str, /) -> Source: ...


@dataclass(frozen=True)
class Readiness:
    """Whether OpenSearch is there and set up, and why it takes no writes (None: it takes them)."""

    set_up: bool
    write_block: str | None


class Ready(Protocol):
    """Looks whether requests can be answered; raises `TallyError` if OpenSearch is not there."""

    async def __call__(self) -> Readiness: ...


REASON: Final = web.RequestKey("reason", str)
"""Why a request was refused, for its line in the log."""
SETTINGS: Final = web.AppKey("settings", Settings)
NAMESPACES: Final = web.AppKey("namespaces", Namespaces)
INSPECTING: Final = web.AppKey("inspecting", Inspecting)
BUCKETS: Final = web.AppKey("buckets", Buckets)
OBJECTS: Final = web.AppKey("objects", Objects)
COLLECTIONS: Final = web.AppKey("collections", Collections)
TASKS: Final = web.AppKey("tasks", Tasks)
CARETAKER: Final = web.AppKey("caretaker", Caretaker)
MODELS: Final = web.AppKey("models", Models)
STREAMS: Final = web.AppKey("streams", Streams)
RECORDS: Final = web.AppKey("records", Records)
COLLECTION_SOURCE: Final[web.AppKey[Sources]] = web.AppKey("collection_source")
SOURCE: Final[web.AppKey[Sources]] = web.AppKey("source")
READY: Final[web.AppKey[Ready]] = web.AppKey("ready")
EARLIER_SECRET: Final = web.AppKey("earlier_secret", str)
"""What release 0.1.0 sealed cursors with."""
STATE: Final = web.AppKey("state", State)
