"""`python -m tests.golden`: asks a real OpenSearch and writes what it is asked, what it answers, and the response.

Read the difference before you commit it: a golden case proves that nothing changed, not that it was right.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from service.aggregate import AggregateSource, aggregate
from service.catalog.buckets import BucketService
from service.catalog.namespaces import NamespaceService
from service.catalog.tasks import TaskService
from service.cli.embedded import EmbeddedNode, default_cache, ensure_home
from service.conditions.base import Condition
from service.conditions.logic import ALWAYS
from service.dialects.flat.spec import AggregateRequest
from service.dialects.tree.nodes import QueryEffort
from service.encoding import dump_observed
from service.listing.cursors import Cursors, Secret
from service.planning.grouping import CompositePage
from service.planning.strategies.base import View
from service.serving import served
from service.settings import Settings
from service.storage import names
from service.storage.bootstrap import bootstrap
from service.storage.catalog import Catalog
from service.storage.gateway import Gateway, Refresher
from service.storage.objects import ObjectStore
from service.storage.views import BucketSource
from tests.golden.case import CASES, Case, settled
from tests.golden.tree import CONTAINER, SPACE, TREES, TreeCase, asked, result_of
from tests.support.client import Client
from tests.support.records import Project, container, record

Json = Any


@dataclass
class Recorder:
    """A bucket that writes down what it is asked and answers."""

    source: BucketSource
    case: Case
    inner: Any = None

    @property
    def bucket_id(self) -> str:
        return self.source.buckets[0].bucket_id

    @property
    def fields(self) -> Any:
        return self.source.fields

    @property
    def query(self) -> Json:
        return {"term": {"bucket_id": "bkt_golden"}}

    @property
    def condition(self) -> Condition:
        return ALWAYS

    async def refreshed(self) -> None:
        return None

    async def search(self, body: Mapping[str, Any]) -> CompositePage:
        real = json.loads(json.dumps(body).replace("bkt_golden", self.bucket_id))
        text = await self.source.store.gateway.search(names.objects_alias(self.source.scope.namespace_id), real)
        answer = json.loads(text)
        for noise in ("took", "timed_out", "terminated_early", "_shards"):
            answer.pop(noise, None)
        answer["hits"] = {"total": answer["hits"].get("total")}
        self.case.searches.append((json.loads(json.dumps(body)), answer))
        return CompositePage.parse(text)

    async def widths(self, body: Mapping[str, Any]) -> dict[str, int]:
        raise NotImplementedError("no case goes over its budget")

    @asynccontextmanager
    async def view(self) -> AsyncIterator["Recorder"]:
        async with self.source.view() as view:
            self.inner = view
            yield self

    async def objects(self, query: Json, *, ordered: bool) -> AsyncIterator[list[Json]]:
        real = json.loads(json.dumps(query).replace("bkt_golden", self.bucket_id))
        async for page in self.inner.objects(real, ordered=ordered):
            for number, item in enumerate(page):
                item.update(object_id=f"obj_{number}", bucket_id="bkt_golden")
                item.update(created_at="2024-05-01T00:00:00Z", updated_at="2024-05-01T00:00:00Z")
            self.case.searches.append(({"query": query, "ordered": ordered}, page))
            yield page


async def main() -> None:
    with EmbeddedNode(ensure_home(default_cache())) as node:
        settings = Settings(opensearch_url=node.url, port=0)
        async with served(settings, "k") as address, Client(address, "k", "default") as client:
            gateway = Gateway(node.url)
            await bootstrap(gateway)
            refresher = Refresher(gateway)
            catalog = Catalog(gateway, refresher.refresh)
            store = ObjectStore(gateway, catalog, refresher, 1, 0)
            tasks = TaskService(catalog)
            namespaces = NamespaceService(catalog, store, tasks, Cursors(Secret("golden"), 300), settings.object_budget)
            buckets = BucketService(namespaces, catalog, store, tasks)
            for path in sorted(CASES.glob("*.md")):
                case = Case.read(path)
                await client.ok("POST", "/v1/buckets", {"bucket_name": path.stem})
                assert (await client.batch(path.stem, case.objects))["failed"] == []
                source = await buckets.source("default", path.stem)
                case.fields = dump_observed(await store.known(source.buckets[0].bucket_id))
                case.searches = []
                request = AggregateRequest.model_validate(case.request)
                case.response = settled(await aggregate(request, Recorder(source, case), settings))
                case.write()
                print(path.name)
            for path in sorted(TREES.glob("*.md")):
                await record_tree(TreeCase.read(path), client, gateway)
                print(path.name)
            await gateway.close()


async def record_tree(case: TreeCase, client: Client, gateway: Gateway) -> None:
    async with Project.made(client) as project:
        await project.spaces(SPACE)
        await project.containers(container(case.properties, SPACE, CONTAINER))
        stream = await project.stream(case.path.stem.replace("_", "-"))
        await project.ingest(stream, *(record(f"r{n}", each) for n, each in enumerate(case.records)))
        case.response = await project.aggregate(stream, case.aggregates)
        case.searches = []
        for how in (QueryEffort(), QueryEffort(careful=True)):
            body = {"size": 0, "track_total_hits": True, "aggs": asked(case.tree, how)}
            answer = json.loads(await gateway.search(f"tally-records-*.{stream}.*-live", body))
            answered = {"hits": {"total": answer["hits"]["total"]}, "aggregations": answer.get("aggregations", {})}
            case.searches.append((body["aggs"], answered))
            if result_of(case.tree, answered) is not None:
                break
        case.write()


_: type[AggregateSource] | type[View]

if __name__ == "__main__":
    asyncio.run(main())
