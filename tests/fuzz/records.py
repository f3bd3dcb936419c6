"""Records of every kind through the stages: each leaves as records that a producer takes, and people are asked."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from types import MappingProxyType, SimpleNamespace
from typing import Any

from inference.decode import Decoded
from inference.findings import CLASSES, Finding
from schemas.envelope.dead_letter import ATTEMPT, FORWARDED, PREFIX, origin_of
from schemas.events import Lane
from schemas.serde import Serde
from streams import topics
from streams.images.store import ImageStore
from streams.runtime.fetching import Withheld
from streams.runtime.loop import StageLoop
from streams.runtime.outbox import Outbox
from streams.runtime.stage import AnyStage
from streams.runtime.state import PartitionState
from streams.serving.judge import Judge
from streams.stages.escalation.stage import EscalationStage
from streams.stages.escalation.ticker import Ticker
from streams.stages.grading.quarantine import Quarantine
from streams.stages.grading.stage import GradingStage
from streams.stages.inference.stage import InferenceStage
from streams.stages.policy.file import packaged_policy
from tests.fuzz.events import Registered, Values, serde
from tests.unit.runtime.test_quarantine import LIMITS, taken

KEYS = (
    b"11111111-1111-5111-8111-111111111111", b"urn:uuid:11111111-1111-5111-8111-111111111111", b"", b"\xff", b"-" * 50,
    b"{11111111-1111-5111-8111-111111111111}", "²".encode(), b"case", b"1" * 5_000,
)  # fmt: skip
NAMES = (
    ATTEMPT, FORWARDED, f"{PREFIX}topic", f"{PREFIX}offset", f"{PREFIX}pointer", f"{PREFIX}reason", "", "N\\xff",
    "\ud800", "trace", "n" * 70_000,
)  # fmt: skip
CONTENTS = (None, b"", b"1", b"-1", b"9" * 5_000, b"9" * 19, "٣".encode(), "²".encode(), b"x" * 2_000, b"\xff\xfe")
TIMES = (None, 0.0, -1.0, -(10.0**11), 1e15, 1.764e9, 2.0**63 / 1000, -(2.0**63) / 1000)
#: Inputs after which the states begin anew: marks of events seen would fill the memory.
FRESH_AFTER = 2_000


class Blind:
    """Judges every picture alike."""

    model_version = "fuzz-0000000000"

    def warm_up(self) -> None:
        """Nothing to warm."""

    def judge(self, pictures: Sequence[Decoded]) -> list[Finding]:
        """The same for all."""
        shares = MappingProxyType(dict.fromkeys(CLASSES, 0.1))
        made = Finding(stage="stage_3", confidence=0.9, probabilities=shares, model_version=self.model_version)
        return [made for _ in pictures]


class Target:
    """One record at a time, through the stage loop of the stage that reads its topic."""

    def __init__(self) -> None:
        self._serde = serde(Registered())
        self._values = Values(self._serde)
        self._runner = asyncio.Runner()
        self._folder = tempfile.TemporaryDirectory(prefix="vigia-fuzz-")
        policy = packaged_policy()
        quarantine = Quarantine(policy)
        store = ImageStore(f"file://{self._folder.name}")
        stages: list[AnyStage] = [
            GradingStage(policy, quarantine),
            EscalationStage(policy, quarantine, self._serde, Ticker("127.0.0.1:1", self._serde)),
            *(InferenceStage(lane, store, Judge(lambda _: Blind()), quarantine, heat_maps=False) for lane in Lane
              if lane is not Lane.UNKNOWN),
        ]  # fmt: skip
        self._desks = [_Desk(stage, self._serde) for stage in stages]
        for desk in self._desks:
            if isinstance(desk.stage, InferenceStage):
                self._runner.run(desk.stage.start())
        self._by_topic = {topic: desk for desk in self._desks for topic in desk.stage.inputs}
        self._topics = sorted(self._by_topic)
        self._count = 0

    def run(self, rng: Random) -> str:
        """One record."""
        self._count += 1
        if self._count % FRESH_AFTER == 0:
            for desk in self._desks:
                desk.begin()
        topic = rng.choice(self._topics)
        return self._runner.run(self._by_topic[topic].take(self._message(rng, topic)))

    def close(self) -> None:
        """Let threads, processes and files go."""
        for desk in self._desks:
            if isinstance(desk.stage, InferenceStage):
                self._runner.run(desk.stage.stop())
        self._runner.close()
        self._folder.cleanup()

    def _message(self, rng: Random, topic: str) -> SimpleNamespace:
        value: Any = self._values.draw(rng, topic)
        if rng.random() < 0.01:
            value = Withheld.of(rng.choice((None, 0, 3_000_000, 2**40)))
        headers = [(rng.choice(NAMES), rng.choice(CONTENTS)) for _ in range(rng.choice((0, 0, 0, 1, 2, 5)))]
        if rng.random() < 0.001:
            headers = [("h", b"1")] * 5_000
        key = rng.choice(KEYS) if rng.random() < 0.3 else KEYS[0]
        if rng.random() < 0.05:
            key = rng.choice((None, rng.randbytes(rng.randrange(60))))
        return SimpleNamespace(
            topic=topic, partition=0, key=key, value=value, headers=headers or None,
            timestamp=rng.choice(TIMES) if rng.random() < 0.2 else datetime.now(UTC).timestamp(), generation_id=1,
        )  # fmt: skip


class _Desk:
    """A stage with its outbox and the state of one partition."""

    def __init__(self, stage: AnyStage, codec: Serde) -> None:
        self.stage = stage
        self._codec = codec
        self._offset = 0
        self.begin()

    def begin(self) -> None:
        """Forget all there was."""
        self._outbox = Outbox()
        self._outbox.assign(0, 1)
        state = PartitionState(self.stage.new_state(0))
        self._loop = StageLoop(self.stage, self._codec, self._outbox, {0: state}, _nothing)

    async def take(self, message: SimpleNamespace) -> str:
        """What became of a record; raises where it is nothing that a producer takes."""
        self._offset += 1
        message.offset = self._offset
        await self._loop.process([message])
        batch = self._outbox.take(0, 10)
        assert batch is not None, "nothing was made of it"
        self._outbox.committed(0, 1, batch)
        assert batch.offsets == {message.topic: self._offset + 1}
        records = list(batch.records)
        for record in records:
            if record.key is None and record.value is None:
                raise AssertionError("a record of neither key nor value")
            if record.value is not None or record.topic != self.stage.state_topic:
                assert taken(replace(record, key=record.key or b"")) <= LIMITS.get(record.topic, 1_000_000)
        letters = [each for each in records if each.topic == topics.DEAD_LETTERS]
        if not letters:
            return f"{self.stage.name}: {len(records)} records" if len(records) < 2 else f"{self.stage.name}: processed"
        (letter,) = letters
        headers = dict(letter.headers)
        origin = origin_of(letter.key, letter.value, headers, 0)
        assert origin is not None
        assert (origin.topic, origin.offset) == (message.topic, self._offset)
        assert any(each.topic == topics.GRADINGS for each in records), "nobody is asked"
        assert any(each.topic == topics.AUDIT for each in records), "no audit entry"
        return f"{self.stage.name}: dead letter, {(headers[PREFIX + 'reason'] or b'').decode()}"


async def _nothing() -> None:
    return
