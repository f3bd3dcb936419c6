"""The process that runs the inputs of one target: `python -m tests.fuzz.child TARGET SEED FIRST COUNT PROGRESS`.

It writes the number that it is at into PROGRESS before it takes it, so that whoever watches knows what it died of or
hangs at, and one line of JSON per finding to stdout; the last line sums up.
"""

from __future__ import annotations

import json
import logging
import mmap
import resource
import struct
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fuzz.targets import LIMITS, Limits, random_of, target

NUMBER = struct.Struct("q")
#: Inputs after which imports, caches and pools have what memory they take.
WARM_AFTER = 200


def take(
    name: str,
    seed: int,
    numbers: range,
    at: mmap.mmap | None = None,
    tell: Callable[[dict[str, Any]], None] = lambda _: None,
    limits: Limits = LIMITS,
) -> dict[str, Any]:
    """Run these inputs; what became of them, and the findings, each of which `tell` hears at once."""
    fuzzed = target(name)
    became: Counter[str] = Counter()
    findings: list[dict[str, Any]] = []

    def found(number: int, kind: str, detail: str) -> None:
        findings.append(finding(name, seed, number, kind, detail))
        tell(findings[-1])

    peak = _peak_mib()
    try:
        for done, number in enumerate(numbers):
            if at is not None:
                NUMBER.pack_into(at, 0, number)
            rng = random_of(name, seed, number)
            began = time.process_time()
            try:
                became[fuzzed.run(rng)] += 1
            except Exception as error:  # whatever it is: no documentation allows it
                found(number, type(error).__name__, _where(error))
            took, before, peak = time.process_time() - began, peak, _peak_mib()
            if took > limits.processor_s:
                found(number, "slow", f"{took:.1f} s of processor")
            if done > WARM_AFTER and peak - before > limits.memory_mib:
                found(number, "memory", f"{peak - before} MiB")
    finally:
        fuzzed.close()
    return {"inputs": len(numbers), "became": dict(became.most_common()), "findings": findings, "mib": peak}


def finding(name: str, seed: int, number: int, kind: str, detail: str) -> dict[str, Any]:
    """What is written down of an input that went wrong; it is enough to run it again."""
    return {"target": name, "seed": seed, "number": number, "kind": kind, "detail": detail}


def _where(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return f"{error}"[:300] + " | " + " > ".join(f"{Path(each.filename).name}:{each.lineno}" for each in frames)


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main(arguments: list[str]) -> None:
    """Run a stretch of inputs."""
    name, seed, first, count, progress = arguments
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    with Path(progress).open("r+b") as file, mmap.mmap(file.fileno(), NUMBER.size) as at:
        done = take(name, int(seed), range(int(first), int(first) + int(count)), at, _tell)
    _tell(done)


def _tell(said: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
