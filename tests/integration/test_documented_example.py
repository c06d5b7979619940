"""The documented page's own request, over objects made for it (pages/aggregate-objects.txt)."""

import json

from tests.support.client import Client

REQUEST = {
    "aggregations": [{"alias": "total", "function": "count"}],
    "description": "Count objects by status",
    "group_by": [{"alias": "status", "field": "status"}],
    "sort_by": "total",
    "sort_direction": "desc",
}


async def test_count_objects_by_status(client: Client, bucket: str) -> None:
    lines = [{"status": "completed", "metadata": {"n": n}} for n in range(1_523)]
    lines += [{"status": "pending", "metadata": {"n": n}} for n in range(87)]
    body = "\n".join(map(json.dumps, lines))
    summary = await client.ok("POST", f"/v1/buckets/{bucket}/objects/import", data=body)
    assert summary["succeeded_count"] == 1_610
    answer = await client.aggregate(bucket, REQUEST)
    # Statuses are stored in upper case (contract, Writing).
    assert answer["results"] == [
        {"group": {"status": "COMPLETED"}, "metrics": {"total": 1523}},
        {"group": {"status": "PENDING"}, "metrics": {"total": 87}},
    ]
    assert answer["total_groups"] == 2
    assert isinstance(answer["query_info"]["execution_time_ms"], int)
    assert isinstance(answer["query_info"]["pipeline_stages"], int)
