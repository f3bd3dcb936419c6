"""What pictures cost an inference worker: memory of the worst that can be made, and of each way to decode the usual.

    python -m ops.bench.pictures                 # both tables of docs/performance.md
    python -m ops.bench.pictures memory FILE     # one batch of references, as JSON, measured in this process

Memory is the proportional set size of a process with a worker's own objects (store, model, decoder processes) and of
its decoders together, the highest seen while a batch of 32 pictures of the routine lane is judged.
"""

from __future__ import annotations

import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import uuid4

import click
import psutil

# Not used here: what a worker has in memory before it sees a picture.
import streams.runtime.worker  # noqa: F401
from inference.decode import decode
from inference.decoders.pool import DecoderPool
from inference.evaluation.speed import photographs
from inference.header import read_header
from ops.bench.worst_pictures import KINDS, references
from schemas.envelope.raw import RawRecord
from schemas.events import CaseEvent, ImageReference, Lane, PatientContext
from streams import topics
from streams.images.store import ImageStore
from streams.runtime.records import Input, Result
from streams.runtime.stage import NoState
from streams.serving.judge import Judge
from streams.stages.grading.quarantine import Quarantine
from streams.stages.inference.build import load_predictor
from streams.stages.inference.stage import MAX_BATCH, InferenceStage
from streams.stages.policy.file import load_policy

BATCH = MAX_BATCH[Lane.ROUTINE]
#: Between two looks at the memory. A picture takes a hundred times as long.
_LOOK_S = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """MiB of a worker and its decoders: before the first picture and at most; seconds; what became of the pictures."""

    before: float
    most: float
    seconds: float
    became: dict[str, int]


class MemoryWatch:
    """Looks at a process and its children until it is left; `most` is the highest sum seen, in MiB."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.before = self.most = self._now()

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(_LOOK_S):
            self.most = max(self.most, self._now())

    def _now(self) -> float:
        total = 0
        for process in (self._process, *self._process.children(recursive=True)):
            try:
                total += process.memory_full_info().pss
            except psutil.Error:
                continue
        return total / 2**20


def memory(listed: Path) -> Memory:
    """One batch, judged by a stage in this process. The file lists its references; the pictures lie beside it."""
    batch = [ImageReference(**each) for each in json.loads(listed.read_text(encoding="utf-8"))]
    return asyncio.run(_judged(ImageStore(f"file://{listed.parent}"), batch))


async def _judged(store: ImageStore, batch: Sequence[ImageReference]) -> Memory:
    judge = Judge(partial(load_predictor, None, BATCH))
    stage = InferenceStage(Lane.ROUTINE, store, judge, Quarantine(load_policy()))
    await stage.start()
    try:
        inputs = [_input(reference) for reference in batch]
        started = time.monotonic()
        with MemoryWatch(psutil.Process().pid) as watch:
            results = await stage.handle_batch(inputs)
        seconds = time.monotonic() - started
    finally:
        await stage.stop()
    became = Counter(_word(result) for result in results)
    return Memory(before=watch.before, most=watch.most, seconds=seconds, became=dict(became))


def _word(result: Result) -> str:
    return "judged" if result.problem is None else result.problem.reason


def _input(reference: ImageReference) -> Input[CaseEvent, NoState]:
    now = datetime.now(UTC)
    event = CaseEvent(
        event_id=uuid4(),
        case_id=uuid4(),
        lane=Lane.ROUTINE,
        captured_at=now,
        published_at=now,
        image=reference,
        context=PatientContext(),
        producer="bench",
    )
    arrived = int(now.timestamp() * 1000)
    raw = RawRecord(topic=topics.CASES_ROUTINE, partition=0, offset=0, timestamp_ms=arrived, key=None, value=b"")
    return Input(raw=raw, event=event, hash="0" * 64, state=NoState())


def memory_apart(kinds: Sequence[str], count: int = BATCH) -> Memory:
    """A batch of `count` pictures, of these kinds in turn, in a fresh process, in which nothing else has been."""
    with tempfile.TemporaryDirectory(prefix="vigia-pictures-") as folder:
        made = {kind: list(references(Path(folder), kind, -(-count // len(kinds)))) for kind in kinds}
        batch = [made[kinds[at % len(kinds)]][at // len(kinds)] for at in range(count)]
        listed = Path(folder, "batch.json")
        listed.write_text(json.dumps([asdict(reference) for reference in batch]), encoding="utf-8")
        program = [sys.executable, "-m", "ops.bench.pictures", "memory", str(listed)]
        out = subprocess.run(program, check=True, capture_output=True, text=True).stdout
    return Memory(**json.loads(out.splitlines()[-1]))


def decoding(width: int, *, seconds: float = 3.0) -> dict[str, tuple[float, float]]:
    """Pictures per second and CPU ms per picture, of plain JPEGs of this width: here, and in a decoder process.

    Alternating slices, and the median of each: what else the machine does meets both.
    """
    files = [(data, read_header(data)) for data in photographs(width, 16)]
    pool = DecoderPool(1)
    pool.start().result()
    ways: dict[str, Callable[[int], object]] = {
        "in the worker": lambda at: decode(*files[at % len(files)]),
        "in a decoder process": lambda at: pool.decode(*files[at % len(files)], 60).result(),
    }
    (child,) = map(psutil.Process, pool.pids())
    rates: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for _ in range(max(1, round(seconds / 0.5))):
        for way, call in ways.items():
            count, began, used = 0, time.perf_counter(), _cpu(child)
            while (elapsed := time.perf_counter() - began) < 0.5:
                call(count)
                count += 1
            rates[way].append((count / elapsed, (_cpu(child) - used) / count * 1_000))
    pool.close()
    return {
        way: (statistics.median(rate for rate, _ in found), statistics.median(cost for _, cost in found))
        for way, found in rates.items()
    }


def _cpu(child: psutil.Process) -> float:
    ours, theirs = resource.getrusage(resource.RUSAGE_SELF), child.cpu_times()
    return ours.ru_utime + ours.ru_stime + theirs.user + theirs.system


def main(arguments: Sequence[str]) -> None:
    """Print what the arguments ask for."""
    if arguments[:1] == ["memory"]:
        found = memory(Path(arguments[1]))
        click.echo(json.dumps({name: getattr(found, name) for name in ("before", "most", "seconds", "became")}))
        return
    click.echo("| a plain JPEG of | decoded | pictures/s | CPU ms |\n|---|---|---|---|")
    for width in (640, 1280, 4000):
        for way, (rate, cost) in decoding(width).items():
            click.echo(f"| {width} px | {way} | {rate:,.0f} | {cost:.2f} |")
    click.echo("\n| 32 pictures | MiB before | MiB at most | s | became |\n|---|---|---|---|---|")
    for name, kinds in (*((kind, [kind]) for kind in KINDS), ("all of them in turn", list(KINDS))):
        found = memory_apart(kinds)
        became = ", ".join(f"{count} {word}" for word, count in sorted(found.became.items()))
        click.echo(f"| {name} | {found.before:.0f} | {found.most:.0f} | {found.seconds:.1f} | {became} |")


if __name__ == "__main__":
    main(sys.argv[1:])
