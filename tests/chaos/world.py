"""A namespace with buckets and streams under a mixed load, and what its clients know of it.

Each writer has keys of its own, so that the oracle knows the order of their writes; readers look at everything. An
answer that never came, a 5xx and a 429 leave a write possible; any other refusal leaves nothing.
"""

import asyncio
import itertools
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import orjson

from tests.chaos.cluster import Replica, Replicas
from tests.chaos.oracle import ABSENT, Report, State, Table
from tests.support.records import container, fresh, record

Json = Any
Work = Callable[[str, random.Random], Awaitable[None]]

PASSING: Final = (429, 503, 504, 507)
"""What a client is told of trouble that is not its own."""
_PASSING_TYPES: Final = ("TooManyRequestsError", "ServiceUnavailableError", "TimeoutError", "InsufficientStorageError")
_PATIENCE: Final = 5.0
"""Seconds for which somebody who follows a stream may not know what was acknowledged."""
_POOL: Final = 20
"""Ids of records, and keys of upserts, that each writer uses again and again."""


def kind_of(status: int, answer: Json) -> str:
    error = answer.get("error") if isinstance(answer, dict) else None
    kind = error.get("type") if isinstance(error, dict) else None
    return f"{status} {kind}" if kind else str(status)


class Pace:
    """Lets so many through in a second, evenly."""

    def __init__(self, rate: float) -> None:
        self._between = 1 / rate
        self._free = time.monotonic()

    async def turn(self) -> None:
        now = time.monotonic()
        self._free = max(self._free + self._between, now)
        await asyncio.sleep(self._free - now)


class World:
    """One namespace. `at`: the services that its clients ask."""

    def __init__(self, replicas: Replicas, report: Report, seed: int = 1) -> None:
        self.replicas = replicas
        self.at = list(replicas)
        self.report = report
        self.seed = seed
        self.name = fresh("chaos")
        self.plain = Table("objects", report)
        self.keyed = Table("upserts", report)
        self.records = Table("records", report)
        self.log = Table("log", report)
        self.buckets: dict[str, str] = {}
        self.stream = self.immutable = ""
        self.renames: list[tuple[str, str, str]] = []
        """Id, old and new name of buckets of which it is unknown how they are called."""
        self.deletions: list[tuple[str | None, dict[str, State]]] = []
        """Tasks, as far as they are known, and what they delete."""
        self.wiped = False
        """Somebody is about to delete all of it."""
        self.wiped_at: float | None = None
        """From then on nothing is left of it."""
        self._numbers = itertools.count(1)
        self._turns = itertools.count()
        self._pace: Pace | None = None

    # Requests

    def limit(self, rate: float) -> None:
        """From now on so many requests a second at most."""
        self._pace = Pace(rate)

    async def call(
        self,
        method: str,
        path: str,
        body: Json = None,
        *,
        at: Replica | None = None,
        lines: Sequence[Json] | None = None,
        allowed: tuple[int, ...] = (),
    ) -> tuple[int | None, Json]:
        """Status and answer; None if there was none, or one that leaves it open whether anything was done.

        `allowed`: what else than success may be told; anything else is a wrong answer, and None, too.
        """
        if self._pace is not None:
            await self._pace.turn()
        replica = at or await self._next()
        life, begun = replica.lives, time.monotonic()
        options: dict[str, Any] = {"namespace": None if path.startswith(("/api/", "/v1/namespaces")) else self.name}
        if lines is not None:
            data = b"".join(orjson.dumps(line) + b"\n" for line in lines)
            options |= {"data": data, "headers": {"Content-Type": "application/x-ndjson"}}
        self.report.requests += 1
        what = f"{method} {path}"
        try:
            async with asyncio.timeout(45):
                status, answer = await self._sent(replica, method, path, body, options)
        except (aiohttp.ClientError, ConnectionError, RuntimeError) as error:
            if replica.alive and replica.lives == life:
                self.report.wrong.append(f"{what}: {error!r} of a service that was not killed")
            self.report.errors["cut"] += 1
            await asyncio.sleep(0.2)
            return None, None
        except TimeoutError:
            self.report.wrong.append(f"{what}: no answer in 45 s")
            return None, None
        except AssertionError as error:
            self.report.wrong.append(f"not documented: {str(error)[:600]}")
            return None, None
        if status < 300:
            if self.wiped_at is not None and begun > self.wiped_at:
                self.report.wrong.append(f"{what}: {status}, though nothing is left")
            # While all is being deleted, an answer may be of before, or of after.
            return (None, None) if self.wiped else (status, answer)
        is_gone = self.wiped and status in (401, 404)
        if status in allowed and not is_gone:
            return status, answer
        self.report.errors[kind_of(status, answer)] += 1
        self.report.examples.setdefault(kind_of(status, answer), f"{what}: {str(answer)[:300]}")
        if status not in PASSING and not is_gone:
            self.report.wrong.append(f"{what}: {status} {str(answer)[:400]}")
        await asyncio.sleep(0.2)
        return None, answer

    async def _sent(
        self, replica: Replica, method: str, path: str, body: Json, options: Mapping[str, Any]
    ) -> tuple[int, Json]:
        status, text, headers = await replica.client.send(method, path, body, **options)
        if headers.get("Content-Type", "").startswith("application/x-ndjson"):
            return status, [orjson.loads(line) for line in text.splitlines()]
        return status, json.loads(text) if text else None

    async def _next(self) -> Replica:
        """The next one that lives: a balancer passes over the others."""
        for _ in range(1_000):
            for _ in self.at:
                replica = self.at[next(self._turns) % len(self.at)]
                if replica.alive:
                    return replica
            await asyncio.sleep(0.1)
        raise AssertionError("no service lives")

    async def sure(self, method: str, path: str, body: Json = None, **options: Any) -> Json:
        """For what may be sent again: until it is done."""
        deadline = time.monotonic() + 60
        while True:
            status, answer = await self.call(method, path, body, **options)
            if status is not None:
                return answer
            assert time.monotonic() < deadline, f"{method} {path} is not answered: {answer}; {self.report.told}"

    # What there is

    async def make(self) -> None:
        """Made by one service; whoever comes second finds it."""
        await self.sure("POST", "/v1/namespaces", {"namespace_name": self.name}, allowed=(409,))
        made = {
            "plain": {"bucket_name": "plain"},
            "keyed": {"bucket_name": "keyed", "unique_key": {"fields": ["key"], "default_policy": "upsert"}},
        }
        for name, body in made.items():
            await self.sure("POST", "/v1/buckets", body, allowed=(409,))
            self.buckets[name] = (await self.sure("GET", f"/v1/buckets/{name}"))["bucket_id"]
        project = f"/api/v1/projects/{self.name}"
        await self.sure("POST", f"{project}/models/spaces", {"items": [{"space": "s"}]})
        definition = container({"i32": {"type": "int32"}})
        await self.sure("POST", f"{project}/models/containers", {"items": [definition]})
        self.stream, self.immutable = fresh("live"), fresh("log")
        for stream, template in ((self.stream, "MutableTestStream"), (self.immutable, "ImmutableTestStream")):
            item = {"externalId": stream, "settings": {"template": {"name": template}}}
            await self.sure("POST", f"{project}/streams", {"items": [item]}, allowed=(409,))

    async def remove(self) -> None:
        await self.call("DELETE", f"/v1/namespaces/{self.name}", allowed=(404,))

    def saved(self) -> list[tuple[dict[str, frozenset[State]], dict[str, str]]]:
        """What is known now, for `restore`; nothing may be on its way."""
        return [(dict(each.possible), dict(each.ids)) for each in self._tables]

    def restore(self, saved: list[tuple[dict[str, frozenset[State]], dict[str, str]]]) -> None:
        """Everything is again as it was when that was known."""
        for table, (possible, ids) in zip(self._tables, saved, strict=True):
            table.possible, table.ids = dict(possible), dict(ids)

    @property
    def _tables(self) -> tuple[Table, ...]:
        return self.plain, self.keyed, self.records, self.log

    def objects(self, bucket: str = "plain") -> str:
        return f"/v1/buckets/{self.buckets[bucket]}/objects"

    def of(self, stream: str) -> str:
        return f"/api/v1/projects/{self.name}/streams/{stream}/records"

    # The load

    @asynccontextmanager
    async def load(self, *, pause: float = 0.8, writes: bool = True, names: bool = True) -> AsyncIterator[None]:
        """Writers and readers until the end of the block; `pause`: seconds between two requests of one, at most."""
        stop = asyncio.Event()
        work: list[tuple[str, Work]] = [
            ("count", self.count),
            ("list", self.list),
            ("get", self.get),
            ("walk", self.walk),
            ("count records", self.count_records),
            ("follow", Follower(self, self.stream, self.records).round),
            ("follow log", Follower(self, self.immutable, self.log).round),
        ]
        if writes:
            work += [
                ("objects", self.change_objects),
                ("more objects", self.change_objects),
                ("batches", self.batch),
                ("imports", self.bring),
                ("upserts", self.upsert),
                ("deletions", self.delete_by_filter),
                ("records", self.change_records),
                ("log", self.append),
                *([("names", self.names)] if names else []),
            ]

        async def again(who: str, one: Work) -> None:
            chance = random.Random(f"{who} {self.seed} {self.name}")
            await asyncio.sleep(chance.random() * pause)
            while not stop.is_set():
                await one(who.replace(" ", "-"), chance)
                await asyncio.sleep(chance.random() * pause)

        async with asyncio.TaskGroup() as group:
            for who, one in work:
                group.create_task(again(who, one))
            try:
                yield
            finally:
                stop.set()

    def _fresh(self, who: str) -> str:
        return f"{who}-{next(self._numbers)}"

    def of_object(self, key: str, number: int, **more: Json) -> Json:
        return {"metadata": {"key": key, "kind": "p", "n": number, **more}}

    def _own(self, table: Table, who: str) -> list[str]:
        """Keys of a writer that are there for sure, with ids that are known."""
        return [key for key in table.ids if key.startswith(f"{who}-") and None not in table.possible[key]]

    async def change_objects(self, who: str, chance: random.Random) -> None:
        own, number = self._own(self.plain, who), next(self._numbers)
        if len(own) < 10 or (len(own) < 100 and chance.random() < 0.5):
            await self.create(who, number, sure=chance.random() < 0.5)
            return
        key = chance.choice(own)
        path = f"{self.objects()}/{self.plain.ids[key]}"
        new: dict[str, State] = {key: None if chance.random() < 0.3 else number}
        before = self.plain.begin(new)
        if new[key] is None:
            status, _ = await self.call("DELETE", path, allowed=(404,))
        else:
            status, _ = await self.call("PATCH", path, {"metadata": {"n": number}}, allowed=(404,))
        if status == 404:
            self.plain.refuse(before)
            self.report.lost.append(f"{who}: {key} is not found when it is changed, was {before[key]}")
        elif status is not None:
            self.plain.end(new)

    async def create(self, who: str, number: int, *, sure: bool, at: Replica | None = None) -> bool:
        """One object; with an idempotency key it is sent again until it is there. Whether it is there for sure."""
        key = self._fresh(who)
        body = {**self.of_object(key, number), **({"idempotency_key": key} if sure else {})}
        self.plain.begin({key: number})
        for _ in range(5 if sure else 1):
            status, answer = await self.call("POST", self.objects(), body, at=at)
            if status is not None:
                if answer["metadata"]["n"] != number:
                    self.report.wrong.append(f"{who}: {key} was made as {answer}")
                self.plain.ids[key] = answer["object_id"]
                self.plain.end({key: number})
                return True
        return False

    async def batch(self, who: str, chance: random.Random) -> None:
        await self.create_many(who, [chance.random() < 0.5 for _ in range(chance.randint(2, 12))])

    async def create_many(self, who: str, with_keys: Sequence[bool], **more: Json) -> dict[str, State]:
        """A batch; gives what is there for sure."""
        new: dict[str, State] = {self._fresh(who): next(self._numbers) for _ in with_keys}
        items = [
            {**self.of_object(key, number or 0, **more), **({"idempotency_key": key} if known else {})}
            for (key, number), known in zip(new.items(), with_keys, strict=True)
        ]
        before = self.plain.begin(new)
        status, answer = await self.call("POST", f"{self.objects()}/batch", {"objects": items})
        if status is None:
            return {}
        done = {each["metadata"]["key"]: each for each in answer["succeeded"]}
        self.plain.ids |= {key: each["object_id"] for key, each in done.items()}
        self.plain.end({key: new[key] for key in done})
        for each in answer["failed"]:
            key = list(new)[each["object_index"]]
            if each["error_type"] in _PASSING_TYPES:
                self.report.errors[f"item {each['error_type']}"] += 1
            else:
                self.report.wrong.append(f"{who}: {key} was refused: {each}")
                self.plain.refuse({key: before[key]})
        return {key: new[key] for key in done}

    async def bring(self, who: str, chance: random.Random) -> None:
        """An import, into either bucket."""
        size = chance.randint(5, 40)
        if chance.random() < 0.5:
            await self.bring_many(who, size)
            return
        keys = [f"{who}-{n}" for n in range(2 * _POOL)]
        new: dict[str, State] = {key: next(self._numbers) for key in chance.sample(keys, min(size, len(keys)))}
        lines = [{"key": key, **self.of_object(key, number or 0)} for key, number in new.items()]
        before = self.keyed.begin(new)
        status, answer = await self.call("POST", f"{self.objects('keyed')}/import", lines=lines)
        self._brought(who, self.keyed, new, before, status, answer)

    async def bring_many(self, who: str, size: int, at: Replica | None = None, tries: int = 5) -> dict[str, State]:
        """An import of lines with idempotency keys, sent again until all are there."""
        new: dict[str, State] = {self._fresh(who): next(self._numbers) for _ in range(size)}
        before = self.plain.begin(new)
        for _ in range(tries):
            if await self.bring_again(who, new, before, at):
                break
        return new

    async def bring_again(
        self, who: str, new: Mapping[str, State], before: Mapping[str, frozenset[State]], at: Replica | None = None
    ) -> bool:
        """Whether all are there."""
        lines = [{**self.of_object(key, number or 0), "idempotency_key": key} for key, number in new.items()]
        status, answer = await self.call("POST", f"{self.objects()}/import", lines=lines, at=at)
        return self._brought(who, self.plain, new, before, status, answer)

    def _brought(
        self,
        who: str,
        table: Table,
        new: Mapping[str, State],
        before: Mapping[str, frozenset[State]],
        status: int | None,
        answer: Json,
    ) -> bool:
        if status is None:
            return False
        failed = {list(new)[each["line"] - 1]: each for each in answer["errors"]}
        if answer["failed_count"] == len(failed):
            # Of more failures than are described it is unknown which lines they are.
            table.end({key: state for key, state in new.items() if key not in failed})
        for key, each in failed.items():
            if each["error_type"] in _PASSING_TYPES:
                self.report.errors[f"item {each['error_type']}"] += 1
            else:
                self.report.wrong.append(f"{who}: {key} was refused: {each}")
                table.refuse({key: before[key]})
        return not answer["failed_count"]

    async def upsert(self, who: str, chance: random.Random) -> None:
        key, number = f"{who}-{chance.randrange(_POOL)}", next(self._numbers)
        if key in self._own(self.keyed, who) and chance.random() < 0.2:
            before = self.keyed.begin({key: None})
            path = f"{self.objects('keyed')}/{self.keyed.ids[key]}"
            status, _ = await self.call("DELETE", path, allowed=(404,))
            if status == 404:
                self.keyed.refuse(before)
                self.report.lost.append(f"{who}: {key} is not found when it is deleted, was {before[key]}")
            elif status is not None:
                self.keyed.end({key: None})
            return
        self.keyed.begin({key: number})
        body = {"key": key, **self.of_object(key, number)}
        status, answer = await self.call("POST", self.objects("keyed"), body)
        if status is not None:
            self.keyed.ids[key] = answer["object_id"]
            self.keyed.end({key: number})

    async def delete_by_filter(self, who: str, chance: random.Random) -> None:
        """Makes some objects with a mark of their own, and deletes what has it."""
        tag = self._fresh("tag")
        size = chance.randint(2, 8)
        made = await self.create_many(who, [False] * size, tag=tag)
        if len(made) == size:
            await self.delete_tagged(tag, list(made))

    async def delete_tagged(self, tag: str, keys: Sequence[str], at: Replica | None = None) -> None:
        gone: dict[str, State] = dict.fromkeys(keys)
        self.plain.begin(gone)
        for key in keys:
            self.plain.ids.pop(key, None)
        status, answer = await self.call("POST", f"{self.objects()}/delete", {"filters": {"metadata.tag": tag}}, at=at)
        if status is not None and answer["status"] == "COMPLETED":
            if answer["deleted_count"] != len(keys):
                self.report.wrong.append(f"{answer['deleted_count']} of {len(keys)} were deleted: {answer}")
            self.plain.end(gone)
        else:
            self.plain.unsettled |= gone.keys()
            self.deletions.append((answer["task_id"] if status is not None else None, gone))

    async def names(self, who: str, chance: random.Random) -> None:
        """A bucket is made, renamed and deleted; every answer that comes has to be true at any service."""
        old, new = fresh("bucket"), fresh("bucket")
        status, made = await self.call("POST", "/v1/buckets", {"bucket_name": old})
        if status is None:
            return
        id = made["bucket_id"]
        status, _ = await self.call("PATCH", f"/v1/buckets/{id}", {"bucket_name": new})
        if status is None:
            self.renames.append((id, old, new))
            return
        await self.check_name(new, id)
        await self.check_name(old, None)
        again, _ = await self.call("POST", "/v1/buckets", {"bucket_name": new}, allowed=(409,))
        if again is not None and again != 409:
            self.report.doubled.append(f"{who}: the name {new} was given twice")
        if (await self.call("DELETE", f"/v1/buckets/{new}"))[0] is not None:
            await self.check_name(new, None)
            if chance.random() < 0.5:
                await self.call("POST", "/v1/buckets", {"bucket_name": new})

    async def check_name(self, name: str, id: str | None, at: Replica | None = None) -> None:
        status, found = await self.call("GET", f"/v1/buckets/{name}", allowed=(404,), at=at)
        if status is None:
            return
        seen = found["bucket_id"] if status == 200 else None
        if seen != id:
            (self.report.lost if seen is None else self.report.wrong).append(f"the bucket {name} is {seen}, not {id}")

    async def change_records(self, who: str, chance: random.Random) -> None:
        ids = chance.sample([f"{who}-{n}" for n in range(2 * _POOL)], chance.randint(1, 6))
        what = chance.choice(("", "/upsert", "/upsert", "/delete"))
        if what == "":
            ids = [each for each in ids if self.records.possible.get(each, frozenset({None})) == {None}]
        if not ids:
            return
        new: dict[str, State] = {id: None if what == "/delete" else next(self._numbers) for id in ids}
        await self.send_records(what, new)

    async def send_records(self, what: str, new: Mapping[str, State], at: Replica | None = None) -> bool:
        items: list[Json] = [record(id, {"i32": number}) for id, number in new.items()]
        if what == "/delete":
            items = [{"space": "s", "externalId": id} for id in new]
        self.records.begin(new)
        path = f"{self.of(self.stream)}{what}?refresh=wait_for"
        status, _ = await self.call("POST", path, {"items": items}, at=at)
        if status is not None:
            self.records.end(new)
        return status is not None

    async def append(self, who: str, chance: random.Random) -> None:
        new: dict[str, State] = {self._fresh(who): next(self._numbers) for _ in range(chance.randint(1, 8))}
        self.log.begin(new)
        body = {"items": [record(id, {"i32": number}) for id, number in new.items()]}
        for _ in range(3):  # equal records are dropped
            status, _ = await self.call("POST", f"{self.of(self.immutable)}?refresh=wait_for", body)
            if status is not None:
                self.log.end(new)
                return

    # Readers

    async def count(self, who: str, chance: random.Random) -> None:
        name = chance.choice(("plain", "keyed"))
        await self.count_at(who, name)

    async def count_at(self, who: str, name: str, at: Replica | None = None) -> bool:
        table: Table = getattr(self, name)
        spec = {
            "filters": {"metadata.kind": "p"},
            "group_by": [{"field": "metadata.kind", "alias": "kind"}],
            "aggregations": [
                {"function": "count", "alias": "n"},
                {"function": "sum", "field": "metadata.n", "alias": "sum"},
            ],
        }
        with table.watched() as watch:
            status, answer = await self.call("POST", f"{self.objects(name)}/aggregate", spec, at=at)
        if status is not None:
            rows = answer["results"]
            found = rows[0]["metrics"] if rows else {"n": 0, "sum": 0}
            table.check_counts(who, watch, found["n"], found["sum"])
        return status is not None

    async def list(self, who: str, chance: random.Random) -> None:
        await self.list_at(who, chance.choice(("plain", "keyed")))

    async def list_at(self, who: str, name: str, at: Replica | None = None) -> bool:
        table: Table = getattr(self, name)
        body = {"filters": {"metadata.kind": "p"}, "limit": 5, "sort": {"field": "metadata.n", "direction": "desc"}}
        with table.watched() as watch:
            status, answer = await self.call("POST", f"{self.objects(name)}/list", body, at=at)
        if status is not None:
            table.check_counts(who, watch, answer["pagination"]["total"])
            for each in answer["results"]:
                table.check_one(who, watch, each["metadata"]["key"], each["metadata"]["n"])
        return status is not None

    async def get(self, who: str, chance: random.Random) -> None:
        name = chance.choice(("plain", "keyed"))
        table: Table = getattr(self, name)
        if not table.ids:
            return
        key = chance.choice(list(table.ids))
        with table.watched() as watch:
            status, answer = await self.call("GET", f"{self.objects(name)}/{table.ids[key]}", allowed=(404,))
        if status is not None:
            table.check_one(who, watch, key, answer["metadata"]["n"] if status == 200 else None)
            if status == 200 and answer["metadata"]["key"] != key:
                self.report.wrong.append(f"{who}: {key} is {answer}")

    async def walk(self, who: str, chance: random.Random) -> None:
        """From cursor to cursor: all that was there all the time, none twice. A point in time may end (410)."""
        name = chance.choice(("plain", "keyed"))
        table: Table = getattr(self, name)
        order = {"sort": {"field": "metadata.n", "direction": "asc"}} if chance.random() < 0.5 else {}
        seen: list[tuple[str, State]] = []
        cursor: Json = "*"
        with table.watched() as watch:
            while cursor is not None:
                body = {"cursor": cursor, "limit": 200, **order}
                status, page = await self.call("POST", f"{self.objects(name)}/list", body, allowed=(410,))
                if status == 410:
                    self.report.errors[kind_of(status, page)] += 1
                if status is None or status == 410:
                    return
                seen += [(each["metadata"]["key"], each["metadata"]["n"]) for each in page["results"]]
                cursor = page["pagination"]["next_cursor"]
        table.check_all(who, watch, seen)

    async def count_records(self, who: str, chance: random.Random) -> None:
        await self.count_records_at(who, *chance.choice(((self.stream, self.records), (self.immutable, self.log))))

    async def count_records_at(self, who: str, stream: str, table: Table, at: Replica | None = None) -> bool:
        body: Json = {
            "aggregates": {"n": {"count": {}}, "sum": {"sum": {"property": ["s", "c", "i32"]}}},
            "lastUpdatedTime": {"gt": int((time.time() - 3_600) * 1_000), "lt": int((time.time() + 3_600) * 1_000)},
        }
        with table.watched() as watch:
            status, answer = await self.call("POST", f"{self.of(stream)}/aggregate", body, at=at)
        if status is not None:
            told = answer["aggregates"]
            table.check_counts(who, watch, told["n"]["count"], told["sum"]["sum"] or 0)
        return status is not None

    # The end

    async def check(self) -> None:
        """Now that everything goes well: all that was acknowledged, once, at each service."""
        await self._wait_for_deletions()
        for replica in self.at:
            who = f"at the end, service {self.replicas.index(replica)}"
            for name in ("plain", "keyed"):
                table: Table = getattr(self, name)
                with table.watched() as watch:
                    found = await self.sure("GET", f"{self.objects(name)}/export", at=replica)
                    seen = [(each["metadata"]["key"], each["metadata"]["n"]) for each in found]
                    table.check_all(who, watch, seen)
                await self.count_at(who, name, at=replica)
                await self.list_at(who, name, at=replica)
                table.settle(dict(seen))
            for stream, table in ((self.stream, self.records), (self.immutable, self.log)):
                follower = Follower(self, stream, table, at=replica)
                for _ in range(30):
                    if await follower.whole(who):
                        break
                    await asyncio.sleep(0.5)
                await self.count_records_at(who, stream, table, at=replica)
                table.settle(follower.state)
            await self._check_filter(who, replica)
            await self._check_renames(who, replica)

    async def _wait_for_deletions(self) -> None:
        for task, keys in self.deletions:
            deadline = time.monotonic() + 90
            while task is not None:
                found = await self.sure("GET", f"/v1/tasks/{task}")
                if found["status"] == "COMPLETED":
                    self.plain.end(keys)
                    break
                if found["status"] == "FAILED" or time.monotonic() > deadline:
                    self.report.wrong.append(f"a deletion ended as {found}")
                    break
                await asyncio.sleep(0.5)
        self.deletions = [each for each in self.deletions if each[0] is None]

    async def _check_filter(self, who: str, replica: Replica) -> None:
        with self.records.watched() as watch:
            found = await self.sure("POST", f"{self.of(self.stream)}/filter", {"limit": 1000}, at=replica)
        seen = [(each["externalId"], each["properties"]["s"]["c"]["i32"]) for each in found["items"]]
        self.records.check_all(who, watch, seen)

    async def _check_renames(self, who: str, replica: Replica) -> None:
        """Each bucket has one of its two names, the same at all services, and nobody has the other."""
        for id, *names in self.renames:
            for _ in range(3):  # a rename that stopped half-way may be finished just now
                found = await self.sure("GET", f"/v1/buckets/{id}", at=replica, allowed=(404,))
                name = found.get("bucket_name")
                seen = [
                    (await self.sure("GET", f"/v1/buckets/{each}", at=replica, allowed=(404,))).get("bucket_id")
                    for each in names
                ]
                if name in names and seen == [id if each == name else None for each in names]:
                    break
                await asyncio.sleep(1)
            else:
                self.report.lost.append(f"{who}: the bucket {id} is {name!r}, and {names} are {seen}")

    async def probe(self, replica: Replica) -> bool:
        """Whether all that matters goes well at a service."""
        who = "probe"
        return (
            await self.create(who, next(self._numbers), sure=False, at=replica)
            and await self.count_at(who, "plain", replica)
            and await self.list_at(who, "keyed", replica)
            and await self.send_records("/upsert", {f"{who}-{id(replica)}": next(self._numbers)}, replica)
            and await self.count_records_at(who, self.stream, self.records, replica)
        )


class Follower:
    """Somebody who follows a stream, and knows what it holds."""

    def __init__(self, world: World, stream: str, table: Table, at: Replica | None = None) -> None:
        self.world = world
        self.path = f"{world.of(stream)}/sync"
        self.table = table
        self.at = at
        self.state: dict[str, State] = {}
        self.cursor: str | None = None
        self.behind: dict[str, float] = {}
        """What it does not know yet, and since when."""

    async def round(self, who: str, chance: random.Random) -> None:
        await self.whole(who)

    async def whole(self, who: str) -> bool:
        """All news, page by page. Whether it then knows all that was acknowledged before.

        A write is told once all earlier ones of its shard are done, so others that are slow may keep it waiting.
        """
        with self.table.watched() as watch:
            more = True
            while more:
                start = {"cursor": self.cursor} if self.cursor else {"initializeCursor": "1d-ago"}
                status, page = await self.world.call("POST", self.path, {"limit": 200, **start}, at=self.at)
                if status is None:
                    self.behind.clear()
                    return False
                for item in page["items"]:
                    gone = item["status"] == "deleted"
                    self.state[item["externalId"]] = None if gone else item["properties"]["s"]["c"]["i32"]
                self.cursor, more = page["nextCursor"], page["hasNext"]
        now, ever = time.monotonic(), self.table.ever
        unknown = [key for key in self.state.keys() | watch.allowed.keys() if self.state.get(key) not in watch.may(key)]
        self.behind = {key: self.behind.get(key, now) for key in unknown}
        for key, since in list(self.behind.items()):
            if self.state.get(key) not in ever.get(key, ABSENT) or now - since > _PATIENCE:
                self.table.check_one(who, watch, key, self.state.get(key))
                del self.behind[key]
        return not unknown
