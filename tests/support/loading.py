"""The command `load` as a user runs it, in this process, and what it stored."""

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from service.__main__ import cli
from tests.support.client import Client


@dataclass(frozen=True)
class Said:
    """How the command ended, and its lines."""

    code: int
    out: list[str]
    err: list[str]
    """What went wrong."""
    made: list[str]
    """What there was not before, as stderr tells it."""

    @property
    def text(self) -> str:
        return "\n".join(self.out + self.err)

    def column(self, name: str) -> str:
        """What was decided for a column."""
        return next(line for line in self.out if line.startswith(f"  {name} ")).split(maxsplit=1)[1]


def run_load(address: str, key: str, arguments: Sequence[str], stdin: bytes | None = None) -> Said:
    environment = {"TALLY_API_KEY": key, "TALLY_LOG_LEVEL": "error", "COLUMNS": "200", "TALLY_LOG_FORMAT": "json"}
    given = ["load", *arguments] if "--url" in arguments else ["load", *arguments, "--url", address]
    done = CliRunner().invoke(cli, given, input=stdin, env=environment)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert "Traceback" not in done.output
    err = done.stderr.splitlines()
    made = [line for line in err if line.startswith("made the ")]
    return Said(done.exit_code, done.stdout.splitlines(), [line for line in err if line not in made], made)


@dataclass(frozen=True)
class Loading:
    """Loads files that tests write into buckets of one namespace."""

    client: Client
    folder: Path

    def file(self, name: str, content: bytes | str) -> Path:
        path = self.folder / f"{os.urandom(3).hex()}-{name}"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    async def run(self, *arguments: object, stdin: bytes | None = None, key: str | None = None) -> Said:
        given = list(map(str, arguments))
        if "--namespace" not in given:
            given += ["--namespace", str(self.client.namespace)]
        return await asyncio.to_thread(run_load, self.client.address, key or self.client.key, given, stdin)

    async def load(self, name: str, content: bytes | str, *options: str) -> tuple[Said, list[Any]]:
        """Into a new bucket; what was said, and the metadata of all objects in order."""
        bucket = f"files-{os.urandom(5).hex()}"
        said = await self.run(self.file(name, content), bucket, *options)
        return said, await self.stored(bucket)

    async def stored(self, bucket: str) -> list[Any]:
        """The metadata of a bucket's objects, with every digit as it was written."""
        return [each["metadata"] for each in await self.exported(bucket)]

    async def exported(self, bucket: str) -> list[Any]:
        status, text, _ = await self.client.send("GET", f"/v1/buckets/{bucket}/objects/export")
        return [json.loads(line) for line in text.split("\n") if line] if status == 200 else []
