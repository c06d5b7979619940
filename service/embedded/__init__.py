"""A real OpenSearch node as a child process: no container, no installed Java."""

from service.embedded.home import EmbeddedError, default_cache, ensure_home
from service.embedded.node import EmbeddedNode

__all__ = ["EmbeddedError", "EmbeddedNode", "default_cache", "ensure_home"]
