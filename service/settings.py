"""All settings: environment variables with the prefix `TALLY_`, read and checked once, when a command starts."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
)
from pydantic import field_validator as checked
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service import checks
from service.spelling import nearest

DURATION: Final = r"^P[1-9][0-9]{0,4}D$"


class StreamTemplate(BaseModel):
    """What a stream made from a template is and may hold; durations are ISO-8601 in days: `P7D`."""

    model_config = ConfigDict(extra="forbid")

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


PREFIX: Final = "TALLY_"

_OTHERS: Final = ("CACHE_DIR", "MAVEN_URL", "DASHBOARDS_PASSWORD")
"""Variables with our prefix that are no settings of the service: what `run` fetches, what a command is given."""

_NOT_OURS: Final = ("TEST_", "PROVE_", "CHAOS", "SOAK_")
"""What the tests of this repository read."""

DAY: Final = 86_400.0

Seconds = Annotated[float, Field(le=DAY, allow_inf_nan=False)]


def _unset(value: Any) -> Any:
    """Compose and Kubernetes files give a variable that is left out as an empty one."""
    return None if value == "" else value


def _json(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ValueError(f"this is no JSON: {error}") from None


class Settings(BaseSettings):
    """Every setting has a default that is right for trying Tally on one machine."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="ignore", use_attribute_docstrings=True, validate_default=True
    )

    host: str = Field("127.0.0.1", min_length=1)
    """Address to listen on; 0.0.0.0 in a container."""

    port: int = Field(8080, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""

    opensearch_url: str | None = None
    """Address of an OpenSearch cluster (http or https); of several nodes with commas. Unset: `run` starts its own."""

    opensearch_user: Annotated[str | None, BeforeValidator(_unset)] = None
    """User name towards OpenSearch."""

    opensearch_password: Annotated[SecretStr | None, BeforeValidator(_unset)] = None
    """Password towards OpenSearch."""

    opensearch_ca: Annotated[Path | None, BeforeValidator(_unset)] = None
    """File with the certificate authority that signed OpenSearch's certificate (PEM)."""

    opensearch_verify: bool = True
    """Check OpenSearch's certificate; false only for tests of your own."""

    opensearch_timeout: Seconds = Field(60.0, gt=0)
    """Seconds for all that a request asks of OpenSearch; each batch of an import and page of an export has as many."""

    opensearch_heap: Annotated[str, AfterValidator(checks.heap)] = "512m"
    """Memory of the OpenSearch that `run` starts."""

    data_dir: Annotated[Path, AfterValidator(checks.folder)] = Path(".data")
    """Folder of `run`: OpenSearch's data and the key that was made."""

    api_key: SecretStr | None = None
    """The first administrator's key, at least 16 characters. Unset: made, kept in the data folder and printed."""

    sample: Literal["0", "january", "full"] = "january"
    """Sample data of `run`: none, the flights of January 2013 (27,004 objects), or of the whole year (336,776)."""

    shards: int = Field(1, ge=1)
    """Primary shards of a new namespace's index; one is best up to some 20 million objects."""

    replicas: int | None = Field(None, ge=0)
    """Replicas of each new index of objects or records. Unset: one as soon as there is a second data node."""

    group_budget: int = Field(1_000_000, ge=1)
    """Groups that one answer may make; more are refused, never cut."""

    object_budget: int = Field(1_000_000, ge=1)
    """Objects that one answer may read one by one where OpenSearch cannot compute it exactly."""

    cursor_seconds: Seconds = Field(300.0, ge=1)
    """Seconds after its last use for which a list can be gone on with by its cursor."""

    caretaking_seconds: Seconds = Field(30.0, gt=0)
    """Seconds between two looks for what is to be removed: deleted buckets of stopped processes, what has expired."""

    stream_templates: Annotated[dict[str, StreamTemplate], NoDecode, BeforeValidator(_json)] = {}
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
    """Lowest level that is logged; `run` begins at warning unless this is set. A line for each request is info."""

    metrics: bool = True
    """Count requests for `/metrics`; off, the route is not there."""

    traces: bool = False
    """Send spans for OpenTelemetry by OTLP over HTTP; where to, OTEL_EXPORTER_OTLP_ENDPOINT and its like tell."""

    drain_seconds: Seconds = Field(5.0, ge=0)
    """Seconds that `serve` goes on after SIGTERM while `/readyz` fails, so that balancers notice; Ctrl-C skips them."""

    shutdown_seconds: Seconds = Field(20.0, ge=0)
    """Seconds that requests in flight have to finish after that."""

    @property
    def opensearch_urls(self) -> tuple[str, ...]:
        """The addresses in `opensearch_url`; none if it is unset."""
        return checks.opensearch_urls(self.opensearch_url) if self.opensearch_url is not None else ()

    @checked("opensearch_url")
    @classmethod
    def _urls(cls, text: str | None) -> str | None:
        return text if text is None else ",".join(checks.opensearch_urls(text))

    @checked("opensearch_password")
    @classmethod
    def _password(cls, password: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        user = info.data.get("opensearch_user")
        if "opensearch_user" in info.data and (user is None) != (password is None):
            raise ValueError("user name and password belong together: set both TALLY_OPENSEARCH_USER and this, or none")
        return password

    @checked("opensearch_ca")
    @classmethod
    def _ca(cls, file: Path | None, info: ValidationInfo) -> Path | None:
        if file is None:
            return None
        if str(info.data.get("opensearch_url") or "https:").lower().startswith("http:"):
            raise ValueError("a certificate is for https, and TALLY_OPENSEARCH_URL begins with http://")
        return checks.certificate_file(file)

    @checked("api_key")
    @classmethod
    def _key(cls, key: SecretStr | None) -> SecretStr | None:
        return key if key is None else SecretStr(checks.api_key(key.get_secret_value()))


def problems_of(error: ValidationError) -> list[str]:
    """A line for each setting that is wrong: its variable, what is wrong, the value if it is no secret."""
    secret = {name for name, field in Settings.model_fields.items() if SecretStr in _types(field.annotation)}
    lines = []
    for each in error.errors(include_url=False):
        name, *inside = map(str, each["loc"])
        message = each["msg"].removeprefix("Value error, ")
        if each["type"] != "value_error" and name not in secret and isinstance(each["input"], str | int | float):
            message += f", not {str(each['input'])[:60]!r}"
        lines.append(": ".join([PREFIX + name.upper(), *([".".join(inside)] if inside else []), message]))
    return lines


def _types(annotation: Any) -> tuple[Any, ...]:
    return getattr(annotation, "__args__", (annotation,))


def unknown_variables(names: Iterable[str]) -> list[tuple[str, str | None]]:
    """Environment variables with our prefix that mean nothing, each with the one that was likely meant."""
    known = [name.upper() for name in Settings.model_fields]
    found = []
    for name in sorted(names):
        rest = name.upper().removeprefix(PREFIX)
        if not name.upper().startswith(PREFIX) or rest in known or rest in _OTHERS or rest.startswith(_NOT_OURS):
            continue
        meant = nearest(rest, known)
        found.append((name, PREFIX + meant if meant else None))
    return found
