"""min"""

from service.aggregations.extremes import Extreme


class Min(Extreme):
    """The least number or date of the group; null without any. Dates come after numbers."""

    name = "min"
    greatest = False
