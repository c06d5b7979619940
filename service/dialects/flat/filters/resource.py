"""What filters of the list form are about: the fields of a kind of resource."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from service.fields import OWN_FIELDS
from service.paths import Path


@dataclass(frozen=True)
class Resource:
    """Fields of a kind of resource; any other path is looked up under `metadata`."""

    fields: frozenset[str]
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Shorter names of fields: `name`."""
    open: bool = False
    """Users may have fields of their own at the root."""
    computed: frozenset[str] = frozenset()
    """Fields that are counted when they are asked for."""

    def resolved(self, path: Path) -> Path:
        """The path with a shorter name replaced by the field's own."""
        return (self.aliases.get(path[0], path[0]), *path[1:])

    def place(self, path: Path, known: Callable[[Path], bool]) -> Path:
        """Where a path lies for all resources at once, as sorting needs it; `known`: some have this root field."""
        path = self.resolved(path)
        if path[0] in self.fields or (self.open and known(path[:1])):
            return path
        return ("metadata", *path)


OBJECT: Final = Resource(frozenset((*OWN_FIELDS, "blobs", "metadata")), open=True)
