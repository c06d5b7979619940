"""All routes of the service, in the document's order."""

from typing import Final

from service.web import buckets, collections, docs, health, namespaces, objects, records, tasks
from service.web.route import Route

ROUTES: Final[tuple[Route, ...]] = tuple(
    route
    for subject in (namespaces, buckets, objects, collections, records, health, docs, tasks)
    for route in subject.routes.declared
)
