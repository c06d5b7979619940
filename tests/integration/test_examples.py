"""Every example of the OpenAPI document is sent to a real service, and its documented errors are provoked."""

from tests.support.client import Client
from tests.support.examples import WITHOUT_ANSWER, Home, routes


async def test_every_example_is_accepted(client: Client) -> None:
    """The answers are compared with their schemas by the client itself."""
    failed = []
    sent = 0
    async with Home.made(client) as home:
        for route in routes():
            for title, body in home.bodies(route):
                status, text = await home.send(route, body)
                sent += 1
                if status >= 300 and route.id not in WITHOUT_ANSWER:
                    failed.append((route.id, title, status, text[:300]))
    assert failed == []
    assert sent > 80
