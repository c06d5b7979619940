"""The faults of a cluster and its services; each is a row of the table."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.chaos.cluster import Cluster, Replica, Replicas
from tests.chaos.oracle import Report, State
from tests.chaos.world import World
from tests.support.records import container, fresh, record

Json = Any

BEFORE, AFTER = 2.0, 1.5
"""Seconds of load before something happens, and after everything is well again."""
DAY = 86_400


def short_form() -> bool:
    """The faults that matter most, in three minutes (`make test`); TALLY_CHAOS=full is all of them (`make chaos`)."""
    return os.environ.get("TALLY_CHAOS", "short") != "full"


@dataclass
class Scene:
    """One fault, and everybody who takes part."""

    cluster: Cluster
    replicas: Replicas
    world: World
    report: Report

    @property
    def victim(self) -> Replica:
        return self.replicas[0]

    @property
    def other(self) -> Replica:
        return self.replicas[1]

    @asynccontextmanager
    async def load(self, *, spare: bool = False, **options: Any) -> AsyncIterator[None]:
        """A load before, during and after the block; `spare`: only the second service has it."""
        self.world.at = [self.other] if spare else list(self.replicas)
        async with self.world.load(pause=2.0 if spare else 0.8, **options):
            await asyncio.sleep(BEFORE)
            yield
            if self.report.seconds is None:
                await self.well(time.monotonic())
            await asyncio.sleep(AFTER)
        self.world.at = list(self.replicas)

    async def well(self, since: float, world: World | None = None) -> None:
        """Waits until both services do everything."""
        deadline = time.monotonic() + 150
        for replica in self.replicas:
            while not await (world or self.world).probe(replica):
                if time.monotonic() > deadline:
                    self.report.wrong.append("nothing goes well within 150 s")
                    return
        self.report.seconds = time.monotonic() - since


Act = Callable[[Scene], Awaitable[None]]


@dataclass(frozen=True)
class Line:
    title: str
    act: Act
    short: bool = False
    """It is in the short form, too."""


LINES: list[Line] = []


def line(title: str, *, short: bool = False) -> Callable[[Act], Act]:
    def kept(act: Act) -> Act:
        LINES.append(Line(title, act, short))
        return act

    return kept


# Nodes


async def _killed(scene: Scene, *, manager: bool) -> None:
    async with scene.load():
        node = await (scene.cluster.manager() if manager else scene.cluster.other())
        since = time.monotonic()
        await asyncio.to_thread(node.kill)
        await scene.well(since)
        await asyncio.sleep(AFTER)
        await scene.cluster.start()
        await scene.cluster.well(3)


async def _paused(scene: Scene, *, manager: bool) -> None:
    async with scene.load():
        node = await (scene.cluster.manager() if manager else scene.cluster.other())
        since = time.monotonic()
        scene.cluster.pause(node)
        try:
            await scene.well(since)
        finally:
            scene.cluster.resume(node)
        await scene.cluster.well(3)


@line("kill -9 of a data node, started again", short=True)
async def data_node_killed(scene: Scene) -> None:
    await _killed(scene, manager=False)


@line("kill -9 of the cluster manager, started again")
async def manager_killed(scene: Scene) -> None:
    await _killed(scene, manager=True)


@line("a data node hangs (SIGSTOP) until all is well without it")
async def data_node_paused(scene: Scene) -> None:
    await _paused(scene, manager=False)


@line("the cluster manager hangs (SIGSTOP) until all is well without it")
async def manager_paused(scene: Scene) -> None:
    await _paused(scene, manager=True)


@line("all nodes restarted at once")
async def all_restarted(scene: Scene) -> None:
    async with scene.load():
        since = time.monotonic()
        await scene.cluster.restart_all()
        await scene.well(since)
        await scene.cluster.well(3)


# Services


async def _killed_in(scene: Scene, writes: Sequence[int], work: Callable[[int], Awaitable[None]]) -> None:
    """The first service is killed when a request of its own has done so many writes; the other one has the load."""
    longest = 0.0
    async with scene.load(spare=True):
        for number in writes:
            scene.victim.proxy.interrupt(number, scene.victim.kill)
            since = time.monotonic()
            await work(number)
            scene.victim.proxy.calm()
            if scene.victim.alive:
                break  # it has fewer writes
            scene.report.seconds = None
            await scene.victim.start()
            await scene.well(since)
            longest = max(longest, scene.report.seconds or 0.0)
        else:
            assert longest
    scene.report.seconds = longest


@line("kill -9 of a service in the middle of an import, which is sent again", short=True)
async def killed_in_import(scene: Scene) -> None:
    world = scene.world
    new: dict[str, State] = {f"import-{n}": n for n in range(3_000)}
    before = world.plain.begin(new)

    async def work(number: int) -> None:
        await world.bring_again("import", new, before, at=scene.victim)

    await _killed_in(scene, (3,), work)
    assert await world.bring_again("import", new, before, at=scene.other)


@line("kill -9 of a service in the middle of a batch")
async def killed_in_batch(scene: Scene) -> None:
    async def work(number: int) -> None:
        world = scene.world
        new: dict[str, State] = {f"batch-{number}-{n}": n for n in range(200)}
        world.plain.begin(new)
        items = [{**world.of_object(key, n or 0), "idempotency_key": key} for key, n in new.items()]
        body = {"objects": items}
        await world.call("POST", f"{world.objects()}/batch", body, at=scene.victim)
        answer = await world.sure("POST", f"{world.objects()}/batch", body, at=scene.other)
        if answer["succeeded_count"] != len(new):
            scene.report.wrong.append(f"a batch that was sent again is {str(answer)[:500]}")
        world.plain.end(new)

    await _killed_in(scene, (1, 2), work)


@line("kill -9 of a service in the middle of an ingest of records")
async def killed_in_ingest(scene: Scene) -> None:
    async def work(number: int) -> None:
        new: dict[str, State] = {f"ingest-{number}-{n}": n for n in range(200)}
        await scene.world.send_records("", new, at=scene.victim)
        assert await scene.world.send_records("/upsert", new, at=scene.other)

    await _killed_in(scene, (1, 2), work)


@line("kill -9 of a service in the middle of a rename", short=True)
async def killed_in_rename(scene: Scene) -> None:
    async def work(number: int) -> None:
        world, old, new = scene.world, fresh("old"), fresh("new")
        id = (await world.sure("POST", "/v1/buckets", {"bucket_name": old}, at=scene.other))["bucket_id"]
        status, _ = await world.call("PATCH", f"/v1/buckets/{id}", {"bucket_name": new}, at=scene.victim)
        if status is None:
            world.renames.append((id, old, new))

    await _killed_in(scene, (2,) if short_form() else range(1, 10), work)


@line("kill -9 of a service in the middle of the deletion of a bucket")
async def killed_in_bucket_delete(scene: Scene) -> None:
    async def work(number: int) -> None:
        world, name = scene.world, fresh("full")
        await world.sure("POST", "/v1/buckets", {"bucket_name": name}, at=scene.other)
        path = f"/v1/buckets/{name}"
        body = {"objects": [{"n": n} for n in range(20)]}
        await world.sure("POST", f"{path}/objects/batch", body, at=scene.other)
        await world.call("DELETE", path, at=scene.victim)
        found = await world.sure("GET", path, at=scene.other, allowed=(404,))
        if "bucket_id" in found:
            if found["object_count"] != 20:
                scene.report.lost.append(f"a bucket whose deletion stopped is {found}")
            await world.sure("DELETE", path, at=scene.other)
        made = await world.sure("POST", "/v1/buckets", {"bucket_name": name}, at=scene.other)
        if made["object_count"]:
            scene.report.wrong.append(f"a new bucket of a deleted one's name is {made}")

    await _killed_in(scene, range(1, 10), work)


@line("kill -9 of a service in the middle of a delete by filter")
async def killed_in_delete_by_filter(scene: Scene) -> None:
    async def work(number: int) -> None:
        tag = fresh("tag")
        made = await scene.world.create_many("killed", [True] * 100, tag=tag)
        await scene.world.delete_tagged(tag, list(made), at=scene.victim)

    await _killed_in(scene, range(1, 5), work)


# The way between


async def _for_a_while(scene: Scene, seconds: float, **numbers: float) -> None:
    for replica in scene.replicas:
        for name, number in numbers.items():
            setattr(replica.proxy, name, number)
    await asyncio.sleep(seconds)
    for replica in scene.replicas:
        replica.proxy.calm()


@line("500 ms more for each request to OpenSearch, for 8 s")
async def latency(scene: Scene) -> None:
    async with scene.load():
        await _for_a_while(scene, 8, latency=0.5)


@line("a fifth of OpenSearch's answers cut off, for 6 s")
async def cut_off(scene: Scene) -> None:
    async with scene.load():
        await _for_a_while(scene, 6, cut=0.2)


@line("OpenSearch's answers drip, for 6 s")
async def dripping(scene: Scene) -> None:
    async with scene.load():
        await _for_a_while(scene, 6, drip=0.05)


@line("OpenSearch says 429 to bulk requests (half of them, then all) and to a third of their items", short=True)
async def busy(scene: Scene) -> None:
    async with scene.load():
        await _for_a_while(scene, 3, busy=0.5)
        await _for_a_while(scene, 3, busy=1.0)
        await _for_a_while(scene, 4, busy_items=0.3)


async def each_answer_lost(scene: Scene, work: Callable[[], Awaitable[None]]) -> None:
    """Once undisturbed, then with the answer of each of its writes lost; it has to succeed all the same."""
    proxy = scene.victim.proxy
    proxy.lose(None)
    await work()
    for number in range(1, proxy.writes + 1):
        proxy.lose(number)
        await work()
    proxy.calm()


async def _lost_answers(scene: Scene, route: str, kind: str, more: Json) -> None:
    """Made, renamed and deleted at the one; looked at from the other after each step."""
    field = f"{kind}_name"

    async def work() -> None:
        old, new = fresh(kind), fresh(kind)
        id = (await _done(scene, "POST", route, {field: old, **more}))[f"{kind}_id"]
        await _is(scene, f"{route}/{old}", f"{kind}_id", id)
        await _done(scene, "PATCH", f"{route}/{old}", {field: new})
        await _is(scene, f"{route}/{new}", f"{kind}_id", id)
        await _is(scene, f"{route}/{old}", f"{kind}_id", None)
        await _done(scene, "DELETE", f"{route}/{new}", None)
        await _is(scene, f"{route}/{id}", f"{kind}_id", None)

    async with scene.load(spare=True, names=False):
        await each_answer_lost(scene, work)


async def _done(scene: Scene, method: str, path: str, body: Json) -> Json:
    status, answer = await scene.world.call(method, path, body, at=scene.victim)
    if status is None:
        scene.report.wrong.append(f"one lost answer, and {method} {path} fails: {answer}")
    return answer


async def _is(scene: Scene, path: str, key: str, wanted: str | None) -> None:
    found = await scene.world.sure("GET", path, at=scene.other, allowed=(404,))
    if found.get(key) != wanted:
        (scene.report.lost if wanted else scene.report.wrong).append(f"{path} is {found}, not {wanted}")


@line("each answer lost in turn: a bucket is made, renamed and deleted", short=True)
async def lost_of_bucket(scene: Scene) -> None:
    await _lost_answers(scene, "/v1/buckets", "bucket", {})


@line("each answer lost in turn: a namespace is made, renamed and deleted")
async def lost_of_namespace(scene: Scene) -> None:
    await _lost_answers(scene, "/v1/namespaces", "namespace", {})


@line("each answer lost in turn: a collection is made, renamed and deleted")
async def lost_of_collection(scene: Scene) -> None:
    source = {"source": {"type": "bucket", "bucket_ids": [scene.world.buckets["plain"]]}}
    await _lost_answers(scene, "/v1/collections", "collection", source)


@line("each answer lost in turn: a stream is made, written and deleted")
async def lost_of_stream(scene: Scene) -> None:
    project = f"/api/v1/projects/{scene.world.name}"

    async def work() -> None:
        id = fresh("stream")
        item = {"externalId": id, "settings": {"template": {"name": "MutableTestStream"}}}
        path = f"{project}/streams/{id}/records"
        await _done(scene, "POST", f"{project}/streams", {"items": [item]})
        await _done(scene, "POST", path, {"items": [record("a", {"i32": 1}), record("b", {"i32": 2})]})
        await _done(scene, "POST", f"{path}/upsert", {"items": [record("a", {"i32": 3})]})
        ids = {"items": [{"space": "s", "externalId": "b"}]}
        await _done(scene, "POST", f"{path}/delete?refresh=wait_for", ids)
        told = (await scene.world.sure("POST", f"{path}/filter", {"limit": 10}, at=scene.other))["items"]
        seen = {each["externalId"]: each["properties"]["s"]["c"]["i32"] for each in told}
        if seen != {"a": 3}:
            scene.report.lost.append(f"the stream holds {seen}")
        await _done(scene, "POST", f"{project}/streams/delete", {"items": [{"externalId": id}]})
        await _is(scene, f"{project}/streams/{id}", "externalId", None)

    async with scene.load(spare=True, names=False):
        await each_answer_lost(scene, work)


@line("each answer lost in turn: a space and a container are made and deleted")
async def lost_of_container(scene: Scene) -> None:
    models = f"/api/v1/projects/{scene.world.name}/models"

    async def work() -> None:
        space = fresh("space")
        await _done(scene, "POST", f"{models}/spaces", {"items": [{"space": space}]})
        definition = container({"n": {"type": "int64"}}, space=space)
        await _done(scene, "POST", f"{models}/containers", {"items": [definition]})
        wanted = {"items": [{"space": space, "externalId": "c"}]}
        found = await scene.world.sure("POST", f"{models}/containers/byids", wanted, at=scene.other)
        if len(found["items"]) != 1:
            scene.report.lost.append(f"the container is {found}")
        await _done(scene, "POST", f"{models}/containers/delete", wanted)
        await _done(scene, "POST", f"{models}/spaces/delete", {"items": [{"space": space}]})
        found = await scene.world.sure("POST", f"{models}/spaces/byids", {"items": [{"space": space}]}, at=scene.other)
        if found["items"]:
            scene.report.wrong.append(f"the deleted space is {found}")

    async with scene.load(spare=True, names=False):
        await each_answer_lost(scene, work)


# What operators and full disks do


@line("flood stage: all indices take no writes for 6 s", short=True)
async def flood_stage(scene: Scene) -> None:
    async with scene.load():
        for value in (True, None):
            body = {"index.blocks.read_only_allow_delete": value}
            await scene.cluster.ask("PUT", "/tally-*/_settings?expand_wildcards=all", body)
            await asyncio.sleep(6 if value else 0)


@line("all indices closed for 4 s, and opened again")
async def closed(scene: Scene) -> None:
    async with scene.load():
        await scene.cluster.ask("POST", "/tally-*/_close")
        await asyncio.sleep(4)
        since = time.monotonic()
        await scene.cluster.ask("POST", "/tally-*/_open?expand_wildcards=all&wait_for_active_shards=1")
        await scene.well(since)
    await scene.cluster.well(3)


@line("all indices deleted under running services", short=True)
async def wiped(scene: Scene) -> None:
    old = scene.world
    async with old.load():
        await asyncio.sleep(BEFORE)
        old.wiped = True
        await scene.cluster.ask("DELETE", f"/{','.join(await scene.cluster.indices())}")
        since = old.wiped_at = time.monotonic()
        await asyncio.sleep(3)
    # Whoever makes it anew is told when it is possible, and finds all that is written from then on.
    scene.world = World(scene.replicas, scene.report, old.seed)
    await scene.world.make()
    await scene.well(since)
    async with scene.load():
        pass


@line("a snapshot restored under running services")
async def restored(scene: Scene) -> None:
    world, ask = scene.world, scene.cluster.ask
    location = {"type": "fs", "settings": {"location": str(scene.cluster.snapshots)}}
    await ask("PUT", "/_snapshot/chaos", location)
    async with world.load(names=False):
        await asyncio.sleep(2 * BEFORE)
    await world.check()
    what = {"indices": "tally-*", "include_global_state": False}
    name = fresh("snapshot")
    await ask("PUT", f"/_snapshot/chaos/{name}?wait_for_completion=true", what)
    before, kept = await scene.cluster.indices(), world.saved()
    async with world.load(names=False):
        await _marked(scene, "late")
        await asyncio.sleep(BEFORE)
    await world.check()
    # What operators do: close what there is, restore over it, remove what came later.
    await ask("POST", "/tally-*/_close")
    since = time.monotonic()
    await ask("POST", f"/_snapshot/chaos/{name}/_restore?wait_for_completion=true", what)
    for index in set(await scene.cluster.indices()) - set(before):
        await ask("DELETE", f"/{index}")
    world.restore(kept)
    async with world.load(names=False):
        # Fields that the services knew before the restore, and that the indices have lost.
        await _marked(scene, "late")
        await _marked(scene, "later")
        await scene.well(since)
        await asyncio.sleep(AFTER)


async def _marked(scene: Scene, mark: str) -> None:
    """Objects with a new field by both services; each finds all of them by it."""
    world, total = scene.world, 0
    for replica in scene.replicas:
        for n in range(5):
            body = {"mark": mark, f"{mark}_{n}": n + 1, **world.of_object(f"{mark}-{id(replica)}-{fresh('m')}", n)}
            world.plain.begin({body["metadata"]["key"]: n})
            await world.sure("POST", world.objects(), {**body, "idempotency_key": fresh("i")}, at=replica)
            world.plain.end({body["metadata"]["key"]: n})
            total += 1
    for replica in scene.replicas:
        for n in range(5):
            spec = {
                "filters": {f"{mark}_{n}": {"$gte": 1}},
                "group_by": [{"field": "mark"}],
                "aggregations": [{"function": "sum", "field": f"{mark}_{n}", "alias": "sum"}],
            }
            answer = await world.sure("POST", f"{world.objects()}/aggregate", spec, at=replica)
            found = [row["metrics"]["sum"] for row in answer["results"]]
            if found != [(n + 1) * len(scene.replicas)]:
                who = f"service {scene.replicas.index(replica)}"
                scene.report.lost.append(f"{who}: by the field {mark}_{n} is found {found}")


@line("an operator moves the objects to another index behind their alias")
async def moved(scene: Scene) -> None:
    world, ask = scene.world, scene.cluster.ask
    async with world.load():
        await asyncio.sleep(BEFORE)
    await world.check()
    id = (await world.sure("GET", f"/v1/namespaces/{world.name}"))["namespace_id"]
    (old,) = await ask("GET", f"/tally-objects-{id}/_alias")
    new = old.replace("-000001", "-000002")
    mapping = (await ask("GET", f"/{old}/_mapping"))[old]["mappings"]
    await ask("PUT", f"/{new}", {"mappings": mapping})
    await ask("POST", "/_reindex?refresh=true", {"source": {"index": old}, "dest": {"index": new}})
    actions = [
        {action: {"index": index, "alias": alias}}
        for alias in (await ask("GET", f"/{old}/_alias"))[old]["aliases"]
        for action, index in (("remove", old), ("add", new))
    ]
    await ask("POST", "/_aliases", {"actions": actions})
    async with scene.load():
        await _marked(scene, "moved")


@line("three shards, with concurrent segment search")
async def three_shards(scene: Scene) -> None:
    setting = "search.concurrent_segment_search.mode"
    await scene.cluster.ask("PUT", "/_cluster/settings", {"persistent": {setting: "all"}})
    try:
        await asyncio.gather(*(each.restart(SHARDS=3) for each in scene.replicas))
        scene.world = World(scene.replicas, scene.report, scene.world.seed)
        await scene.world.make()
        async with scene.load():
            await asyncio.sleep(6)
        await scene.world.check()
    finally:
        await scene.cluster.ask("PUT", "/_cluster/settings", {"persistent": {setting: None}})
        await asyncio.gather(*(each.restart() for each in scene.replicas))


# Clocks


@line("the clocks of both services are ten minutes ahead")
async def clocks_ahead(scene: Scene) -> None:
    await asyncio.gather(*(each.restart(clock=600) for each in scene.replicas))
    try:
        async with scene.load():
            await asyncio.sleep(5)
        await scene.world.check()
    finally:
        await asyncio.gather(*(each.restart() for each in scene.replicas))


@line("the clock of one service is two days ahead, for 12 s")
async def clock_jumps(scene: Scene) -> None:
    async with scene.load():
        scene.victim.service.set_clock(2 * DAY)
        await asyncio.sleep(12)
        scene.victim.service.set_clock(0)
