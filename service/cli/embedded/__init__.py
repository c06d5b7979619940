"""A real OpenSearch node as a child process: no container, no installed Java."""

from service.cli.embedded.aot import prepare_start
from service.cli.embedded.home import EmbeddedError, default_cache, ensure_home
from service.cli.embedded.node import EmbeddedNode

__all__ = ["EmbeddedError", "EmbeddedNode", "default_cache", "ensure_home", "prepare_start"]
