"""Multi-step operations on named resources: create, rename, delete. Any replica can finish or undo each.

A resource is one entry of the catalogue; a claim is a document whose id is derived from a name, pointing to an entry.
**The entry alone is authoritative.** It has the name, the status and the intent of the operation in progress. A claim
counts only while its entry *holds* the name: the entry exists, is not being deleted, and has the name or intends to
take it. Every step is a write conditional on the version that was read (`Catalog`), so it happens at most once,
however often it is sent.

    create   1 entry with intent create: absent for readers   2 claim   3 what else it needs
             4 intent removed: visible
    rename   1 intent rename, to the new name   2 claim   3 name changed, intent finish
             4 old claim freed, aliases moved   5 intent removed
    delete   1 status DELETING, intent remove: absent for readers   2 claim freed
             3 data removed, by the caretaker   4 entry removed

Up to the step that removes or changes the intent (create 4, rename 3) any process can undo an operation: it changes the
entry, and the operation's next step fails on the version. After that step any process can only finish it.

Why no two entries have the same name and no entry loses its claim (full argument in docs/decisions.md): a claim is
taken over or removed only in this order: read the claim, read its entry, see that the entry does not hold the name,
and write or remove the claim *if it is still the version that was read*. A name's claim is written only after the entry
holds the name. So from that write until the entry releases the name no other process's write can succeed: it would have
to name that version of the claim, so it would have read the entry later and found it holding the name.

No clocks are compared. An operation counts as abandoned when the observer itself has seen its entry unchanged for a
while; if it was only slow, its next step fails, which does no harm.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from service import deadline
from service.errors import TallyError
from service.storage.catalog import Catalog, Entry, Version
from service.storage.gateway import Conflict
from service.storage.terms import terms
from service.values import Json

_SHORT_NAME: Final = 300
"""UTF-8 bytes of a name that fit into a document id, which OpenSearch limits to 512."""

_POLL: Final = 0.2
_POLLS: Final = 25
"""Polls of an operation that holds a requested name; if it has not moved after all of them, it is undone."""

_ROUNDS: Final = 100


class Taken(Conflict):
    """Another resource has the name."""


class Homeless(Conflict):
    """The home of the new resource is gone."""


@dataclass(frozen=True)
class Draft:
    """A resource to be created; `view`: the fields that lists filter and sort by."""

    id: str
    kind: str
    namespace_id: str
    name: str
    body: Mapping[str, Json]
    view: Mapping[str, Json]


async def _nothing(_: Entry) -> None:
    pass


class Operations:
    """The steps, for all kinds of resources. `follow`, by kind: what to update after a rename, besides the claim."""

    def __init__(
        self,
        catalog: Catalog,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        spawn: Callable[[Coroutine[Any, Any, None]], Any] = deadline.detached,
        follow: Mapping[str, Callable[[Entry], Awaitable[None]]] | None = None,
    ) -> None:
        self._catalog = catalog
        self._pause = pause
        self._spawn = spawn
        self._follow = follow or {}

    # Create

    async def create(
        self, draft: Draft, home: str | None = None, prepare: Callable[[Entry], Awaitable[None]] = _nothing
    ) -> Entry:
        """Creates a resource with a unique name.

        `home`: the entry that it belongs to. `prepare`: creates what the resource needs before it is visible. Raises
        `Taken`, `Homeless`, or `Conflict` if it took so long that another process undid it; `Invalid`, with nothing
        written, for a view that cannot be indexed.
        """
        terms(draft.view)
        entry = await self._catalog.create(
            draft.id, draft.kind, draft.namespace_id, draft.name, draft.body, None, _intent("create", draft.name)
        )
        async with self._undone_unless_done(entry):
            await self._claim(entry, draft.name)
            await prepare(entry)
            if home is not None:
                (above,) = await self._catalog.get(home)
                if above is None or not above.live:
                    raise Homeless
            return await self._catalog.replace(entry, draft.body, view=draft.view)

    # Change and rename

    async def change(self, entry: Entry, body: Mapping[str, Json], name: str, view: Mapping[str, Json]) -> Entry:
        """Replaces the body, and the name if it differs.

        Raises `Taken`, or `Conflict` if the entry was changed concurrently; `Invalid` as `create` does.
        """
        if _does(entry, "finish"):
            entry = await self.finish(entry)
        if name == entry.name:
            return await self._catalog.replace(entry, body, view=view)
        terms(view)
        former = entry.name
        entry = await self._catalog.mark(entry, _intent("rename", name))
        async with self._undone_unless_done(entry):
            await self._claim(entry, name)
            entry = await self._catalog.replace(entry, body, name, view, _intent("finish", former))
        # The name has changed; if the remaining steps fail now, another process will do them.
        with suppress(TallyError, Conflict):
            return await self.finish(entry)
        return entry

    async def finish(self, entry: Entry) -> Entry:
        """The last steps of a rename; raises `Conflict` if the entry was changed concurrently."""
        assert entry.intent is not None  # noqa: S101
        await self.release(entry, entry.intent["name"])
        await self._followed(entry)
        return await self._catalog.mark(entry, None)

    async def _followed(self, entry: Entry) -> None:
        """Runs the kind's `follow`, again if the name was changed once more meanwhile."""
        follow = self._follow.get(entry.kind)
        while follow is not None:
            await follow(entry)
            (newer,) = await self._catalog.get(entry.id)
            if newer is None or not newer.live or newer.name == entry.name:
                return
            entry = newer

    # Delete

    async def retire(self, entry: Entry, view: Callable[[Mapping[str, Json]], Mapping[str, Json]]) -> Entry:
        """Hides a resource from all readers and frees its name; raises `Conflict` if it was changed concurrently."""
        body = {**entry.body, "status": "DELETING"}
        retired = await self._catalog.replace(entry, body, view=view(body), intent=_intent("remove", entry.name))
        with suppress(TallyError):  # already deleted; otherwise the caretaker frees the name
            await self.let_go(retired)
            if entry.intent is not None:
                await self.release(retired, entry.intent["name"])
        return retired

    async def let_go(self, entry: Entry) -> None:
        """Frees the name of a resource being deleted."""
        await self.release(entry, entry.name)

    # For any process that finds a stopped operation

    async def go_on(self, entry: Entry, *, stopped: bool) -> bool:
        """Finishes a rename that needs only cleaning up; undoes an earlier stage if it has `stopped`.

        Returns whether anything was done; raises `Conflict` if another process was faster.
        """
        if _does(entry, "finish"):
            await self.finish(entry)
            return True
        if stopped and entry.intent is not None:
            await self.undo(entry)
            return True
        return False

    async def undo(self, entry: Entry) -> None:
        """Undoes an unfinished create or rename; raises `Conflict` if it progressed meanwhile."""
        assert entry.intent is not None  # noqa: S101
        wanted = entry.intent["name"]
        if _does(entry, "create"):
            entry = await self._catalog.mark(entry, _intent("remove", wanted), status="DELETING", undone=True)
        else:
            entry = await self._catalog.mark(entry, None)
        await self.release(entry, wanted)

    async def release(self, entry: Entry, name: str) -> None:
        """Removes the claim of a name if it points to the entry and the entry does not hold the name."""
        (claim,) = await self._catalog.get(_claim(entry, name))
        if claim is None or claim.body["owner"] != entry.id:
            return
        (owner,) = await self._catalog.get(entry.id)
        if not _holds(owner, name):
            with suppress(Conflict):  # another process has taken it over
                await self._catalog.remove(claim)

    # Claims

    async def _claim(self, entry: Entry, name: str) -> None:
        """Points the claim of a name to an entry that already holds the name; raises `Taken`."""
        id, body = _claim(entry, name), {"owner": entry.id}
        watched: tuple[str, Version] | None = None
        seen = 0
        for _ in range(_ROUNDS):
            try:
                await self._catalog.create(id, "name", entry.namespace_id, name, body)
                return
            except Conflict:
                (claim,) = await self._catalog.get(id)
            if claim is None:
                continue
            owner = None
            if claim.body["owner"] != entry.id:
                (owner,) = await self._catalog.get(str(claim.body["owner"]))
            if owner is None or not _holds(owner, name):
                with suppress(Conflict):
                    # Even if it is already ours: a process about to remove that version must not remove this one.
                    await self._catalog.replace(replace(claim, namespace_id=entry.namespace_id), body)
                    return
                continue
            if owner.live and owner.name == name:
                raise Taken
            # Another operation is taking it. It gets time to finish; if it has stopped, it is undone.
            seen = seen + 1 if watched == (owner.id, owner.version) else 0
            watched = (owner.id, owner.version)
            if seen < _POLLS:
                await self._pause(_POLL)
                continue
            with suppress(Conflict):
                await self.undo(owner)
        raise Conflict

    @asynccontextmanager
    async def _undone_unless_done(self, entry: Entry) -> AsyncIterator[None]:
        """Undoes what was started with this version of an entry if it fails; if cancelled, it is undone later."""
        try:
            yield
        except Conflict:
            await self._abandon(entry)
            raise
        except BaseException:
            self._spawn(self._abandon(entry))
            raise

    async def _abandon(self, entry: Entry) -> None:
        """Undoes what this process began and cannot finish; whatever is left, another process does later."""
        assert entry.intent is not None  # noqa: S101
        with suppress(TallyError):
            try:
                await self.undo(entry)
            except Conflict:  # already undone, or finished
                await self.release(entry, entry.intent["name"])


def _intent(do: str, name: str) -> dict[str, str]:
    return {"do": do, "name": name}


def _does(entry: Entry, what: str) -> bool:
    return entry.intent is not None and entry.intent["do"] == what


def _holds(entry: Entry | None, name: str) -> bool:
    """Whether the entry has a name or is about to."""
    if entry is None or entry.body.get("status") == "DELETING":
        return False
    return entry.name == name or (_does(entry, "rename") and entry.intent is not None and entry.intent["name"] == name)


def _claim(entry: Entry, name: str) -> str:
    return claim_key(entry.kind, entry.namespace_id, name)


def claim_key(kind: str, namespace_id: str, name: str) -> str:
    """The id of the claim that makes a name unique in its namespace, or a namespace's name in the service."""
    written = name.encode()
    if len(written) > _SHORT_NAME:
        name = f"sha256:{hashlib.sha256(written).hexdigest()}"
    return f"{kind}-name:{name}" if kind == "namespace" else f"{kind}-name:{namespace_id}:{name}"
