"""Two replicas under load, stopped and killed in turn, behind a balancer that knows what a Kubernetes service knows.

A stop (SIGTERM) may be noticed by nobody. A kill (SIGKILL) may cut the answers that the killed process owed, and
nothing else. What was acknowledged is there, once, whichever replica is asked.
"""

import asyncio
import itertools
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp
import orjson

from tests.support.client import Client
from tests.support.processes import Service, free_port
from tests.support.records import TYPES, Project, container, record

Json = Any
Work = Callable[[str, int, random.Random], Awaitable[None]]
PROBE = 0.5
"""Seconds between two looks at /readyz."""


class Cut(Exception):
    """The answer was lost with the process that owed it."""


@dataclass
class Replica:
    """One process after the other on the same port."""

    folder: Path
    settings: Mapping[str, object]
    port: int = field(default_factory=free_port)
    ready: bool = False
    killed: bool = False

    def start(self) -> None:
        self.killed = False
        self.service = Service("serve", folder=self.folder, settings={**self.settings, "PORT": self.port})
        self.client = Client(f"http://127.0.0.1:{self.port}", str(self.settings["API_KEY"]))

    async def look(self) -> None:
        """As a kubelet looks: on a connection of its own."""
        timeout = aiohttp.ClientTimeout(5)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(f"http://127.0.0.1:{self.port}/readyz") as response,
            ):
                self.ready = response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            self.ready = False

    async def end(self, number: signal.Signals) -> None:
        """Ends the process and starts another one; returns when that is ready."""
        service, client = self.service, self.client
        self.killed = number == signal.SIGKILL
        service.send(number)
        code = await asyncio.to_thread(service.ended, 60)
        assert code == (-signal.SIGKILL if self.killed else 0), (code, service.text[-2000:])
        assert "Traceback" not in service.text, service.text[-3000:]
        service.__exit__(None, None, None)
        self.ready = False
        await asyncio.sleep(2 * PROBE)
        await client.session.close()
        self.start()
        await self.client.__aenter__()
        deadline = time.monotonic() + 60
        while not self.ready:
            assert time.monotonic() < deadline, self.service.text[-2000:]
            await asyncio.sleep(PROBE / 2)


@dataclass
class Balancer:
    """Sends each request to the next replica that is ready; one that cannot be reached is passed over."""

    replicas: list[Replica]
    differences: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    async def __aenter__(self) -> Self:
        for replica in self.replicas:
            replica.start()
            await replica.client.__aenter__()
        self._turns = itertools.cycle(self.replicas)
        self._probing = [asyncio.create_task(self._probe(replica)) for replica in self.replicas]
        deadline = time.monotonic() + 60
        while not all(replica.ready for replica in self.replicas):
            assert time.monotonic() < deadline, [replica.service.text for replica in self.replicas]
            await asyncio.sleep(PROBE)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._probing:
            task.cancel()
        await asyncio.gather(*self._probing, return_exceptions=True)
        for replica in self.replicas:
            await replica.client.session.close()
            replica.service.__exit__(None, None, None)

    async def _probe(self, replica: Replica) -> None:
        while True:
            await replica.look()
            await asyncio.sleep(PROBE)

    async def _next(self) -> Replica:
        for _ in range(1000):
            for replica in itertools.islice(self._turns, len(self.replicas)):
                if replica.ready:
                    return replica
            await asyncio.sleep(0.02)
        raise AssertionError("no replica is ready")

    async def call(self, what: str, method: str, path: str, body: Json = None, space: str | None = None) -> Json:
        """The answer; raises `Cut` if its process was killed. Anything else than 2xx is a difference."""
        while True:
            replica = await self._next()
            client = replica.client
            try:
                status, answer = await client.call(method, path, body, namespace=space)
            except aiohttp.ClientConnectorError:
                # It never came in, so another one may have it.
                replica.ready = False
                self.counts["not reached"] += 1
                if not replica.killed:
                    self.differences.append(f"{what}: a replica that was not killed is not reached")
                continue
            except (aiohttp.ClientError, ConnectionError) as error:
                self.counts["cut"] += 1
                if not replica.killed:
                    self.differences.append(f"{what}: {error!r} of a replica that was not killed")
                raise Cut from None
            self.counts[what] += 1
            if status >= 300:
                self.differences.append(f"{what}: {status} {str(answer)[:300]}")
                raise Cut
            return answer

    async def sure(self, what: str, method: str, path: str, body: Json = None, space: str | None = None) -> Json:
        """The same for what may be sent again."""
        for _ in range(20):
            try:
                return await self.call(what, method, path, body, space)
            except Cut:
                continue
        raise AssertionError(f"{what} is never answered")


@dataclass
class Load:
    """Writers and readers, and what they know."""

    balancer: Balancer
    name: str
    seed: int = 1
    created: dict[str, str] = field(default_factory=dict)
    """Key → the id that an object was given, of creates with an idempotency key."""
    plain: dict[str, str] = field(default_factory=dict)
    """The same without one."""
    lost: set[str] = field(default_factory=set)
    """Keys of creates whose answer was lost and that were not sent again."""
    upserted: dict[str, int] = field(default_factory=dict)
    records: dict[str, int] = field(default_factory=dict)
    followed: dict[str, int] = field(default_factory=dict)
    """What a follower of the stream knows."""
    walked: int = 0

    async def make(self) -> None:
        call = self.balancer.sure
        await call("make", "POST", "/v1/namespaces", {"namespace_name": self.name})
        self.bucket = (await call("make", "POST", "/v1/buckets", {"bucket_name": "b"}, self.name))["bucket_id"]
        keyed = {"bucket_name": "k", "unique_key": {"fields": ["key"], "default_policy": "upsert"}}
        self.keyed = (await call("make", "POST", "/v1/buckets", keyed, self.name))["bucket_id"]
        project = Project(self.balancer.replicas[0].client, self.name)
        await project.spaces("s")
        await project.containers(container(TYPES))
        self.stream = await project.stream("live")

    async def run(self, until: asyncio.Event, writers: int, readers: int) -> None:
        work: list[Work] = [self._create, self._plain, self._upsert, self._records]
        read: list[Work] = [self._count, self._list, self._get, self._walk]
        numbers = itertools.count()
        async with asyncio.TaskGroup() as group:
            for place, (number, one) in itertools.product(range(writers), enumerate(work)):
                group.create_task(self._again(until, one, f"w{place}-{number}", numbers))
            for place, (number, one) in itertools.product(range(readers), enumerate(read)):
                group.create_task(self._again(until, one, f"r{place}-{number}", numbers))
            group.create_task(self._again(until, self._follow, "follower", numbers))

    async def _again(self, until: asyncio.Event, one: Work, who: str, numbers: "itertools.count[int]") -> None:
        chance = random.Random(f"{who} {self.seed}")
        while not until.is_set():
            try:
                await one(who, next(numbers), chance)
            except Cut:
                continue
            await asyncio.sleep(chance.random() * 0.1)

    @property
    def _objects(self) -> str:
        return f"/v1/buckets/{self.bucket}/objects"

    async def _create(self, who: str, number: int, _: random.Random) -> None:
        key = f"{who}-{number}"
        body = {"idempotency_key": key, "metadata": {"key": key, "kind": "sure"}}
        answer = await self.balancer.sure("create", "POST", self._objects, body, self.name)
        self.created[key] = answer["object_id"]

    async def _plain(self, who: str, number: int, _: random.Random) -> None:
        key = f"{who}-{number}"
        try:
            body = {"metadata": {"key": key, "kind": "plain"}}
            answer = await self.balancer.call("create without a key", "POST", self._objects, body, self.name)
        except Cut:
            self.lost.add(key)
            raise
        self.plain[key] = answer["object_id"]

    async def _upsert(self, who: str, number: int, chance: random.Random) -> None:
        key = f"{who}-{chance.randrange(20)}"
        path = f"/v1/buckets/{self.keyed}/objects"
        await self.balancer.sure("upsert", "POST", path, {"key": key, "metadata": {"n": number}}, self.name)
        self.upserted[key] = number

    async def _records(self, who: str, number: int, chance: random.Random) -> None:
        id = f"{who}-{chance.randrange(20)}"
        path = f"/api/v1/projects/{self.name}/streams/{self.stream}/records/upsert"
        await self.balancer.sure("records", "POST", path, {"items": [record(id, {"i32": number})]})
        self.records[id] = number

    async def _count(self, *_: object) -> None:
        """Whatever was acknowledged before counts, at any replica."""
        known = len(self.created)
        spec = {
            "filters": {"metadata.kind": "sure"},
            "group_by": [{"field": "metadata.kind", "alias": "kind"}],
            "aggregations": [{"function": "count", "alias": "n"}],
        }
        rows = (await self.balancer.sure("aggregate", "POST", f"{self._objects}/aggregate", spec, self.name))["results"]
        found = rows[0]["metrics"]["n"] if rows else 0
        if found < known:
            self.balancer.differences.append(f"{found} objects are counted of {known}")

    async def _list(self, *_: object) -> None:
        known = len(self.plain)
        body = {"filters": {"metadata.kind": "plain"}, "limit": 1}
        answer = await self.balancer.sure("list", "POST", f"{self._objects}/list", body, self.name)
        if answer["pagination"]["total"] < known:
            self.balancer.differences.append(f"{answer['pagination']['total']} objects are listed of {known}")

    async def _get(self, _who: str, _number: int, chance: random.Random) -> None:
        if not self.created:
            return
        key = chance.choice(list(self.created))
        answer = await self.balancer.sure("get", "GET", f"{self._objects}/{self.created[key]}", None, self.name)
        if answer["metadata"]["key"] != key:
            self.balancer.differences.append(f"{key} is {answer}")

    async def _walk(self, *_: object) -> None:
        """From cursor to cursor, each at the next replica: all that was there when the walk began, none twice."""
        known = set(self.created.values())
        seen: list[str] = []
        cursor: Json = "*"
        while cursor is not None and len(seen) < 2_000:
            body = {"cursor": cursor, "limit": 100, "filters": {"metadata.kind": "sure"}}
            page = await self.balancer.sure("walk", "POST", f"{self._objects}/list", body, self.name)
            seen += [each["object_id"] for each in page["results"]]
            cursor = page["pagination"]["next_cursor"]
        self.walked += 1
        if len(seen) != len(set(seen)):
            self.balancer.differences.append("a walk told an object twice")
        if cursor is None and known - set(seen):
            self.balancer.differences.append(f"a walk missed {len(known - set(seen))} objects")

    async def _follow(self, *_: object) -> None:
        await self.news()

    async def news(self) -> None:
        path = f"/api/v1/projects/{self.name}/streams/{self.stream}/records/sync"
        more = True
        while more:
            start = {"cursor": self._cursor} if self._cursor else {"initializeCursor": "1d-ago"}
            page = await self.balancer.sure("sync", "POST", path, {"limit": 50, **start})
            for item in page["items"]:
                self.followed[item["externalId"]] = item["properties"]["s"]["c"]["i32"]
            self._cursor, more = page["nextCursor"], page["hasNext"]

    _cursor: str | None = None

    async def check(self) -> None:
        """At the end: everything that was acknowledged, once; at each of the replicas."""
        await self.news()
        wrong = self.balancer.differences
        for replica in self.balancer.replicas:
            replica.client.namespace = self.name
            found = await everything(replica.client, self.bucket)
            keys = Counter(each["metadata"]["key"] for each in found)
            ids = {each["object_id"]: each["metadata"]["key"] for each in found}
            wrong += [f"{key} is there {times} times" for key, times in keys.items() if times > 1]
            for key, id in (self.created | self.plain).items():
                if ids.get(id) != key:
                    wrong.append(f"{key} was acknowledged as {id}, and is not there")
            strange = keys.keys() - self.created.keys() - self.plain.keys() - self.lost
            wrong += [f"{key} was never acknowledged, nor lost" for key in strange]
            upserted = {each["key"]: each["metadata"]["n"] for each in await everything(replica.client, self.keyed)}
            if upserted != self.upserted:
                wrong.append(f"upserts: {upserted} is not {self.upserted}")
            records = await Project(replica.client, self.name).values(self.stream, "i32")
            if records != self.records:
                wrong.append(f"records: {records} is not {self.records}")
        await self._task()
        if self.followed != self.records:
            wrong.append(f"the follower knows {self.followed}, not {self.records}")

    async def _task(self) -> None:
        """Begun at one replica, told by the other."""
        first, second = (replica.client for replica in self.balancer.replicas)
        body = {"filters": {"metadata.kind": "plain"}}
        begun = await first.ok("POST", f"{self._objects}/delete", body)
        ended = await second.task(begun["task_id"])
        found = (ended["status"], ended["additional_data"]["deleted_count"])
        kept = len(self.plain) + len(self.lost)
        if found[0] != "COMPLETED" or not len(self.plain) <= found[1] <= kept:
            self.balancer.differences.append(f"a task ended as {found}, of {kept}")


async def everything(client: Client, bucket: str) -> list[Json]:
    _, text, _ = await client.send("GET", f"/v1/buckets/{bucket}/objects/export")
    return [orjson.loads(line) for line in text.splitlines()]


async def trouble(balancer: Balancer, ends: list[tuple[int, signal.Signals]], pause: float) -> None:
    """One end after the other."""
    for place, number in ends:
        await asyncio.sleep(pause)
        before = len(balancer.differences)
        cuts = balancer.counts["cut"] + balancer.counts["not reached"]
        await balancer.replicas[place].end(number)
        cuts = balancer.counts["cut"] + balancer.counts["not reached"] - cuts
        balancer.counts[f"{number.name}: lost answers"] += cuts
        assert len(balancer.differences) == before, balancer.differences[:5]


async def run(url: str, folder: Path, ends: list[tuple[int, signal.Signals]], pause: float, size: int) -> Balancer:
    """The whole of it; what happened is in the balancer."""
    settings = {
        "OPENSEARCH_URL": url,
        "API_KEY": "sk_replicas_0123456789",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "warning",
        "DRAIN_SECONDS": 4 * PROBE,
    }
    replicas = [Replica(folder / str(n), settings) for n in range(2)]
    async with Balancer(replicas) as balancer:
        load = Load(balancer, f"replicas-{os.urandom(4).hex()}")
        await load.make()
        done = asyncio.Event()
        loading = asyncio.create_task(load.run(done, writers=size, readers=size))
        try:
            await trouble(balancer, ends, pause)
            await asyncio.sleep(pause)
        finally:
            done.set()
            await loading
        await load.check()
        balancer.counts["objects"] = len(load.created) + len(load.plain)
        balancer.counts["walks"] = load.walked
        await replicas[0].client.ok("DELETE", f"/v1/namespaces/{load.name}", namespace=None)
    return balancer
