"""What goes on in the background."""

from aiohttp import web

from service.web.answers import answer
from service.web.keys import TASKS

routes = web.RouteTableDef()


@routes.get("/v1/tasks/{task}")
async def get(request: web.Request) -> web.Response:
    return answer(await request.app[TASKS].get(request.match_info["task"]))
