"""The examples of docs/exactness.md, docs/lists.md and docs/records.md, run."""

import asyncio
import json
import re

import pytest

from service.settings import Settings
from tests.conftest import ROOT
from tests.support.client import Client
from tests.support.oracle import aggregate, same

BLOCKS = re.findall(r"```json (objects|request|results)\n(.*?)```", (ROOT / "docs/exactness.md").read_text(), re.S)
EXAMPLES = [tuple(json.loads(text) for _, text in BLOCKS[place : place + 3]) for place in range(0, len(BLOCKS), 3)]


def test_there_are_examples() -> None:
    assert [kind for kind, _ in BLOCKS] == ["objects", "request", "results"] * len(EXAMPLES)
    assert len(EXAMPLES) >= 9


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: json.dumps(example[1])[:50])
async def test_example(client: Client, bucket: str, example: tuple[list[object], dict[str, object], object]) -> None:
    objects, request, results = example
    stored = (await client.batch(bucket, objects))["succeeded"]
    answer = await client.aggregate(bucket, request)
    assert answer["results"] == results
    assert same(aggregate(stored, request).rows, answer["results"], request) is None


async def test_the_filter_of_the_page_on_lists(client: Client, bucket: str) -> None:
    (body,) = re.findall(r"```json\n(.*?)```", (ROOT / "docs/lists.md").read_text(), re.S)
    video = {"metadata": {"type": "video", "year": 2024}, "blobs": [{"property": "v", "type": "video", "data": "x"}]}
    await client.batch(bucket, [video, {"metadata": {"type": "video", "year": 2019}}, {"metadata": {"type": "Video"}}])
    answer = await client.ok("POST", f"/v1/buckets/{bucket}/objects/list", json.loads(body))
    assert [each["metadata"] for each in answer["results"]] == [video["metadata"]]


async def test_the_walk_of_the_page_on_records(client: Client) -> None:
    commands, answer = re.findall(
        r"```bash\n(.*?)```\n```json\n(.*?)```", (ROOT / "docs/records.md").read_text(), re.S
    )[0]
    commands = commands.replace("$(cat .data/api-key)", client.key).replace("http://127.0.0.1:8080", client.address)
    await client.call("DELETE", "/v1/namespaces/market", namespace=None)
    process = await asyncio.create_subprocess_exec("bash", "-ec", commands, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert output.decode().endswith("}"), output
    decoder, text, answers = json.JSONDecoder(), output.decode(), []
    while text:
        found, end = decoder.raw_decode(text)
        answers.append(found)
        text = text[end:].lstrip()
    assert answers[-1] == json.loads(answer), answers
    await client.call("DELETE", "/v1/namespaces/market", namespace=None)


def test_the_setting_of_the_page_on_records() -> None:
    (line,) = re.findall(r"```\nTALLY_STREAM_TEMPLATES='(.*?)'\n```", (ROOT / "docs/records.md").read_text())
    template = Settings.model_validate({"stream_templates": json.loads(line)}).stream_templates["Small"]
    assert (template.type, template.max_records) == ("Mutable", 1_000)
