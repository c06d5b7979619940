"""Saved objects for OpenSearch Dashboards, generated from the contents of a namespace or stream."""

from service.cli.dashboards.facts import Facts, TallyClient
from service.cli.dashboards.saved import ndjson, saved_objects
from service.cli.dashboards.sending import DashboardsError, send

__all__ = ["DashboardsError", "Facts", "TallyClient", "ndjson", "saved_objects", "send"]
