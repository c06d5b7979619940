"""Saved objects for OpenSearch Dashboards, made of what a namespace or a stream holds."""

from service.dashboards.facts import Facts, TallyClient
from service.dashboards.saved import ndjson, saved_objects
from service.dashboards.sending import DashboardsError, send

__all__ = ["DashboardsError", "Facts", "TallyClient", "ndjson", "saved_objects", "send"]
