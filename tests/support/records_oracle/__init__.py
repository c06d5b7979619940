"""A slow, clear second implementation of the records API's filters and aggregates, written from the contract alone.

It shares no code with the service: what both of them answer is right, or both have misread the same sentence.
"""

from .aggregate import aggregate
from .compare import same
from .properties import Catalogue, Column, Record, Refusal, stored
from .select import Stream, select

__all__ = ["Catalogue", "Column", "Record", "Refusal", "Stream", "aggregate", "same", "select", "stored"]
