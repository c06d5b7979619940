"""A model of the catalogue in which the service's own operations are interleaved step by step, with faults."""
