"""max"""

from service.aggregations.extremes import Extreme


class Max(Extreme):
    """The greatest number or date of the group; null without any. Dates come after numbers."""

    name = "max"
    greatest = True
