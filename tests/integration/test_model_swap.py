"""A model is replaced while cases flow: nothing dropped, every case judged by one version, every change audited."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inference import versions
from ops.system.programs import WORKERS
from ops.system.system import Options, System
from schemas.events import CaseEvent, Lane, ModelAction, PipelineStage
from streams import topics
from streams.serving.orders import order
from streams.serving.rollout import is_canary
from tests.integration.cases import Publisher, jpeg
from tests.integration.watcher import Watcher
from tests.services import RegistryService
from tests.unit.serving.test_rollout import variant

SHARE = 0.2


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    models = tmp_path / "models"
    shutil.copytree(versions.PACKAGED, models)
    return models


@pytest.fixture
def system(registry: RegistryService, tmp_path: Path, directory: Path) -> Iterator[System]:
    """A broker with the one worker whose models change."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("VIGIA_")}
    env = {**own, "VIGIA_SCHEMA_REGISTRY_URL": registry.url, "VIGIA_MODEL_DIR": str(directory)}
    programs = tuple(program for program in WORKERS if program.name == "inference-routine")
    with System(Options(run_dir=tmp_path / "run", programs=programs), lambda line: None, env=env) as running:
        yield running


class Load:
    """Routine cases at a steady rate that leaves no queue, in a thread, until the block ends."""

    def __init__(self, publisher: Publisher) -> None:
        self.published: list[CaseEvent] = []
        self._publisher = publisher
        self._pictures = [publisher.store.put(jpeg(seed=seed)) for seed in range(8)]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            case = self._publisher.case(image=self._pictures[len(self.published) % len(self._pictures)])
            self._publisher.send_case(case)
            self.published.append(case)
            time.sleep(0.2)


def test_promotion_canary_shadow_and_rollback_lose_nothing_and_are_audited(
    system: System, directory: Path, record_property: Callable[[str, object], None]
) -> None:
    settings = system.settings
    old = versions.active(directory)
    new = variant(directory, "next")
    with Watcher(settings) as watcher:
        with Load(Publisher.of(settings)) as load:

            def judged_by(version: str, *, shadow: bool = False) -> None:
                """Wait until some case that is published from now on was judged so."""
                known = {case.event_id for case in load.published}
                watcher.until(
                    lambda seen: (
                        seen.topic == topics.INFERENCES
                        and seen.event.lane is Lane.ROUTINE
                        and seen.event.source_event_id not in known
                        and (seen.event.shadow is not None if shadow else seen.event.model_version == version)
                    ),
                    what=f"a case judged by {version}",
                )

            judged_by(old)
            order(settings, ModelAction.SHADOW, new)
            judged_by(new, shadow=True)
            order(settings, ModelAction.CLEAR, "none", clears="shadow")
            order(settings, ModelAction.CANARY, new, share=SHARE)
            judged_by(new)
            order(settings, ModelAction.CLEAR, "none", clears="canary")
            order(settings, ModelAction.PROMOTE, new)
            judged_by(new)
            order(settings, ModelAction.PROMOTE, "lpp-9-0123456789")
            order(settings, ModelAction.ROLLBACK, old)
            judged_by(old)
        cases = {case.event_id: case for case in load.published}
        inferences = [
            seen.event
            for seen in watcher.until(lambda seen: seen.topic == topics.INFERENCES, len(cases), what="inferences")
        ]
        assert Counter(event.source_event_id for event in inferences) == dict.fromkeys(cases, 1)
        judged = Counter(event.model_version for event in inferences)
        assert set(judged) == {old, new}
        record_property("cases by version", dict(judged))
        shadowed = [event for event in inferences if event.shadow is not None]
        assert shadowed
        record_property("judged in the shadow", len(shadowed))
        assert all(event.model_version == old and event.shadow.model_version == new for event in shadowed)
        outcomes = Counter(
            seen.event.outcome
            for seen in watcher.settle()
            if seen.topic == topics.AUDIT
            and seen.event.stage is PipelineStage.CONTROL
            and seen.event.attributes["stage"] == "inference-routine"
        )
        assert outcomes["model_loaded:shadow"] == 1
        assert outcomes["model_loaded:canary"] == 1
        assert outcomes["model_loaded:active"] == 2
        assert is_canary(inferences[0].case_id, new, 1.0)
