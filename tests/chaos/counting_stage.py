"""The counting stage on the real runtime, as a worker process of its own.

It does not look for duplicates: that would hide a transaction that is not atomic.
Run: python -m tests.chaos.counting_stage BOOTSTRAP REGISTRY [SECONDS]
Every partition's state takes SECONDS to read.
"""

from __future__ import annotations

import logging
import sys

from schemas.serde import Serde
from streams.runtime.app import StageApp
from streams.runtime.worker import leave, serve
from tests.counting import TOPICS, CountingStage


def main() -> None:
    bootstrap, registry, *seconds = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    serde = Serde(registry)
    serde.warm_up(TOPICS)
    CountingStage.deduplicates = False
    CountingStage.restore_s = float(*seconds)
    leave(serve(StageApp(CountingStage(), serde, bootstrap)))


if __name__ == "__main__":
    main()
