"""Halves OpenSearch's start time with the JVM's ahead-of-time cache of the classes loaded at start.

The small JRE has no class data sharing, so each start parses and links 20,000 classes again. A training run, once per
home and Java, records them (JEP 514); the cache built from it is kept in the home. A JVM for which it does not fit
(another build, changed jars) ignores it.
"""

from contextlib import suppress
from pathlib import Path
from typing import Final

from service.cli.embedded.home import EmbeddedError, exclusive
from service.cli.embedded.node import EmbeddedNode

_SECONDS: Final = 120
"""Timeout for each of the two steps, which take about 10 s each."""


def prepare_start(home: Path, java: Path | None = None) -> None:
    """Creates the cache if it is missing. Never raises: without a cache, only starts are slower.

    Safe to call from several processes at once: one creates it, the others wait.
    """
    cache = EmbeddedNode(home, java=java).aot_cache
    if cache.exists():
        return
    with suppress(OSError), exclusive(home.parent):
        if not cache.exists():
            try:
                _train(home, java, cache)
            except EmbeddedError:
                cache.touch()  # empty, so that it is not retried at every start


def _train(home: Path, java: Path | None, cache: Path) -> None:
    profile, made = cache.with_suffix(".profile"), cache.with_suffix(".part")
    configuration = f"-XX:AOTConfiguration={profile}"
    try:
        EmbeddedNode(home, java=java, options=["-XX:AOTMode=record", configuration]).start(_SECONDS).stop()
        EmbeddedNode(home, java=java, options=["-XX:AOTMode=create", configuration, f"-XX:AOTCache={made}"]).run(
            _SECONDS
        )
        if not made.exists():
            raise EmbeddedError("The JVM made no ahead-of-time cache.")
        made.replace(cache)
    finally:
        profile.unlink(missing_ok=True)
        made.unlink(missing_ok=True)
