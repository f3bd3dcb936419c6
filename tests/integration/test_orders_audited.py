"""What an operator orders leaves a chain that holds: a model in the shadow, a failed notification sent again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest

from inference import versions
from ops.system.programs import WORKERS
from ops.system.system import Options, System
from streams import topics
from streams.stages.notification.delivery import KEY_HEADER
from tests.integration import impatient_notifier
from tests.integration.cases import Publisher
from tests.integration.clocked import CHANNELS
from tests.integration.watcher import Seen, Watcher
from tests.programs import VIGIA
from tests.services import RegistryService
from tests.unit.serving.test_rollout import variant
from tests.unit.stages.notification.test_notify import webhook


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "models"
    shutil.copytree(versions.PACKAGED, folder)
    return folder


@pytest.fixture(scope="module")
def system(registry: RegistryService, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("VIGIA_")}
    programs = tuple(program for program in WORKERS if program.name != "inference-emergency")
    options = Options(run_dir=tmp_path_factory.mktemp("run"), programs=programs)
    env = {**own, "VIGIA_SCHEMA_REGISTRY_URL": registry.url, "VIGIA_MODEL_DIR": str(models)}
    with System(options, lambda line: None, env=env) as running:
        yield running


@pytest.fixture(scope="module")
def watcher(system: System) -> Iterator[Watcher]:
    with Watcher(system.settings) as watching:
        yield watching


def environment(system: System) -> dict[str, str]:
    return {**os.environ, **system.environment}


def vigia(system: System, *arguments: str) -> str:
    done = subprocess.run(
        [*VIGIA, *arguments], env=environment(system), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_case_judged_beside_a_shadow_model_leaves_a_chain_that_holds(
    system: System, models: Path, watcher: Watcher
) -> None:
    publisher = Publisher.of(system.settings)
    second = variant(models, "next")
    vigia(system, "model", "shadow", second)

    def shadowed(seen: Seen) -> bool:
        return seen.topic == topics.INFERENCES and seen.event.shadow is not None

    # The workers change between two batches, whenever the order has come: cases until one is judged by both.
    while not any(map(shadowed, watcher.records)):
        case = publisher.case()
        publisher.send_case(case)
        watcher.of(case.case_id, topics.GRADINGS)
    loaded = watcher.until(
        lambda seen: seen.topic == topics.AUDIT and seen.event.outcome == "model_loaded:shadow", what="the entry"
    )
    assert loaded[0].event.attributes["version"] == second
    assert "the chain holds" in vigia(system, "audit", "verify")


@contextmanager
def notifier(system: System, folder: Path, url: str) -> Iterator[None]:
    """A notifier whose every channel leads to this URL."""
    targets = folder / "targets.yaml"
    targets.write_text("channels:\n" + "".join(f'  "{channel}": ["{url}"]\n' for channel in CHANNELS))
    command = [sys.executable, impatient_notifier.__file__, str(targets)]
    env = {**environment(system), "PYTHONPATH": str(Path(__file__).parents[2])}
    with (folder / "notifier.log").open("ab") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def test_a_notification_that_failed_is_sent_again_once_its_target_works_and_the_chain_holds(
    system: System, watcher: Watcher, tmp_path: Path
) -> None:
    publisher = Publisher.of(system.settings)
    # Without a patient's token the team must look.
    case = publisher.case(patient_token=None)
    with webhook(refusals=sys.maxsize) as broken, notifier(system, tmp_path, broken.url):
        publisher.send_case(case)
        watcher.until(
            lambda seen: _audited(seen, case.case_id, "dead_letter:notification_failed"), what="the dead letter"
        )
    with webhook() as mended, notifier(system, tmp_path, mended.url):
        sent = vigia(system, "dead-letters", "redrive", "--case", str(case.case_id), "--stage", "notification")
        assert "redriven" in sent
        watcher.until(lambda seen: _audited(seen, case.case_id, "notified:human_review:0"), what="the confirmation")
    keys = [headers[KEY_HEADER] for headers, _ in mended.requests]
    assert len(keys) == len(set(keys))
    assert "the chain holds" in vigia(system, "audit", "verify")


def _audited(seen: Seen, case_id: UUID, outcome: str) -> bool:
    event = seen.event if seen.topic == topics.AUDIT else None
    return event is not None and event.case_id == case_id and event.outcome.startswith(outcome)
