"""The aggregation kinds: one file each, and the list of all. (See docs/architecture.md for how to add one.)"""

from typing import Final

from service.aggregations.avg import Avg
from service.aggregations.base import Aggregation
from service.aggregations.count import Count
from service.aggregations.count_distinct import CountDistinct
from service.aggregations.max import Max
from service.aggregations.min import Min
from service.aggregations.sum import Sum
from service.aggregations.variance import Variance

KINDS: Final[tuple[type[Aggregation], ...]] = (
    Count,
    Sum,
    Avg,
    Min,
    Max,
    CountDistinct,
    Variance,
)

BY_NAME: Final = {kind.name: kind for kind in KINDS}
