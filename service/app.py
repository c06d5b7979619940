"""The composition root: builds the application from the settings."""

import asyncio
import gc
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import structlog
from aiohttp import web
from tenacity import AsyncRetrying, RetryCallState, wait_exponential_jitter

from service import __version__, clock, deadline, metrics, tracing
from service.catalog.buckets import BucketService
from service.catalog.collections import CollectionService
from service.catalog.cursor_secret import cursor_secret
from service.catalog.models import ModelService
from service.catalog.namespaces import NamespaceService
from service.catalog.streams import StreamService
from service.catalog.tasks import TaskService
from service.errors import TallyError
from service.inspection.use_cases import Inspecting
from service.listing.cursors import Cursors, Secret
from service.maintenance.backup import Backups
from service.maintenance.caretaker import Caretaker
from service.metrics import watch_loop
from service.objects.use_cases import ObjectService
from service.records.use_cases import RecordService
from service.scope import Scope
from service.settings import TEMPLATES, Settings
from service.storage import names
from service.storage.blocks import watch_blocks, write_block
from service.storage.bootstrap import bootstrap, ready
from service.storage.catalog import Catalog
from service.storage.documents import DocumentStore
from service.storage.gateway import Absent, Conflict, Gateway, Refresher, Rejected
from service.storage.inspecting import Inspector
from service.storage.objects import ObjectStore
from service.storage.records import RecordStore
from service.web.keys import (
    BUCKETS,
    CARETAKER,
    COLLECTION_SOURCE,
    COLLECTIONS,
    EARLIER_SECRET,
    INSPECTING,
    MODELS,
    NAMESPACES,
    OBJECTS,
    READY,
    RECORDS,
    SETTINGS,
    SOURCE,
    STATE,
    STREAMS,
    TASKS,
    Readiness,
    State,
)
from service.web.middlewares import (
    authorized,
    close_when_draining,
    counted,
    error_envelope,
    identified,
    logged,
    reject_until_ready,
)
from service.web.routes import ROUTES

log = structlog.get_logger()

_AGAIN: Final = 10.0
"""Seconds between checks for a lost catalogue that cannot be recreated."""

_PERIOD: Final = 30.0
"""Seconds between reads of OpenSearch's clock and the cursor secret."""

_FIRST: Final = 15.0
"""Time limit in seconds for one attempt to set OpenSearch up; the service listens after the first one."""


def make_gateway(settings: Settings) -> Gateway:
    if settings.opensearch_url is None:
        raise SystemExit("set TALLY_OPENSEARCH_URL, or use `run`, which starts an OpenSearch of its own")
    return Gateway(
        settings.opensearch_urls,
        user=settings.opensearch_user,
        password=settings.opensearch_password.get_secret_value() if settings.opensearch_password else None,
        ca=str(settings.opensearch_ca) if settings.opensearch_ca else None,
        verify=settings.opensearch_verify,
        timeout=settings.opensearch_timeout,
    )


@asynccontextmanager
async def backups(settings: Settings, repository: str, say: Callable[[str], None]) -> AsyncIterator[Backups]:
    """Backups in a snapshot repository of the OpenSearch that the settings name."""
    gateway = make_gateway(settings)
    try:
        refresher = Refresher(gateway)
        catalog = Catalog(gateway, refresher.refresh)
        store = ObjectStore(gateway, catalog, refresher, settings.shards, settings.replicas)
        yield Backups(gateway, catalog, store, repository, say)
    finally:
        await gateway.close()


def create_app(settings: Settings, api_key: str) -> web.Application:
    """The service for one OpenSearch, which is set up at start, or as soon as it is reachable."""
    app = web.Application(
        client_max_size=settings.body_limit,
        middlewares=[logged, counted, error_envelope, authorized(api_key), reject_until_ready],
    )
    app[SETTINGS] = settings
    app[EARLIER_SECRET] = hashlib.sha256(f"cursors {api_key}".encode()).hexdigest()
    app[STATE] = State()
    app.cleanup_ctx.append(_parts)
    app.on_response_prepare.extend((identified, close_when_draining))
    for route in ROUTES:
        route.register(app.router)
    return app


async def _parts(app: web.Application) -> AsyncIterator[None]:
    settings = app[SETTINGS]
    if settings.traces:
        tracing.set_up(__version__)
    gateway = make_gateway(settings)
    try:
        refresher = Refresher(gateway)
        missing = asyncio.Event()
        catalog = Catalog(gateway, refresher.refresh, DocumentStore(gateway, names.CATALOG, on_missing=missing.set))
        store = ObjectStore(gateway, catalog, refresher, settings.shards, settings.replicas)
        records = RecordStore(gateway, refresher, settings.shards, settings.replicas)
        tasks = TaskService(catalog)
        secret = Secret(earlier=app[EARLIER_SECRET])
        cursors = Cursors(secret, settings.cursor_seconds)
        namespaces = app[NAMESPACES] = NamespaceService(
            catalog, store, tasks, cursors, settings.object_budget, on_remove=records.drop_all
        )

        async def sync_collections(scope: Scope, bucket_id: str) -> None:
            await app[COLLECTIONS].sync(scope, bucket_id)

        buckets = app[BUCKETS] = BucketService(namespaces, catalog, store, tasks, on_schema=sync_collections)
        collections = app[COLLECTIONS] = CollectionService(namespaces, buckets, catalog, store)
        app[OBJECTS] = ObjectService(buckets, store, tasks, cursors, settings)
        app[INSPECTING] = Inspecting(
            namespaces, buckets, catalog, Inspector(gateway, refresher, store.missing), cursors
        )
        app[TASKS] = tasks
        app[MODELS] = ModelService(namespaces, catalog, cursors, records)
        templates = {**TEMPLATES, **settings.stream_templates}
        streams = app[STREAMS] = StreamService(namespaces, catalog, records, cursors, templates)
        app[RECORDS] = RecordService(streams, catalog, records, cursors, settings)
        app[CARETAKER] = Caretaker(catalog, store, namespaces, buckets, tasks, streams, app[OBJECTS].go_on)
        app[SOURCE] = buckets.recent_source
        app[COLLECTION_SOURCE] = collections.source

        async def is_ready() -> Readiness:
            block = None
            with suppress(TallyError):  # may lack permission to read blocks; the next line raises if OpenSearch is away
                block = await write_block(gateway)
            return Readiness(await ready(gateway), block)

        app[READY] = is_ready
        tried = asyncio.Event()
        beginning = asyncio.create_task(_begin(app, gateway, catalog, secret, tried))
        watching = [
            asyncio.create_task(watch_blocks(gateway)),
            asyncio.create_task(_set_up_again(app, gateway, catalog, secret, missing)),
            asyncio.create_task(_refresh_periodically(gateway, catalog, secret)),
        ]
        background = [beginning, *watching, *([asyncio.create_task(watch_loop())] if settings.metrics else [])]
        await asyncio.wait([beginning, asyncio.create_task(tried.wait())], return_when=asyncio.FIRST_COMPLETED)
        if beginning.done():
            beginning.result()
        # The collector is half of the cost of large answers; permanent objects need not be scanned.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        yield
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await app[OBJECTS].close()
    finally:
        await gateway.close()
        if settings.traces:
            await asyncio.to_thread(tracing.flush)


async def _begin(
    app: web.Application, gateway: Gateway, catalog: Catalog, secret: Secret, tried: asyncio.Event
) -> None:
    """Sets OpenSearch up once it is reachable, however long that takes; then runs the background work forever."""
    async for attempt in AsyncRetrying(wait=wait_exponential_jitter(multiplier=0.5, max=10), before_sleep=_patient):
        with attempt:
            deadline.start(_FIRST)
            try:
                await _measure(gateway)
                await bootstrap(gateway)
                secret.text = await cursor_secret(catalog)
                await app[CARETAKER].upgrade()
                await app[NAMESPACES].ensure("default")
                app[STATE].opensearch_ready.set()
            finally:
                tried.set()
    if attempt.retry_state.attempt_number > 1:
        log.info("ready", tries=attempt.retry_state.attempt_number)
    await deadline.detached(app[CARETAKER].run(app[SETTINGS].caretaking_seconds))


async def _set_up_again(
    app: web.Application, gateway: Gateway, catalog: Catalog, secret: Secret, missing: asyncio.Event
) -> None:
    """Recreates a catalogue lost while the service runs if the cluster is empty; otherwise logs the loss."""
    while True:
        await missing.wait()
        await app[STATE].opensearch_ready.wait()
        try:
            await bootstrap(gateway)
            secret.text = await cursor_secret(catalog)
            await app[NAMESPACES].ensure("default")
            log.warning("the catalogue was gone and the cluster empty; it was set up again")
        except TallyError as error:
            log.error("the catalogue is gone", cause=error.message)
            await asyncio.sleep(_AGAIN)
        except Exception:
            # Whoever wipes the cluster may still be at it: a template whose component has just been deleted is refused.
            log.exception("the catalogue could not be set up again")
            await asyncio.sleep(_AGAIN)
        missing.clear()


async def _refresh_periodically(gateway: Gateway, catalog: Catalog, secret: Secret) -> None:
    """Refreshes OpenSearch's clock and the cursor secret, which changes when a catalogue is restored."""
    while True:
        await asyncio.sleep(_PERIOD)
        try:
            await _measure(gateway)
            secret.text = await cursor_secret(catalog)
        except TallyError:
            continue  # OpenSearch is away
        except Exception:
            log.exception("the time and the cursor secret could not be read")


async def _measure(gateway: Gateway) -> None:
    """Reads OpenSearch's clock; if that fails, the time so far continues by the machine's own clock."""
    before = time.monotonic()
    try:
        remote = await gateway.time()
    except (Absent, Conflict, Rejected, ValueError) as error:
        log.warning("OpenSearch's clock cannot be read", cause=repr(error))
        return
    ahead = clock.measured(remote, before, time.monotonic())
    metrics.clock_ahead.set(ahead)
    if abs(ahead) > clock.TOLERATED:
        log.warning("this machine's clock differs from OpenSearch's, which counts", ahead_seconds=round(ahead, 1))


def _patient(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    known = isinstance(error, TallyError)
    log.warning(
        "not ready, will be tried again",
        cause=str(error) if known else repr(error),
        seconds=round(state.upcoming_sleep, 1),
        exc_info=None if known else error,
    )
