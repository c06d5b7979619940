"""The fields of a kind of resource, for filters of the list form."""

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
    """Short names for fields: `name`."""
    open: bool = False
    """Whether users may have their own root fields."""
    computed: frozenset[str] = frozenset()
    """Fields that are counted on read."""

    def resolved(self, path: Path) -> Path:
        """The path with an alias replaced by the field's name."""
        return (self.aliases.get(path[0], path[0]), *path[1:])

    def place(self, path: Path, known: Callable[[Path], bool]) -> Path:
        """A path's location, the same for all resources, as sorting needs; `known`: whether any has this root field."""
        path = self.resolved(path)
        if path[0] in self.fields or (self.open and known(path[:1])):
            return path
        return ("metadata", *path)


OBJECT: Final = Resource(frozenset((*OWN_FIELDS, "blobs", "metadata")), open=True)
