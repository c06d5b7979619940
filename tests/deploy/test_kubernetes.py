"""k8s/: built by kustomize, valid for several versions of Kubernetes, and of one piece."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from service.settings import Settings
from tests.conftest import ROOT

Json = Any
OVERLAYS = ("local", "production")
VERSIONS = ("1.30", "1.32", "1.34")
NOT_KUBERNETES = {"ServiceMonitor"}
"""Kinds of the Prometheus operator, of which Kubernetes has no schema."""


@pytest.fixture(scope="session", params=OVERLAYS)
def built(request: pytest.FixtureRequest, tools: dict[str, Path]) -> tuple[str, list[Json]]:
    """An overlay's name and its resources."""
    command = [str(tools["kustomize"]), "build", str(ROOT / "k8s" / "overlays" / request.param)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return request.param, list(yaml.safe_load_all(done.stdout))


def of_kind(resources: list[Json], kind: str) -> list[Json]:
    return [each for each in resources if each["kind"] == kind]


def pods(resources: list[Json]) -> Iterator[tuple[str, Json]]:
    """The name of each workload, and its pod's template."""
    for each in resources:
        if each["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield each["metadata"]["name"], each["spec"]["template"]
        elif each["kind"] == "CronJob":
            yield each["metadata"]["name"], each["spec"]["jobTemplate"]["spec"]["template"]


def of_tally(resources: list[Json]) -> list[Json]:
    return [template for name, template in pods(resources) if name.startswith("tally")]


@pytest.mark.parametrize("version", VERSIONS)
def test_is_valid(built: tuple[str, list[Json]], version: str) -> None:
    _, resources = built
    checked = 0
    for each in resources:
        if each["kind"] not in NOT_KUBERNETES:
            kubernetes_validate.validate(each, version, strict=True)
            checked += 1
    assert checked >= 10


def test_a_broken_file_is_found() -> None:
    """The check can fail."""
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"port": [1]}},
            "1.34",
            strict=True,
        )


def test_selectors_and_ports_meet(built: tuple[str, list[Json]]) -> None:
    _, resources = built
    templates = dict(pods(resources))
    for workload in of_kind(resources, "Deployment") + of_kind(resources, "StatefulSet"):
        wanted = workload["spec"]["selector"]["matchLabels"].items()
        assert wanted <= workload["spec"]["template"]["metadata"]["labels"].items()
    for service in of_kind(resources, "Service"):
        selected = [
            template
            for template in templates.values()
            if service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
        ]
        assert len(selected) == 1, service["metadata"]["name"]
        names = {port["name"] for each in selected[0]["spec"]["containers"] for port in each["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= names
    services = {
        each["metadata"]["name"]: {port["name"] for port in each["spec"]["ports"]}
        for each in of_kind(resources, "Service")
    }
    for ingress in of_kind(resources, "Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                assert backend["port"]["name"] in services[backend["name"]]
    for scaler in of_kind(resources, "HorizontalPodAutoscaler"):
        assert scaler["spec"]["scaleTargetRef"]["name"] in templates
    (service_pod,) = [
        each for each in of_tally(resources) if each["metadata"]["labels"]["app.kubernetes.io/component"] == "service"
    ]
    for kind in ("PodDisruptionBudget",):
        for each in of_kind(resources, kind):
            assert each["spec"]["selector"]["matchLabels"].items() <= service_pod["metadata"]["labels"].items()


def test_environment_is_of_the_settings(built: tuple[str, list[Json]]) -> None:
    name, resources = built
    known = {f"TALLY_{field.upper()}" for field in Settings.model_fields}
    maps = {each["metadata"]["name"]: each["data"] for each in of_kind(resources, "ConfigMap")}
    secrets = {
        each["metadata"]["name"]: {*each.get("data", ()), *each.get("stringData", ())}
        for each in of_kind(resources, "Secret")
    }
    for template in of_tally(resources):
        (container,) = template["spec"]["containers"]
        given = {each["name"] for each in container["env"]}
        for source in container["envFrom"]:
            given |= maps[source["configMapRef"]["name"]].keys()
        assert given <= known, given - known
        assert {"TALLY_API_KEY", "TALLY_OPENSEARCH_URL"} <= given
        for each in container["env"]:
            ref = each["valueFrom"]["secretKeyRef"]
            if name == "local" and not ref.get("optional"):
                assert ref["key"] in secrets[ref["name"]]
        # A wrong value would only be seen when the pod starts.
        values = {key.removeprefix("TALLY_").lower(): value for one in maps.values() for key, value in one.items()}
        values.pop("opensearch_ca", None)  # a file that is mounted in the pod
        Settings.model_validate(values)


def test_pods_are_hardened(built: tuple[str, list[Json]]) -> None:
    _, resources = built
    assert len(of_tally(resources)) == 3
    for name, template in pods(resources):
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", name
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"]["drop"] == ["ALL"]
            assert container["resources"]["limits"]["memory"]
            if name.startswith("tally"):
                assert context["readOnlyRootFilesystem"] is True


def test_probes_ask_what_there_is_and_the_end_is_long_enough(built: tuple[str, list[Json]]) -> None:
    _, resources = built
    (deployment,) = of_kind(resources, "Deployment")
    spec = deployment["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["startupProbe"]["httpGet"]["path"] == "/healthz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    (config,) = of_kind(resources, "ConfigMap")
    drain, finish = (float(config["data"][f"TALLY_{name}_SECONDS"]) for name in ("DRAIN", "SHUTDOWN"))
    assert drain >= container["readinessProbe"]["periodSeconds"]
    assert spec["terminationGracePeriodSeconds"] > drain + finish + 2


def test_an_ingress_waits_longer_than_the_service(built: tuple[str, list[Json]]) -> None:
    _, resources = built
    for ingress in of_kind(resources, "Ingress"):
        patience = ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-read-timeout"]
        assert float(patience) > Settings().opensearch_timeout


def test_network_is_closed_but_for_what_is_needed(built: tuple[str, list[Json]]) -> None:
    _, resources = built
    (policy,) = of_kind(resources, "NetworkPolicy")
    assert set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    out = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
    assert out == {53, 9200}
    selected = policy["spec"]["podSelector"]["matchLabels"].items()
    assert all(selected <= template["metadata"]["labels"].items() for template in of_tally(resources))


def test_commands_exist(built: tuple[str, list[Json]]) -> None:
    from service.__main__ import cli

    commands = {command.name or command.callback.__name__ for command in cli.registered_commands if command.callback}
    for template in of_tally(built[1]):
        (container,) = template["spec"]["containers"]
        assert container["args"][0] in commands
