"""The composition root: settings in, an application out."""

import gc
from collections.abc import AsyncIterator

from aiohttp import web

from service.resources.buckets import Buckets
from service.resources.namespaces import Namespaces
from service.resources.objects import Objects
from service.settings import Settings
from service.storage.bootstrap import bootstrap, ready
from service.storage.catalog import Catalog
from service.storage.gateway import Gateway, Refresher
from service.storage.objects import ObjectStore
from service.web import buckets, health, namespaces, objects
from service.web.keys import BUCKETS, NAMESPACES, OBJECTS, READY, SETTINGS, SOURCE, STATE, State
from service.web.middlewares import authorized, counted, logged, told


def make_gateway(settings: Settings) -> Gateway:
    if settings.opensearch_url is None:
        raise SystemExit("set TALLY_OPENSEARCH_URL, or use `run`, which starts an OpenSearch of its own")
    return Gateway(
        settings.opensearch_url,
        user=settings.opensearch_user,
        password=settings.opensearch_password.get_secret_value() if settings.opensearch_password else None,
        ca=str(settings.opensearch_ca) if settings.opensearch_ca else None,
        verify=settings.opensearch_verify,
        timeout=settings.opensearch_timeout,
    )


def create_app(settings: Settings, api_key: str) -> web.Application:
    """The service for one OpenSearch; what it needs there is made when it starts."""
    app = web.Application(
        client_max_size=settings.body_limit,
        middlewares=[logged, counted, told, authorized(api_key)],
    )
    app[SETTINGS] = settings
    app[STATE] = State()
    app.cleanup_ctx.append(_parts)
    for room in (health, namespaces, buckets, objects):
        app.add_routes(room.routes)
    return app


async def _parts(app: web.Application) -> AsyncIterator[None]:
    settings = app[SETTINGS]
    gateway = make_gateway(settings)
    try:
        refresher = Refresher(gateway)
        catalog = Catalog(gateway, refresher.refresh)
        store = ObjectStore(gateway, catalog, refresher, settings.shards, settings.replicas)
        app[NAMESPACES] = Namespaces(catalog, store)
        app[BUCKETS] = Buckets(app[NAMESPACES], catalog, store)
        app[OBJECTS] = Objects(app[BUCKETS], store, settings.field_budget)
        app[SOURCE] = app[BUCKETS].source

        async def is_ready() -> bool:
            return await ready(gateway)

        app[READY] = is_ready
        await bootstrap(gateway)
        await app[NAMESPACES].ensure("default")
        # The collector is half of the cost of large answers; what lives for ever need not be looked at.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        yield
    finally:
        await gateway.close()
