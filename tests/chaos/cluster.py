"""Three OpenSearch nodes that are one cluster, and two services on it, each behind a proxy of its own."""

import asyncio
import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import aiohttp

from service.cli.embedded import EmbeddedNode, default_cache, ensure_home
from tests.support.client import Client
from tests.support.processes import Service, free_port
from tests.support.proxy import Proxy

Json = Any
KEY = "sk_chaos_0123456789"
FAST: Mapping[str, str] = {
    f"cluster.fault_detection.{role}_check.{name}": value
    for role in ("follower", "leader")
    for name, value in (("interval", "1s"), ("timeout", "2s"), ("retry_count", "2"))
} | {"cluster.publish.timeout": "5s", "cluster.follower_lag.timeout": "5s"}
"""Settings by which nodes that hang are removed within seconds."""


class Cluster:
    """The nodes; what operators do is done through any of them that answers."""

    def __init__(self, folder: Path) -> None:
        home, ports = ensure_home(default_cache()), [free_port() for _ in range(3)]
        self.snapshots = folder / "snapshots"
        self.nodes = [
            EmbeddedNode(
                home,
                folder / f"n{n}",
                heap="384m",
                options=["-XX:TieredStopAtLevel=1"],  # compiles quickly rather than well: nodes do not live long
                settings={
                    **FAST,
                    "cluster.name": "tally-chaos",
                    "node.name": f"n{n}",
                    "transport.port": str(port),
                    "discovery.seed_hosts": ",".join(f"127.0.0.1:{each}" for each in ports),
                    "cluster.initial_cluster_manager_nodes": "n0,n1,n2",
                    "path.repo": str(self.snapshots),
                    # A machine with a nearly full disk is not what is tested here.
                    "cluster.routing.allocation.disk.threshold_enabled": "false",
                },
            )
            for n, port in enumerate(ports)
        ]

    async def __aenter__(self) -> Self:
        await self.start()
        await self.well(3)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._resume_all()
        await asyncio.gather(*(node.astop() for node in self.nodes))

    async def start(self) -> None:
        """Starts the nodes that do not run."""
        await asyncio.gather(*(node.astart(180) for node in self.nodes if not node.alive()))

    async def restart_all(self) -> None:
        await asyncio.gather(*(node.astop() for node in self.nodes))
        await self.start()

    @property
    def urls(self) -> list[str]:
        return [node.url for node in self.nodes]

    async def ask(self, method: str, path: str, body: Json = None, *, seconds: float = 60) -> Json:
        """Through the first node that answers."""
        error: Exception | None = None
        for node in self.nodes:
            if not node.alive():
                continue
            try:
                async with (
                    aiohttp.ClientSession(node.url, timeout=aiohttp.ClientTimeout(seconds)) as session,
                    session.request(method, path, json=body) as response,
                ):
                    answer = await response.json()
                    assert response.status < 300, (method, path, response.status, answer)
                    return answer
            except (aiohttp.ClientError, TimeoutError) as caught:
                error = caught
        raise AssertionError(f"no node answers: {error!r}")

    async def indices(self, pattern: str = "tally-*") -> list[str]:
        found = await self.ask("GET", f"/_cat/indices/{pattern}?format=json&expand_wildcards=all")
        return [each["index"] for each in found]

    async def manager(self) -> EmbeddedNode:
        (found,) = await self.ask("GET", "/_cat/cluster_manager?format=json")
        return self.nodes[int(found["node"].removeprefix("n"))]

    async def other(self) -> EmbeddedNode:
        """A node that is not the manager, and holds objects."""
        manager = await self.manager()
        found = await self.ask("GET", "/_cat/shards/tally-objects-*?format=json")
        nodes = [self.nodes[int(each["node"].removeprefix("n"))] for each in found if each["node"]]
        # Rather one with primaries: they are what is missed most.
        primaries = [node for node, each in zip(nodes, found, strict=False) if each["prirep"] == "p"]
        return next(node for node in (*primaries, *nodes, *self.nodes) if node is not manager)

    async def well(self, nodes: int, seconds: float = 120) -> None:
        """So many nodes, and every shard where it belongs."""
        deadline, found = time.monotonic() + seconds, None
        while True:
            with suppress(AssertionError):
                found = await self.ask("GET", "/_cluster/health?timeout=1s&cluster_manager_timeout=1s", seconds=5)
                if found["number_of_nodes"] == nodes and found["status"] == "green":
                    return
                if found["unassigned_shards"]:
                    # Shards that could not be made five times are not tried again by themselves.
                    await self.ask("POST", "/_cluster/reroute?retry_failed=true", seconds=5)
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.3)

    def pause(self, node: EmbeddedNode) -> None:
        os.kill(node.pid, signal.SIGSTOP)

    def resume(self, node: EmbeddedNode) -> None:
        os.kill(node.pid, signal.SIGCONT)

    async def mend(self) -> None:
        """Whatever was done to the nodes is undone."""
        self._resume_all()
        await self.start()
        await self.well(len(self.nodes))

    def _resume_all(self) -> None:
        for node in self.nodes:
            if node.alive():
                self.resume(node)


class Replica:
    """One service process after the other on the same port."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.cluster = cluster
        self._prepare(folder)

    def _prepare(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.alive = False
        self._turn = asyncio.Lock()
        self.lives = 0
        """Processes that there were."""

    async def start(self, **settings: object) -> None:
        """Returns when it is ready; `clock`: by how much its clock is wrong."""
        clock = int(str(settings.pop("clock", 0)))
        given: dict[str, object] = {
            "PORT": self.port,
            "API_KEY": KEY,
            "OPENSEARCH_TIMEOUT": 10,
            "CARETAKING_SECONDS": 5,
            "LOG_FORMAT": "json",
            "LOG_LEVEL": "warning",
            **({} if "OPENSEARCH_URL" in settings else {"OPENSEARCH_URL": self.proxy.url}),
            **settings,
        }
        async with self._turn:
            self.service = Service("serve", folder=self.folder, settings=given, clock=clock)
            self.lives += 1
            self.client = await Client(f"http://127.0.0.1:{self.port}", KEY).__aenter__()
            await self.ready(90)
            self.alive = True

    async def ready(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):
                async with asyncio.timeout(5):
                    if (await self.client.call("GET", "/readyz"))[0] == 200:
                        return
            assert time.monotonic() < deadline, self.service.text[-3000:]
            await asyncio.sleep(0.2)

    async def kill(self) -> None:
        """As a power cut ends it."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> None:
        async with self._turn:  # whoever starts it again waits until it is gone
            self.alive = False
            service, client = self.service, self.client
            service.send(number)
            await asyncio.to_thread(service.ended, 60)
            service.__exit__(None, None, None)
            await client.session.close()
            assert "Traceback" not in service.text, service.text[-3000:]

    def failures(self) -> list[str]:
        """What the process says of failures that are its own, or that nobody knows."""
        return [text for text in self.service.text.splitlines() if '"level": "error"' in text]

    async def mend(self) -> None:
        """Whatever was done to it is undone."""
        self.proxy.calm()
        if not self.alive:
            await self.start()

    async def restart(self, **settings: object) -> None:
        if self.alive:
            await self.stop()
        await self.start(**settings)

    async def __aenter__(self) -> Self:
        self.proxy = await Proxy(*self.cluster.urls).__aenter__()
        try:
            await self.start()
        except BaseException:
            await self.proxy.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.service.process.poll() is None:
            await self.stop()
        await self.proxy.__aexit__(None, None, None)


Replicas = Sequence[Replica]
