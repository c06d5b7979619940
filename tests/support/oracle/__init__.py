"""A slow, clear second implementation of the flat aggregate, written from the contract alone.

It shares no code with the service: what both of them answer is right, or both have misread the same sentence.
"""

from .aggregate import Answer, aggregate
from .compare import same
from .filters import matches
from .values import OracleRefusal

__all__ = ["Answer", "OracleRefusal", "aggregate", "matches", "same"]
