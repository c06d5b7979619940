"""Schemathesis over the OpenAPI document: no answer of 500, no answer that the document does not have.

A short run in `make test`, a long one in `make prove`. Cases are counted in the output.
"""

import asyncio
import os
import re
import sys

from tests.conftest import KEY
from tests.support.client import Client
from tests.support.examples import Home

EXAMPLES = int(os.environ.get("TALLY_PROVE_FUZZ", "3"))
"""Generated cases of each operation in each phase."""

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance"
)


async def namespaces(client: Client) -> set[str]:
    listed = await client.ok("POST", "/v1/namespaces/list?limit=1000", {}, namespace=None)
    return {each["namespace_id"] for each in listed["results"]}


async def test_no_answer_that_the_document_does_not_have(client: Client, address: str) -> None:
    before = await namespaces(client)
    phases = "examples,coverage,fuzzing" if EXAMPLES > 10 else "examples,fuzzing"
    async with Home.made(client) as home:
        command = (
            sys.executable, "-m", "schemathesis.cli", "run", f"{address}/openapi.json", "--url", address,
            "--header", f"Authorization: Bearer {KEY}", "--header", f"X-Namespace: {home.namespace}",
            "--checks", CHECKS, "--phases", phases, "--max-examples", str(EXAMPLES), "--seed", "7",
            "--suppress-health-check", "all", "--warnings", "off", "--request-timeout", "30",
            # Namespaces are what the other tests stand on; a stream of any size is not JSON.
            "--exclude-operation-id", "deleteNamespace", "--exclude-operation-id", "importObjects",
        )  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "NO_COLOR": "1", "COLUMNS": "160"},
        )  # fmt: skip
        output, _ = await process.communicate()
        text = output.decode()
    for made in await namespaces(client) - before:
        await client.call("DELETE", f"/v1/namespaces/{made}", namespace=None)
    summary = text[text.find("SUMMARY") :] if "SUMMARY" in text else text[-3_000:]
    print(summary)
    assert process.returncode == 0, text[-20_000:]
    cases = re.search(r"([\d,]+) generated", text)
    assert cases is not None, text[-3_000:]
    assert int(cases[1].replace(",", "")) > 100
