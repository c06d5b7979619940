"""The use cases of records: write, read, sync and aggregate (contract, records, 1 to 3)."""

from service.catalog.streams import StreamService
from service.listing.cursors import Cursors
from service.records.aggregate import RecordAggregator, RecordLimits
from service.records.opening import Opening
from service.records.reading import RecordReader
from service.records.writing import RecordWriter
from service.storage.catalog import Catalog
from service.storage.records import RecordStore


class RecordService:
    """Bundles the services for records, over the same streams."""

    def __init__(
        self, streams: StreamService, catalog: Catalog, store: RecordStore, cursors: Cursors, limits: RecordLimits
    ) -> None:
        opening = Opening(streams)
        self.writer = RecordWriter(opening, store)
        self.reader = RecordReader(opening, catalog, store, cursors)
        self.aggregator = RecordAggregator(opening, catalog, store, limits)
