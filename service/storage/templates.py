"""The index templates in `mappings/`, and new indices made from them.

An index is created with its mappings, though the template has them, too: if somebody deleted the template, OpenSearch
guesses the types of fields.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

import msgspec

from service.values import Json


def mappings() -> Path:
    """The folder `mappings`: beside the package in a checkout, inside it in a wheel."""
    packaged = Path(str(files("service"))) / "mappings"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "mappings"


@cache
def template(name: str) -> Json:
    """The file of an index template."""
    return msgspec.json.decode((mappings() / "templates" / f"{name}.json").read_bytes())


def index_body(name: str, settings: Mapping[str, Json] | None = None) -> dict[str, Json]:
    """A new index with a template's mappings and its own settings; others come from the template in OpenSearch."""
    return {"settings": dict(settings or {}), "mappings": template(name)["template"]["mappings"]}
