"""Operations of several steps on resources with names: create, rename, delete. Any replica can finish or undo each.

A resource is one entry of the catalogue; a claim is a document whose id is made of a name and that points to an entry.
**The entry alone says what is true.** It carries its name, its status and the intent of whoever is working on it; a
claim counts only while its entry *holds* the name: the entry is there, is not being deleted, and has the name or
intends to take it. Every step is a write with a condition on the version that was read (`Catalog`), so that each step
happens once or not at all, however often it is sent.

    create   1 entry with intent create: absent for readers   2 claim   3 what else it needs
             4 intent removed: it is there
    rename   1 intent rename, to the new name   2 claim   3 name changed, intent finish
             4 old claim freed, aliases moved   5 intent removed
    delete   1 status DELETING, intent remove: absent for readers   2 claim freed
             3 data removed, by the caretaker   4 entry removed

Up to the step that removes or changes the intent (create 4, rename 3) an operation can be undone by anybody: the entry
is changed, and the operation's own step fails for its version. From there on it can only be finished, by anybody.

Why no two entries have one name, and no entry loses its claim (docs/decisions.md has the whole argument): a claim is
taken over or removed only in this order: the claim is read, then its entry, the entry does not hold the name, and the
claim is written or removed *if it is still the version that was read*. Whoever takes a name writes the claim after its
entry holds the name. So between that write and the moment the entry lets go of the name nobody else's write succeeds:
it would have to name that very version of the claim, thus have read the entry later, and found it holding the name.

No clock is compared. An operation is taken for abandoned when the observer itself has seen its entry unchanged for a
while; if it is not abandoned but slow, it fails at its next step, and nothing is wrong.
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
"""UTF-8 bytes of a name that fit into a document's id, of which OpenSearch takes 512."""

_POLL: Final = 0.2
_POLLS: Final = 25
"""Looks at an operation that has a name which is wanted; one that has not moved after all of them is undone."""

_ROUNDS: Final = 100


class Taken(Conflict):
    """The name is another resource's."""


class Homeless(Conflict):
    """What the resource was to be made in is gone."""


@dataclass(frozen=True)
class Draft:
    """A resource to be made; `view`: the fields that lists filter and sort by."""

    id: str
    kind: str
    namespace_id: str
    name: str
    body: Mapping[str, Json]
    view: Mapping[str, Json]


async def _nothing(_: Entry) -> None:
    pass


class Operations:
    """The steps, for all kinds of resources. `follow`, by kind: what has to follow a new name, besides the claim."""

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
        """Makes a resource with a name of its own.

        `home`: the entry that it belongs to. `prepare`: makes what the resource needs before it is there. Raises
        `Taken`, `Homeless`, or `Conflict` if it took so long that somebody undid it; `Invalid`, with nothing written,
        for a view that cannot be indexed.
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
        """Replaces the body, and the name if it is another one.

        Raises `Taken`, or `Conflict` if somebody else changed the entry meanwhile; `Invalid` as `create` does.
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
        # The name has changed; what is left will be done by somebody else if it cannot be done now.
        with suppress(TallyError, Conflict):
            return await self.finish(entry)
        return entry

    async def finish(self, entry: Entry) -> Entry:
        """The last steps of a rename; raises `Conflict` if somebody else changed the entry meanwhile."""
        assert entry.intent is not None  # noqa: S101
        await self.release(entry, entry.intent["name"])
        await self._followed(entry)
        return await self._catalog.mark(entry, None)

    async def _followed(self, entry: Entry) -> None:
        """What has to follow a name does, also if the name was changed again before it did."""
        follow = self._follow.get(entry.kind)
        while follow is not None:
            await follow(entry)
            (newer,) = await self._catalog.get(entry.id)
            if newer is None or not newer.live or newer.name == entry.name:
                return
            entry = newer

    # Delete

    async def retire(self, entry: Entry, view: Callable[[Mapping[str, Json]], Mapping[str, Json]]) -> Entry:
        """Makes a resource absent for everybody, and its name free; raises `Conflict` if it was changed meanwhile."""
        body = {**entry.body, "status": "DELETING"}
        retired = await self._catalog.replace(entry, body, view=view(body), intent=_intent("remove", entry.name))
        with suppress(TallyError):  # it is deleted; the caretaker frees the name otherwise
            await self.let_go(retired)
            if entry.intent is not None:
                await self.release(retired, entry.intent["name"])
        return retired

    async def let_go(self, entry: Entry) -> None:
        """Frees the name of what is being deleted."""
        await self.release(entry, entry.name)

    # By whoever meets an operation that has stopped

    async def go_on(self, entry: Entry, *, stopped: bool) -> bool:
        """Finishes a rename that only wants tidying up; undoes what is not so far, if it has `stopped`.

        Whether anything was done; raises `Conflict` if somebody else was faster.
        """
        if _does(entry, "finish"):
            await self.finish(entry)
            return True
        if stopped and entry.intent is not None:
            await self.undo(entry)
            return True
        return False

    async def undo(self, entry: Entry) -> None:
        """Undoes a create or rename that has not come to its end; raises `Conflict` if it moved meanwhile."""
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
            with suppress(Conflict):  # somebody has taken it over
                await self._catalog.remove(claim)

    # Claims

    async def _claim(self, entry: Entry, name: str) -> None:
        """Makes the claim of a name point to an entry that holds it already; raises `Taken`."""
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
                    # Also if it is ours from earlier: whoever is about to remove that one must not remove this one.
                    await self._catalog.replace(replace(claim, namespace_id=entry.namespace_id), body)
                    return
                continue
            if owner.live and owner.name == name:
                raise Taken
            # Somebody is about to take it. Whoever that is gets time; whoever has stopped is undone.
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
        """Undoes what was started with this version of an entry if it fails; what is cut short is undone later."""
        try:
            yield
        except Conflict:
            await self._abandon(entry)
            raise
        except BaseException:
            self._spawn(self._abandon(entry))
            raise

    async def _abandon(self, entry: Entry) -> None:
        """What this process began and cannot bring to its end; what is not done here, another one does later."""
        assert entry.intent is not None  # noqa: S101
        with suppress(TallyError):
            try:
                await self.undo(entry)
            except Conflict:  # somebody has undone it already, or it had come to its end
                await self.release(entry, entry.intent["name"])


def _intent(do: str, name: str) -> dict[str, str]:
    return {"do": do, "name": name}


def _does(entry: Entry, what: str) -> bool:
    return entry.intent is not None and entry.intent["do"] == what


def _holds(entry: Entry | None, name: str) -> bool:
    """Whether a name is the entry's, or about to be."""
    if entry is None or entry.body.get("status") == "DELETING":
        return False
    return entry.name == name or (_does(entry, "rename") and entry.intent is not None and entry.intent["name"] == name)


def _claim(entry: Entry, name: str) -> str:
    return claim_key(entry.kind, entry.namespace_id, name)


def claim_key(kind: str, namespace_id: str, name: str) -> str:
    """The id of the document that makes a name one of a kind in its namespace, and of namespaces in the service."""
    written = name.encode()
    if len(written) > _SHORT_NAME:
        name = f"sha256:{hashlib.sha256(written).hexdigest()}"
    return f"{kind}-name:{name}" if kind == "namespace" else f"{kind}-name:{namespace_id}:{name}"
