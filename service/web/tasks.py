"""Routes of background tasks."""

from aiohttp import web
from pydantic import Field

from service.errors import NotFound
from service.web import schemas
from service.web.keys import TASKS
from service.web.route import Routes
from service.wire import WireModel

routes = Routes("Tasks", "objects")


class TaskPath(WireModel):
    task_id: str = Field(description="From the answer to a delete.", examples=["task_bkt_0a1b2c3d4e"])


@routes.get("/v1/tasks/{task_id}", errors=(NotFound,))
async def get_task(request: web.Request, path: TaskPath) -> schemas.Task:
    """Get a background task.

    The progress of a delete that goes on after its answer was given. Kept for a week after it has ended.
    """
    return await request.app[TASKS].get(path.task_id)
