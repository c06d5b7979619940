"""Tally: exact aggregations over objects and records, on OpenSearch."""

__version__ = "0.1.0"
