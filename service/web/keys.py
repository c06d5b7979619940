"""The application keys that handlers use."""

import asyncio
from dataclasses import dataclass, field
from typing import Final, Protocol

from aiohttp import web

from service.aggregate import AggregateSource
from service.catalog.buckets import BucketService
from service.catalog.collections import CollectionService
from service.catalog.models import ModelService
from service.catalog.namespaces import NamespaceService
from service.catalog.streams import StreamService
from service.catalog.tasks import TaskService
from service.inspection.use_cases import Inspecting
from service.maintenance.caretaker import Caretaker
from service.objects.use_cases import ObjectService
from service.records.use_cases import RecordService
from service.settings import Settings


@dataclass
class State:
    """Whether the process accepts requests, and how many are in flight."""

    opensearch_ready: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once OpenSearch has been reached and set up."""
    draining: bool = False
    in_flight: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)


class Sources(Protocol):
    """Finds the source for an aggregate."""

    async def __call__(self, namespace: str, bucket: str, /) -> AggregateSource: ...


@dataclass(frozen=True)
class Readiness:
    """Whether OpenSearch is reachable and set up, and why it accepts no writes (None: it accepts them)."""

    set_up: bool
    write_block: str | None


class ReadinessCheck(Protocol):
    """Checks whether requests can be answered; raises `TallyError` if OpenSearch is unreachable."""

    async def __call__(self) -> Readiness: ...


ERROR_CODE: Final = web.RequestKey("error_code", str)
"""The code of the error that a request ended with, for its log line."""
REASON: Final = web.RequestKey("reason", str)
"""Why a request was refused, for its log line."""
SETTINGS: Final = web.AppKey("settings", Settings)
NAMESPACES: Final = web.AppKey("namespaces", NamespaceService)
INSPECTING: Final = web.AppKey("inspecting", Inspecting)
BUCKETS: Final = web.AppKey("buckets", BucketService)
OBJECTS: Final = web.AppKey("objects", ObjectService)
COLLECTIONS: Final = web.AppKey("collections", CollectionService)
TASKS: Final = web.AppKey("tasks", TaskService)
CARETAKER: Final = web.AppKey("caretaker", Caretaker)
MODELS: Final = web.AppKey("models", ModelService)
STREAMS: Final = web.AppKey("streams", StreamService)
RECORDS: Final = web.AppKey("records", RecordService)
COLLECTION_SOURCE: Final[web.AppKey[Sources]] = web.AppKey("collection_source")
SOURCE: Final[web.AppKey[Sources]] = web.AppKey("source")
READY: Final[web.AppKey[ReadinessCheck]] = web.AppKey("ready")
EARLIER_SECRET: Final = web.AppKey("earlier_secret", str)
"""The secret with which release 0.1.0 signed cursors."""
STATE: Final = web.AppKey("state", State)
