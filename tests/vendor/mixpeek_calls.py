"""The two clients of the package `mixpeek`, with every call noted down: what it asked the service, and how it ended."""

import asyncio
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

mixpeek: Any = import_module("mixpeek")
"""Untyped: its models take plain dicts, of which its types say nothing, and mypy need not read its 1,400 modules."""

RESOURCES: Final = ("namespaces", "buckets", "collections", "tasks")
"""Where the routes of the four resources lie: objects are below buckets, and a task tells of a deletion."""

OTHER: Final = ("retrievers", "evaluations")
"""The hand-written client's managers of other resources."""

_SERIALIZE = re.compile(r"def _(\w+)_serialize\(.*?method='(\w+)',\s*resource_path='([^']+)'", re.DOTALL)


@cache
def generated_operations() -> Mapping[str, str]:
    """Every method of the generated classes whose route belongs to the four resources: `Class.method` → request."""
    found = {}
    for name, api in inspect.getmembers(mixpeek, inspect.isclass):
        if name.endswith("Api"):
            for method, verb, path in _SERIALIZE.findall(Path(inspect.getfile(api)).read_text()):
                if path.split("/")[2] in RESOURCES:
                    found[f"{name}.{method}"] = f"{verb} {path}"
    return found


def hand_written_methods(target: Any, name: str = "Mixpeek") -> set[str]:
    """Every public method of the hand-written client, and of its managers of the four resources."""
    found = {f"{name}.{method}" for method, _ in inspect.getmembers(target, inspect.ismethod) if method[0] != "_"}
    for manager, inner in vars(target).items():
        if type(inner).__module__.startswith("mixpeek.") and manager[0] != "_" and manager not in OTHER:
            found |= hand_written_methods(inner, f"{name}.{manager}")
    return found


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    method: str
    request: str
    ended: str


@dataclass
class Calls:
    """What was asked so far; the best end of each method is kept."""

    places: dict[str, str] = field(default_factory=dict)
    """Identifier → the name of its place in a path; `no-x` stands for x without being named here."""
    rows: dict[str, Row] = field(default_factory=dict)
    _requests: list[str] = field(default_factory=list)

    def watched(self, request: Callable[..., Any]) -> Callable[..., Any]:
        """The function that sends a request, which notes it down before."""

        def send(method: str, url: str, *args: Any, **options: Any) -> Any:
            self._requests.append(f"{method} {self._route(url)}")
            return request(method, url, *args, **options)

        return send

    def _route(self, url: str) -> str:
        steps = [unquote(step) for step in urlsplit(url).path.split("/")]
        return "/".join(self.places.get(step) or re.sub(r"^no-(\w+)$", r"{\1}", step) for step in steps)

    async def call(self, name: str, method: Callable[[], Any]) -> Any:
        """Calls in a thread, as the clients wait and the service runs in this loop."""
        self._requests.clear()
        try:
            answer = await asyncio.to_thread(method)
        except (mixpeek.ApiException, MixpeekAPIError) as error:
            self._note(name, str(error.status))
            raise
        self._note(name, {"_AttrDict": "dict", "NoneType": "nothing"}.get(kind := type(answer).__name__, kind))
        return answer

    def _note(self, name: str, ended: str) -> None:
        if name not in self.rows or self.rows[name].ended.isdigit():
            self.rows[name] = Row(name, ", then ".join(dict.fromkeys(self._requests)), ended)


MixpeekAPIError: Any = import_module("mixpeek._client.client").MixpeekAPIError


class Spy:
    """An object whose methods are awaited and noted down under the object's name."""

    def __init__(self, target: Any, name: str, calls: Calls) -> None:
        self._target = target
        self._name = name
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        found, full = getattr(self._target, name), f"{self._name}.{name}"
        if not inspect.ismethod(found):
            return Spy(found, full, self._calls)

        async def call(*args: Any, **options: Any) -> Any:
            return await self._calls.call(full, partial(found, *args, **options))

        return call


class Vendor:
    """Both clients, as the vendor documents their use; only the address is ours."""

    def __init__(self, address: str, key: str, namespace: str | None, calls: Calls) -> None:
        self.calls = calls
        self._configuration = mixpeek.Configuration(
            host=address, access_token=key, api_key={"NamespaceHeader": namespace} if namespace else None
        )
        self.api_client = mixpeek.ApiClient(self._configuration)
        self.api_client.call_api = calls.watched(self.api_client.call_api)
        self.plain = mixpeek.Mixpeek(key, namespace=namespace, base_url=f"{address}/v1")
        self.plain._http.request = calls.watched(self.plain._http.request)
        self.hand: Any = Spy(self.plain, "Mixpeek", calls)

    def api(self, name: str) -> Any:
        """A generated class by its name."""
        return Spy(getattr(mixpeek, name)(self.api_client), name, self.calls)

    def close(self) -> None:
        self.api_client.rest_client.pool_manager.clear()
        self.plain._http.clear()


def least_arguments(method: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments that make a generated method send its request: enough for a route that is not there.

    Strings come from `given`, by the parameter's name, else they name nothing; bodies are made without being checked.
    """
    arguments: dict[str, Any] = {}
    for name, parameter in inspect.signature(method).parameters.items():
        if name.startswith("_") or parameter.default is not inspect.Parameter.empty:
            continue
        kind: Any = parameter.annotation
        while hasattr(kind, "__metadata__"):
            kind = kind.__origin__
        if hasattr(kind, "model_construct"):
            arguments[name] = kind.model_construct(**dict.fromkeys(kind.model_fields))
        elif kind is str:
            arguments[name] = given.get(name, f"no-{name}")
        elif kind is int:
            arguments[name] = 1
        else:
            arguments[name] = {}
    return arguments
