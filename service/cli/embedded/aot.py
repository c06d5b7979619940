"""Makes OpenSearch start in half the time: the JVM's ahead-of-time cache, of the classes that a start loads.

The small JRE comes without any class data sharing, so each start parses and links 20,000 classes anew. A training run,
once per home and Java, writes down which ones (JEP 514); the cache made of it lies in the home. A JVM that finds it
unfit (another build, changed jars) ignores it.
"""

from contextlib import suppress
from pathlib import Path
from typing import Final

from filelock import FileLock

from service.cli.embedded.home import EmbeddedError
from service.cli.embedded.node import EmbeddedNode

_SECONDS: Final = 120
"""For each of the two steps, which take some 10 s each."""


def prepare_start(home: Path, java: Path | None = None) -> None:
    """Makes the cache if it is not there. Without one, starts are slower and all else is the same: nothing is raised.

    Safe to call from several processes at once: one makes it, the others wait.
    """
    cache = EmbeddedNode(home, java=java).aot_cache
    if cache.exists():
        return
    with suppress(OSError), FileLock(f"{cache}.lock"):
        if not cache.exists():
            try:
                _train(home, java, cache)
            except EmbeddedError:
                cache.touch()  # empty: it is not tried at every start


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
