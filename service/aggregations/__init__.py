"""The aggregation kinds: one file each, and the list of all. (See docs/architecture.md for how to add one.)"""

from typing import Final

from service.aggregations.add_to_set import AddToSet
from service.aggregations.avg import Avg
from service.aggregations.base import Aggregation
from service.aggregations.count import Count
from service.aggregations.count_distinct import CountDistinct
from service.aggregations.first import First
from service.aggregations.last import Last
from service.aggregations.max import Max
from service.aggregations.median import Median
from service.aggregations.min import Min
from service.aggregations.percentile import Percentile
from service.aggregations.push import Push
from service.aggregations.stddev import StdDev
from service.aggregations.stddev_samp import StdDevSamp
from service.aggregations.sum import Sum
from service.aggregations.variance import Variance
from service.aggregations.variance_samp import VarianceSamp

KINDS: Final[tuple[type[Aggregation], ...]] = (
    Count,
    Sum,
    Avg,
    Min,
    Max,
    CountDistinct,
    First,
    Last,
    Push,
    AddToSet,
    Median,
    Percentile,
    StdDev,
    StdDevSamp,
    Variance,
    VarianceSamp,
)

BY_NAME: Final = {kind.name: kind for kind in KINDS}
