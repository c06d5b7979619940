"""Loads files, and the sample, into a running Tally through its API."""

from service.cli.loading.client import Loader
from service.cli.loading.errors import LoadError, UsageError
from service.cli.loading.sample import SAMPLE_SIZES, WEATHER, WEATHER_SIZE, flights, weather

__all__ = ["SAMPLE_SIZES", "WEATHER", "WEATHER_SIZE", "LoadError", "Loader", "UsageError", "flights", "weather"]
