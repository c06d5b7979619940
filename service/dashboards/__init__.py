"""Saved objects for OpenSearch Dashboards, made of what a namespace or a stream holds."""

from service.dashboards.facts import Facts, Tally
from service.dashboards.saved import ndjson, saved_objects
from service.dashboards.sending import DashboardsError, send

__all__ = ["DashboardsError", "Facts", "Tally", "ndjson", "saved_objects", "send"]
