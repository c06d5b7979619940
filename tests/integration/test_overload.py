"""OpenSearch that is too busy or slow: a write is tried again until it is through, and no answer takes for ever."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from service.serving import served
from service.settings import Settings
from tests.conftest import KEY
from tests.support.client import Client
from tests.support.kinds import House, told
from tests.support.records import fresh


@asynccontextmanager
async def busy(target: str, refuse: Callable[[web.Request], bool], pause: float = 0) -> AsyncIterator[str]:
    """A proxy before OpenSearch that answers some requests with its own words for too much work, others late."""
    async with aiohttp.ClientSession() as session:

        async def forward(request: web.Request) -> web.Response:
            if refuse(request):
                error = {"error": {"type": "rejected_execution_exception", "reason": "queue is full"}, "status": 429}
                return web.json_response(error, status=429)
            await asyncio.sleep(pause)
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


def nothing(_: web.Request) -> bool:
    return False


async def test_a_request_has_one_time_for_all_that_it_asks(client: Client, settings: Settings) -> None:
    """Each answer of OpenSearch takes a fifth of the time: what needs more of them than that is a 504, in time."""
    limit = 2.0
    async with Client(client.address, KEY) as quick:
        house = await House.made(quick, fresh("slow"))
        try:
            async with (
                busy(str(settings.opensearch_url), nothing, limit / 5) as url,
                served(
                    settings.model_copy(update={"opensearch_url": url, "opensearch_timeout": limit}), KEY
                ) as address,
                Client(address, KEY, quick.namespace) as slow,
            ):
                answers = await asyncio.gather(*(told(slow, kind) for kind in house.kinds("slow")))
            late = [
                (each.kind.name, each.status, each.seconds)
                for each in answers
                if each.seconds > limit * (2 if each.kind.name == "import" else 1) + 1.5
            ]
            assert not late
            statuses = {each.kind.name: each.status for each in answers}
            assert statuses["aggregate by scan"] == statuses["create with a new field"] == 504
            assert statuses["task"] == statuses["spaces"] == 200
            for answer in answers:
                if answer.status >= 500:
                    answer.refused()
        finally:
            await quick.ok("DELETE", f"/v1/namespaces/{quick.namespace}", namespace=None)


async def test_imports_and_exports_have_it_for_each_part(client: Client, settings: Settings, bucket: str) -> None:
    limit = 2.0
    lines = [json.dumps({"metadata": {"n": n}}).encode() + b"\n" for n in range(10_000)]
    async with (
        busy(str(settings.opensearch_url), nothing, limit / 16) as url,
        served(settings.model_copy(update={"opensearch_url": url, "opensearch_timeout": limit}), KEY) as address,
        Client(address, KEY, client.namespace) as slow,
    ):
        status, summary = await slow.call("POST", f"/v1/buckets/{bucket}/objects/import", data=b"".join(lines))
        assert (status, summary["succeeded_count"]) == (200, 10_000)
        assert summary["seconds"] > limit
        status, text, _ = await slow.send("GET", f"/v1/buckets/{bucket}/objects/export")
        assert (status, text.count("\n")) == (200, 10_000)
