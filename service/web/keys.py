"""What handlers find in the application."""

import asyncio
from dataclasses import dataclass, field
from typing import Final, Protocol

from aiohttp import web

from service.aggregate import Source
from service.resources.buckets import Buckets
from service.resources.namespaces import Namespaces
from service.resources.objects import Objects
from service.settings import Settings


@dataclass
class State:
    """Whether the process takes part, and how many requests it is at."""

    draining: bool = False
    in_flight: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)


class Sources(Protocol):
    """Finds what an aggregate asks."""

    async def __call__(self, namespace: str, bucket: str, /) -> Source: ...


class Ready(Protocol):
    """Tells whether OpenSearch is there and set up."""

    async def __call__(self) -> bool: ...


SETTINGS: Final = web.AppKey("settings", Settings)
NAMESPACES: Final = web.AppKey("namespaces", Namespaces)
BUCKETS: Final = web.AppKey("buckets", Buckets)
OBJECTS: Final = web.AppKey("objects", Objects)
SOURCE: Final[web.AppKey[Sources]] = web.AppKey("source")
READY: Final[web.AppKey[Ready]] = web.AppKey("ready")
STATE: Final = web.AppKey("state", State)
