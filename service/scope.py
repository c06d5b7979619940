"""The namespace of a request: required for all access to storage."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scope:
    """One namespace that the caller may use; made by `resources.namespaces` alone."""

    namespace_id: str
    namespace_name: str
