"""What services do in the model, and what must be true of the catalogue after every step and at the end."""

import types
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from unittest.mock import patch

from service.catalog.streams import StreamService
from service.errors import TallyError
from service.scope import Scope
from service.settings import TEMPLATES
from service.storage import catalog as catalogs
from service.storage import operations
from service.storage.catalog import Catalog, Entry
from service.storage.gateway import Conflict
from service.storage.records import StreamLocation
from service.values import Json
from tests.model.world import AtRandom, Chooser, InTurn, MemoryDocuments, Process, World, step

HOME: Final = "namespace:ns_0"
SCOPE: Final = Scope("ns_0", "home")

Act = tuple[str, ...]
"""What a service is asked: create, rename, change, delete (of a name), stream, drop (a stream), care."""


def _no_terms(_: Mapping[str, Json]) -> tuple[list[str], list[str]]:
    return [], []


@contextmanager
def light() -> Iterator[None]:
    """Without what lists filter by, which costs the most time, and with little patience for others."""
    with patch.object(catalogs, "terms", _no_terms), patch.object(operations, "_POLLS", 1):
        yield


@dataclass
class Told:
    """What clients were told, and what they asked for."""

    created: dict[str, str] = field(default_factory=dict)
    """Acknowledged: entry → its name."""
    renames: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """Entry → (new name, how it ended) of every rename that was asked for."""
    changes: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    """Acknowledged."""
    deleting: set[str] = field(default_factory=set)
    """Asked for."""
    dropped: set[str] = field(default_factory=set)
    """Streams' data that is removed, by its prefix."""
    streams: dict[str, str] = field(default_factory=dict)
    """Acknowledged: where a stream's records lie → its name."""
    dropping: set[str] = field(default_factory=set)
    """The same of streams that were asked to be deleted."""
    aliases: dict[str, str] = field(default_factory=dict)
    """Namespace → the name that its readable alias has."""
    errors: list[str] = field(default_factory=list)


class ModelCatalog(Catalog):
    """Finds entries without OpenSearch's search."""

    def __init__(self, world: World, process: Process) -> None:
        super().__init__(None, _refreshed, MemoryDocuments(world, process))  # type: ignore[arg-type]
        self._world = world

    async def find(self, query: Json, size: int = 1_000, by: Any = None) -> list[Entry]:
        await step(False)
        (kind,) = (each["term"]["kind"] for each in query["bool"]["filter"] if "kind" in each.get("term", {}))
        return [entry for entry in self.everything() if entry.kind == kind]

    def everything(self) -> list[Entry]:
        return [
            Entry.of({"_id": id, "_source": source, "_seq_no": number, "_primary_term": 1})
            for id, (source, number) in self._world.documents.items()
        ]


async def _refreshed(_: str) -> None:
    pass


class Service:
    """One process of the service."""

    def __init__(self, world: World, told: Told, name: str) -> None:
        self.world, self.told = world, told
        self.process = Process(name)
        self.catalog = ModelCatalog(world, self.process)
        self.operations = operations.Operations(
            self.catalog,
            pause=_pause,
            spawn=self._spawn,
            follow={"namespace": self._rename_alias, "bucket": self._rename_alias},
        )
        self._records = _Records(told)
        self.streams = ModelStreams(_Homes(), self.catalog, self._records, None, TEMPLATES)  # type: ignore[arg-type]
        self.streams.told = told

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.world.start(self.process, work)

    async def do(self, act: Act) -> str:
        """How it ended for the client."""
        try:
            await getattr(self, act[0])(*act[1:])
        except (TallyError, Conflict) as error:
            ended = type(error).__name__
        else:
            ended = "ok"
        self.world.story.append(f"{self.process.name}: {' '.join(act)} ended: {ended}")
        return ended

    async def create(self, kind: str, name: str) -> None:
        id = f"{kind}:{kind}{self.world.number}{self.process.name}"
        body = {"status": "ACTIVE", "created_at": 0, "v": "0"}
        draft = operations.Draft(id, kind, "ns_0", name, body, {})
        await self.operations.create(draft, HOME if kind != "namespace" else None)
        self.told.created[id] = self.told.aliases[id] = name

    async def _rename_alias(self, entry: Entry) -> None:
        await step(False)
        self.told.aliases[entry.id] = entry.name

    async def rename(self, kind: str, name: str, new: str) -> None:
        entry = await self._found(kind, name)
        record = self.told.renames.setdefault(entry.id, [])
        place = len(record)
        record.append((new, "?"))
        try:
            await self.operations.change(entry, entry.body, new, {})
        except Conflict:
            record[place] = (new, "refused")
            raise
        record[place] = (new, "done")

    async def change(self, kind: str, name: str, value: str) -> None:
        entry = await self._found(kind, name)
        record = self.told.changes.setdefault(entry.id, [])
        place = len(record)
        record.append((value, "?"))
        await self.operations.change(entry, {**entry.body, "v": value}, entry.name, {})
        record[place] = (value, "done")

    async def delete(self, kind: str, name: str) -> None:
        for _ in range(10):
            entry = await self._found(kind, name)
            self.told.deleting.add(entry.id)
            try:
                await self.operations.retire(entry, lambda body: {})
            except Conflict:
                continue
            self.told.deleted.add(entry.id)
            return

    async def stream(self, name: str) -> None:
        request: Any = types.SimpleNamespace(items=[_stream(name)])
        await self.streams.create("home", request)
        self.told.streams[self._records.made] = name

    async def drop(self, name: str) -> None:
        await self.streams.delete("home", types.SimpleNamespace(items=[_stream(name)]))  # type: ignore[arg-type]

    async def care(self, stopped: bool = True) -> None:
        """As the caretaker does, but without patience: `stopped` operations are undone as soon as they are seen."""
        for seen in self.catalog.everything():
            (entry,) = await self.catalog.get(seen.id)
            try:
                if entry is None:
                    continue
                if entry.kind == "stream":
                    if entry.body.get("status") == "DELETING":
                        await self.streams.finish(entry)
                elif entry.body.get("status") == "DELETING":
                    await self.operations.let_go(entry)
                    await self.catalog.delete(entry.id)
                else:
                    await self.operations.go_on(entry, stopped=stopped)
            except Conflict:
                continue
        for _, work in await self.streams.overdue():
            await work()

    async def _found(self, kind: str, name: str) -> Entry:
        """By name, as every resource is found."""
        owner = await self.catalog.owner(operations.claim_key(kind, "ns_0", name))
        (entry,) = await self.catalog.get(owner) if owner else (None,)
        if entry is None or not entry.live or entry.name != name:
            raise Conflict
        return entry


async def _pause(_: float) -> None:
    await step(False)


def _stream(name: str) -> Any:
    template = types.SimpleNamespace(name=next(name for name, each in TEMPLATES.items() if each.type == "Mutable"))
    return types.SimpleNamespace(external_id=name, settings=types.SimpleNamespace(template=template))


class _Homes:
    async def find(self, _: str) -> tuple[Scope, None]:
        return SCOPE, None


class ModelStreams(StreamService):
    """Notes which streams are asked to be deleted."""

    told: Told

    async def _retire(self, entry: Entry) -> Entry:
        self.told.dropping.add(_prefix(entry))
        return await super()._retire(entry)


def _prefix(stream: Entry) -> str:
    return f"tally-records-ns_0.{stream.name}.{stream.body['making']}"


class _Records:
    """Streams' indices; what is made last, and what is dropped, is noted."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self.made = ""

    async def ensure(self, place: StreamLocation, *_: object) -> None:
        await step(False)
        self.made = place.prefix

    async def drop(self, prefix: str) -> None:
        await step(False)
        self._told.dropped.add(prefix)

    async def indices(self, _: str) -> list[str]:
        return []

    async def with_tombstones(self, _: int) -> set[str]:
        return set()


@dataclass
class Run:
    """One interleaving: services, each with what it is asked one after the other."""

    plans: Sequence[Sequence[Act]]
    chooser: Chooser
    faults: int
    before: Sequence[Act] = ()
    switches: int | None = None

    def __post_init__(self) -> None:
        self.told = Told()
        self.world = World(self.chooser, 0)
        self._read: dict[str, Entry] = {}
        self._checked = -1
        self.lost_only = False
        """Of all faults only those that the service has to hide: answers that are lost."""

    def go(self) -> None:
        """Raises `AssertionError` with the story of what went wrong."""
        try:
            self._go()
        except AssertionError as error:
            raise AssertionError(f"{error}\n" + "\n".join(self.world.story)) from error
        finally:
            self.world.end()

    def _go(self) -> None:
        world = self.world
        home = {"kind": "namespace", "namespace_id": "ns_0", "name": "home", "body": {"status": "ACTIVE"}}
        world.documents[HOME] = (home, 0)
        world.documents["namespace-name:home"] = (
            {"kind": "name", "namespace_id": "ns_0", "name": "home", "body": {"owner": HOME}}, 0,
        )  # fmt: skip
        first = self._service("before")
        self._play(world, first, self.before)
        world.run()
        world.check = self._always
        world.faults, world.switches = self.faults, self.switches
        world.hidden = self.lost_only
        for number, plan in enumerate(self.plans):
            self._play(world, self._service(f"service {number}"), plan)
        world.run()
        # Now everything is well, and a caretaker comes: nothing stays half done.
        world.faults, world.switches = 0, None
        last = self._service("last")
        for _ in range(3):
            world.start(last.process, last.do(("care",)))
            world.run()
        self._at_the_end(last)

    def _service(self, name: str) -> Service:
        return Service(self.world, self.told, name)

    def _play(self, world: World, service: Service, plan: Sequence[Act]) -> None:
        async def play() -> None:
            for act in plan:
                ended = await service.do(act)
                if ended != "ok":
                    self.told.errors.append(f"{' '.join(act)}: {ended}")

        world.start(service.process, play())

    # What must be true

    def _entries(self) -> list[Entry]:
        for id, (source, number) in self.world.documents.items():
            if id not in self._read or self._read[id].seq_no != number:
                self._read[id] = Entry.of({"_id": id, "_source": source, "_seq_no": number, "_primary_term": 1})
        return [self._read[id] for id in self.world.documents]

    def _always(self) -> None:
        """After every step that changed anything."""
        if self.world.changes == self._checked:
            return
        self._checked = self.world.changes
        entries = self._entries()
        names: set[tuple[str, str]] = set()
        for entry in entries:
            if entry.kind not in ("namespace", "bucket") or not entry.live:
                continue
            claim = self.world.documents.get(operations.claim_key(entry.kind, entry.namespace_id, entry.name))
            assert claim is not None, f"{entry.id} has lost its name {entry.name}"
            owner = claim[0]["body"]["owner"]
            assert owner == entry.id, f"{entry.id} cannot be reached by its name {entry.name}, which leads to {owner}"
            assert entry.id not in self.told.deleted, f"{entry.id} was deleted and is back"
            assert (entry.kind, entry.name) not in names, f"two of one name: {entry.name}"
            names.add((entry.kind, entry.name))
        gone = {entry.body["prefix"] for entry in entries if entry.kind == "stream-gone"}
        for entry in entries:
            if entry.kind == "stream" and entry.live:
                prefix = _prefix(entry)
                assert prefix not in gone, f"the stream {entry.name} takes records and is about to be dropped"
                assert prefix not in self.told.dropped, f"the stream {entry.name} takes records and was dropped"

    def _at_the_end(self, service: Service) -> None:
        entries = {entry.id: entry for entry in self._entries()}
        for entry in entries.values():
            assert entry.intent is None, f"{entry.id} is half done for ever: {entry.intent}"
            buried = entry.kind == "stream" and entry.body.get("status") == "DELETED"
            assert entry.live or buried, f"{entry.id} is never removed"
        for id, name in self.told.created.items():
            if id in self.told.deleting:
                continue
            assert id in entries, f"{id} ({name}) was acknowledged and is lost"
            self._is_named(entries[id], name)
            self._has_value(entries[id])
            if not self.faults:  # OpenSearch's aliases know no versions: what is late, or dies, can leave an older one
                alias = self.told.aliases[id]
                assert alias == entries[id].name, f"the alias of {id} is still {alias}"
        streams = {_prefix(entry): entry for entry in entries.values() if entry.kind == "stream" and entry.live}
        for prefix, name in self.told.streams.items():
            assert prefix in streams or prefix in self.told.dropping, f"the stream {name} was acknowledged and is lost"
        held = {(entry.kind, entry.name) for entry in entries.values() if entry.kind in ("bucket", "namespace")}
        for name in ("a", "b", "c"):
            ended: list[str] = []

            async def made(name: str = name, ended: list[str] = ended) -> None:
                ended.append(await service.do(("create", "bucket", name)))

            self.world.start(service.process, made())
            self.world.run()
            wanted = "Taken" if ("bucket", name) in held else "ok"
            assert ended == [wanted], f"the name {name} is {'free' if wanted == 'ok' else 'taken'}, yet: {ended}"

    def _is_named(self, entry: Entry, first: str) -> None:
        asked = self.told.renames.get(entry.id, [])
        possible = {first, *(name for name, ended in asked if ended != "refused")}
        if len(asked) == 1 and asked[0][1] == "done":
            possible = {asked[0][0]}
        assert entry.name in possible, f"{entry.id} is named {entry.name}, not {possible}"

    def _has_value(self, entry: Entry) -> None:
        asked = self.told.changes.get(entry.id, [])
        if len(asked) == 1 and asked[0][1] == "done":
            assert entry.body["v"] == asked[0][0], f"an acknowledged change of {entry.id} is lost"


BUCKET: Final = ("create", "bucket", "a")
Plan = tuple[Sequence[Act], Sequence[Sequence[Act]]]
"""What there is before, and what each service is then asked one after the other."""

PLANS: Final[Sequence[Plan]] = (
    # create against create, with a caretaker that has no patience
    ((), ([BUCKET], [BUCKET])),
    ((), ([BUCKET], [BUCKET], [("care",)])),
    ((), ([BUCKET], [BUCKET], [BUCKET])),
    # the same rename twice, crossed renames, a ring
    ([BUCKET], ([("rename", "bucket", "a", "b")], [("rename", "bucket", "a", "b")])),
    ([BUCKET], ([("rename", "bucket", "a", "b")], [("rename", "bucket", "a", "c")], [("care",)])),
    ([BUCKET], ([("rename", "bucket", "a", "b"), ("rename", "bucket", "b", "a")], [("care",)])),
    ([BUCKET], ([("rename", "bucket", "a", "b"), ("rename", "bucket", "b", "a")], [("create", "bucket", "a")])),
    (
        [BUCKET, ("create", "bucket", "b")],
        ([("rename", "bucket", "a", "c")], [("rename", "bucket", "b", "a")], [("rename", "bucket", "a", "b")]),
    ),
    # rename against create of the old and the new name, against delete, against a change
    ([BUCKET], ([("rename", "bucket", "a", "b")], [("create", "bucket", "b")])),
    ([BUCKET], ([("rename", "bucket", "a", "b")], [("create", "bucket", "a")], [("care",)])),
    ([BUCKET], ([("rename", "bucket", "a", "b")], [("delete", "bucket", "a")])),
    ([BUCKET], ([("rename", "bucket", "a", "b")], [("change", "bucket", "a", "1")])),
    ([BUCKET], ([("change", "bucket", "a", "1")], [("rename", "bucket", "a", "b")], [("care",)])),
    # delete against delete, create of the name, and itself again
    ([BUCKET], ([("delete", "bucket", "a")], [("delete", "bucket", "a")])),
    ([BUCKET], ([("delete", "bucket", "a"), BUCKET], [BUCKET], [("care",)])),
    ([BUCKET], ([("delete", "bucket", "a"), BUCKET, ("delete", "bucket", "a")], [("care",), ("care",)])),
    # namespaces, whose names are all in one room
    (
        [("create", "namespace", "a")],
        ([("rename", "namespace", "a", "b")], [("create", "namespace", "a")], [("care",)]),
    ),
    # streams
    ([("stream", "a")], ([("drop", "a")], [("care",)])),
    ([("stream", "a")], ([("drop", "a"), ("stream", "a")], [("care",)])),
    ([("stream", "a")], ([("drop", "a")], [("stream", "a")], [("care",), ("care",)])),
    ([("stream", "a")], ([("drop", "a"), ("stream", "a"), ("drop", "a")], [("stream", "a")], [("care",)])),
)

ALONE: Final[Sequence[tuple[Sequence[Act], Act]]] = (
    ((), BUCKET),
    ((), ("create", "namespace", "a")),
    ((), ("stream", "a")),
    ([BUCKET], ("rename", "bucket", "a", "b")),
    ([BUCKET], ("change", "bucket", "a", "1")),
    ([BUCKET], ("delete", "bucket", "a")),
    ([("stream", "a")], ("drop", "a")),
)
"""What must succeed whatever answers are lost."""


def explore(
    runs: int,
    plans: Sequence[Plan] = PLANS,
    seed: int = 0,
) -> int:
    """So many interleavings, chosen at random, over all plans in turn."""
    with light():
        for number in range(runs):
            before, work = plans[number % len(plans)]
            Run(work, AtRandom(seed + number), faults=number % 4, before=before).go()
    return runs


def exhaust(plan: Plan, faults: int, switches: int, most: int) -> int:
    """All interleavings of a plan with so many faults and needless changes of turn; at most so many."""
    before, work = plan
    chooser = InTurn()
    with light():
        for number in range(1, most + 1):
            Run(work, chooser, faults, before, switches).go()
            if not chooser.advance():
                return number
    return most


def alone(most: int) -> int:
    """What must succeed, with each of its answers lost in turn."""
    runs = 0
    with light():
        for before, act in ALONE:
            chooser = InTurn()
            while runs < most:
                run = Run([[act]], chooser, faults=2, before=before)
                run.lost_only = True
                run.go()
                assert not run.told.errors, f"{run.told.errors}\n" + "\n".join(run.world.story)
                runs += 1
                if not chooser.advance():
                    break
    return runs
