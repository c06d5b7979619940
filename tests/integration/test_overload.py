"""OpenSearch that is too busy: a write is tried again until it is through, or says so."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from service.serving import served
from service.settings import Settings
from tests.conftest import KEY
from tests.support.client import Client


@asynccontextmanager
async def busy(target: str, refuse: Callable[[web.Request], bool]) -> AsyncIterator[str]:
    """A proxy before OpenSearch that answers some requests with its own words for too much work."""
    async with aiohttp.ClientSession() as session:

        async def forward(request: web.Request) -> web.Response:
            if refuse(request):
                error = {"error": {"type": "rejected_execution_exception", "reason": "queue is full"}, "status": 429}
                return web.json_response(error, status=429)
            headers = {"Content-Type": request.headers.get("Content-Type", "application/json")}
            url = target + request.path_qs
            async with session.request(request.method, url, data=await request.read(), headers=headers) as answer:
                return web.Response(body=await answer.read(), status=answer.status, content_type=answer.content_type)

        app = web.Application(client_max_size=2**30)
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]] = forward
        app.router.add_route("*", "/{path:.*}", handler)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        await runner.cleanup()


async def test_a_bulk_is_tried_again(client: Client, settings: Settings, bucket: str) -> None:
    refused = 0

    def first_three_bulks(request: web.Request) -> bool:
        nonlocal refused
        if request.path != "/_bulk" or refused == 3:
            return False
        refused += 1
        return True

    async with (
        busy(str(settings.opensearch_url), first_three_bulks) as url,
        served(settings.model_copy(update={"opensearch_url": url}), KEY) as address,
        Client(address, KEY, client.namespace) as patient,
    ):
        answer = await patient.batch(bucket, [{"metadata": {"n": n}} for n in range(5)])
        assert (refused, answer["succeeded_count"]) == (3, 5)
