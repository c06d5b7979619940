"""All settings: environment variables with the prefix `TALLY_`, read once."""

from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

DURATION: Final = r"^P[1-9][0-9]{0,4}D$"


class StreamTemplate(BaseModel):
    """What a stream made from a template is and may hold; durations are ISO-8601 in days: `P7D`."""

    type: Literal["Immutable", "Mutable"]
    max_records: int = Field(ge=1)
    max_gigabytes: int = Field(ge=1)
    retained_after_soft_delete: str = Field(pattern=DURATION)
    data_deleted_after: str | None = Field(None, pattern=DURATION)
    max_filtering_interval: str | None = Field(None, pattern=DURATION)


TEMPLATES: Final = {
    "ImmutableTestStream": StreamTemplate(
        type="Immutable",
        max_records=50_000_000,
        max_gigabytes=50,
        retained_after_soft_delete="P1D",
        data_deleted_after="P7D",
        max_filtering_interval="P7D",
    ),
    "BasicArchive": StreamTemplate(
        type="Immutable",
        max_records=50_000_000,
        max_gigabytes=50,
        retained_after_soft_delete="P42D",
        max_filtering_interval="P365D",
    ),
    "BasicLiveData": StreamTemplate(
        type="Mutable", max_records=5_000_000, max_gigabytes=15, retained_after_soft_delete="P42D"
    ),
    "MutableTestStream": StreamTemplate(
        type="Mutable", max_records=10_000_000, max_gigabytes=20, retained_after_soft_delete="P1D"
    ),
}
"""The documented templates (contract, records, 4)."""


class Settings(BaseSettings):
    """Every setting has a default that is right for trying Tally on one machine."""

    model_config = SettingsConfigDict(env_prefix="TALLY_", extra="ignore", use_attribute_docstrings=True)

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 in a container."""

    port: int = Field(8080, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""

    opensearch_url: str | None = None
    """Address of an OpenSearch cluster (http or https). Unset: `run` starts one of its own."""

    opensearch_user: str | None = None
    """User name towards OpenSearch."""

    opensearch_password: SecretStr | None = None
    """Password towards OpenSearch."""

    opensearch_ca: Path | None = None
    """File with the certificate authority that signed OpenSearch's certificate (PEM)."""

    opensearch_verify: bool = True
    """Check OpenSearch's certificate; false only for tests of your own."""

    opensearch_timeout: float = Field(60.0, gt=0)
    """Seconds for all that a request asks of OpenSearch; each batch of an import and page of an export has as many."""

    opensearch_heap: str = "512m"
    """Memory of the OpenSearch that `run` starts."""

    data_dir: Path = Path(".data")
    """Folder of `run`: OpenSearch's data and the key that was made."""

    api_key: SecretStr | None = None
    """The first administrator's key. Unset: made, kept in the data folder and printed."""

    sample: Literal["0", "january", "full"] = "january"
    """Sample data of `run`: none, the flights of January 2013 (27,004 objects), or of the whole year (336,776)."""

    shards: int = Field(1, ge=1)
    """Primary shards of a new namespace's index; one is best up to some 20 million objects."""

    replicas: int = Field(0, ge=0)
    """Replicas of a new namespace's index."""

    group_budget: int = Field(1_000_000, ge=1)
    """Groups that one answer may make; more are refused, never cut."""

    object_budget: int = Field(1_000_000, ge=1)
    """Objects that one answer may read one by one where OpenSearch cannot compute it exactly."""

    cursor_seconds: float = Field(300.0, ge=1)
    """Seconds after its last use for which a list can be gone on with by its cursor."""

    caretaking_seconds: float = Field(30.0, gt=0)
    """Seconds between two looks for what is to be removed: deleted buckets of stopped processes, what has expired."""

    stream_templates: dict[str, StreamTemplate] = {}
    """Templates of streams beside the documented ones, or instead of them: JSON, {"Small": {"type": "Mutable", …}}."""

    bucket_limit: int = Field(65_535, ge=1)
    """Buckets in one answer to an aggregate over records."""

    fold_budget: int = Field(200_000, ge=1)
    """Records that one answer may hold in memory where OpenSearch cannot compute it exactly."""

    field_budget: int = Field(1_000, ge=1)
    """Different field paths that the objects of one bucket may have."""

    batch_limit: int = Field(1_000, ge=1)
    """Objects in one batch request."""

    body_limit: int = Field(32 * 1024 * 1024, ge=1024)
    """Bytes of one request body, except imports, which may have any size."""

    log_format: Literal["auto", "json", "console"] = "auto"
    """Shape of the logs; auto: colours on a terminal, else JSON."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level that is logged."""

    metrics: bool = True
    """Count requests for `/metrics`; off, the route is not there."""

    traces: bool = False
    """Send spans for OpenTelemetry by OTLP over HTTP; where to, OTEL_EXPORTER_OTLP_ENDPOINT and its like tell."""

    drain_seconds: float = Field(5.0, ge=0)
    """Seconds that `serve` goes on after SIGTERM while `/readyz` fails, so that balancers notice; Ctrl-C skips them."""

    shutdown_seconds: float = Field(20.0, ge=0)
    """Seconds that requests in flight have to finish after that."""
