"""Each safeguard of the operations, removed: the model has to find what goes wrong without it."""

import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import isclass, isfunction
from pathlib import Path
from typing import Any, Final

from service.catalog import streams
from service.storage import catalog, operations
from tests.model.scenarios import BUCKET, Plan


@dataclass(frozen=True)
class Mutation:
    """A safeguard, and the plan that needs it; None where one operation alone needs it."""

    name: str
    module: types.ModuleType
    old: str
    new: str
    plan: Plan | None
    rare: bool = False
    """It takes many interleavings to find."""


RENAME: Final = ("rename", "bucket", "a", "b")
BACK: Final = ("rename", "bucket", "b", "a")
TWICE: Final[Plan] = ([BUCKET], ([RENAME], [RENAME]))
CREATES: Final[Plan] = ((), ([BUCKET], [BUCKET], [("care",)]))
ALONE: Final[Plan] = ((), ([BUCKET], [("care",), ("care",)]))
DELETES: Final[Plan] = ([BUCKET], ([("delete", "bucket", "a"), BUCKET], [BUCKET], [("care",)]))
STREAMS: Final[Plan] = ([("stream", "a")], ([("drop", "a"), ("stream", "a")], [("stream", "a")], [("care",)]))

MUTATIONS: Final[Sequence[Mutation]] = (
    Mutation(
        "a claim of an entry that is about to take the name counts for nothing",
        operations,
        'return entry.name == name or (_does(entry, "rename")',
        'return entry.name == name or (_does(entry, "never")',
        ([BUCKET], ([RENAME], [("create", "bucket", "b")])),
        rare=True,
    ),
    Mutation(
        "a claim of an entry that is being deleted counts",
        operations,
        'if entry is None or entry.body.get("status") == "DELETING":',
        "if entry is None:",
        DELETES,
    ),
    Mutation(
        "a claim of one's own is not written again",
        operations,
        "            owner = None\n",
        '            if claim.body["owner"] == entry.id:\n                return\n            owner = None\n',
        ([BUCKET], ([RENAME, BACK, RENAME], [("care",)])),
    ),
    Mutation(
        "a claim is removed without a look at its entry",
        operations,
        "        if not _holds(owner, name):\n            with suppress",
        "        if True:\n            with suppress",
        TWICE,
    ),
    Mutation(
        "whichever claim is there is removed, not the one that was read",
        operations,
        "await self._catalog.remove(claim)",
        "await self._catalog.delete(claim.id)",
        ([BUCKET], ([RENAME], [("create", "bucket", "a")], [("care",)])),
    ),
    Mutation(
        "a claim is removed and made anew instead of being taken over",
        operations,
        "await self._catalog.replace(replace(claim, namespace_id=entry.namespace_id), body)\n" + 20 * " " + "return",
        "await self._catalog.delete(id)",
        DELETES,
    ),
    Mutation(
        "a new entry is there before it has its name",
        operations,
        'draft.id, draft.kind, draft.namespace_id, draft.name, draft.body, None, _intent("create", draft.name)',
        "draft.id, draft.kind, draft.namespace_id, draft.name, draft.body, None, None",
        CREATES,
    ),
    Mutation(
        "a create comes to its end though it was undone",
        operations,
        "            return await self._catalog.replace(entry, draft.body, view=draft.view)",
        "            (entry,) = await self._catalog.get(entry.id)\n"
        "            return await self._catalog.replace(entry, draft.body, view=draft.view)",
        CREATES,
    ),
    Mutation(
        "a rename comes to its end though it was undone",
        operations,
        '            entry = await self._catalog.replace(entry, body, name, view, _intent("finish", former))',
        "            (entry,) = await self._catalog.get(entry.id)\n"
        '            entry = await self._catalog.replace(entry, body, name, view, _intent("finish", former))',
        ([BUCKET], ([RENAME], [("create", "bucket", "b")], [("care",)])),
        rare=True,
    ),
    Mutation(
        "whatever the entry is by now is undone",
        operations,
        '        wanted = entry.intent["name"]\n        if _does(entry, "create"):\n',
        '        wanted, create = entry.intent["name"], _does(entry, "create")\n'
        "        (entry,) = await self._catalog.get(entry.id)\n        if create:\n",
        CREATES,
    ),
    Mutation(
        "a name is taken without a claim",
        operations,
        '        entry = await self._catalog.mark(entry, _intent("rename", name))\n'
        "        async with self._undone_unless_done(entry):\n            await self._claim(entry, name)\n",
        '        entry = await self._catalog.mark(entry, _intent("rename", name))\n'
        "        async with self._undone_unless_done(entry):\n",
        TWICE,
    ),
    Mutation(
        "a claim is written before its entry intends to take the name",
        operations,
        '        entry = await self._catalog.mark(entry, _intent("rename", name))\n'
        "        async with self._undone_unless_done(entry):\n",
        "        await self._claim(entry, name)\n"
        '        entry = await self._catalog.mark(entry, _intent("rename", name))\n'
        "        async with self._undone_unless_done(entry):\n"
        "            return await self._catalog.replace(entry, body, name, view)\n",
        ([BUCKET], ([RENAME], [("create", "bucket", "b")], [("care",)])),
    ),
    Mutation(
        "the old name is freed before the new one counts",
        operations,
        "            await self._claim(entry, name)\n            entry =",
        "            await self._claim(entry, name)\n"
        "            await self._catalog.delete(_claim(entry, former))\n            entry =",
        TWICE,
    ),
    Mutation(
        "what is left of a rename is not recorded",
        operations,
        '_intent("finish", former))',
        "None)",
        ([("create", "namespace", "a")], ([("rename", "namespace", "a", "b")],)),
    ),
    Mutation(
        "one's own write is not recognised",
        catalog,
        "if found is None or op not in found.ops:",
        "if True:",
        None,
    ),
    Mutation(
        "what others wrote after one's own write is taken for one's own",
        catalog,
        "version = found.version if found.ops[-1] == op else _OVERTAKEN",
        "version = found.version",
        ALONE,
        rare=True,
    ),
    Mutation(
        "a stream is noted as deleted while it takes records",
        streams,
        "await self._bury(await self._retire(entry) if entry.live else entry)",
        'await self._bury(replace(entry, body={**entry.body, "deleted_at": now_millis()}))',
        STREAMS,
    ),
    Mutation(
        "whichever stream is there is buried, not the one that was deleted",
        streams,
        "        return await self._catalog.replace(entry, buried,",
        "        (entry,) = await self._catalog.get(entry.id)\n"
        "        return await self._catalog.replace(entry, buried,",
        STREAMS,
    ),
)


@contextmanager
def mutated(mutation: Mutation) -> Iterator[None]:
    """The methods of the module's classes as they are without the safeguard."""
    source = Path(str(mutation.module.__file__)).read_text()
    assert source.count(mutation.old) == 1, f"the safeguard is no longer there: {mutation.name}"
    without = types.ModuleType(mutation.module.__name__)
    text = source.replace(mutation.old, mutation.new)
    if "replace(" in mutation.new and "import dataclass\n" in text:
        text = text.replace("import dataclass\n", "import dataclass, replace\n", 1)
    exec(compile(text, str(mutation.module.__file__), "exec"), without.__dict__)  # noqa: S102
    kept: list[tuple[type, str, Any]] = []
    for name, new in list(without.__dict__.items()):
        old = mutation.module.__dict__.get(name)
        if not isclass(new) or new.__module__ != mutation.module.__name__ or not isclass(old):
            continue
        if issubclass(new, Exception):
            without.__dict__[name] = old
            continue
        for method, function in vars(new).items():
            if isfunction(function) and not method.startswith("__"):
                kept.append((old, method, vars(old)[method]))
                setattr(old, method, function)
    for name in ("_POLLS", "terms"):
        if name in mutation.module.__dict__:
            without.__dict__[name] = mutation.module.__dict__[name]
    try:
        yield
    finally:
        for owner, method, function in kept:
            setattr(owner, method, function)
