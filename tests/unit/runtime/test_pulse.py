"""A worker in which something beside the records stands still is unwell, and stops in good order to be replaced."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: A limit on what must end; never waited for in full.
PATIENCE_S = 120.0
#: An escalation worker that never reaches a broker, and whose ticker has stood still for so many seconds.
PROGRAM = """
import asyncio, signal, sys
from schemas.serde import Serde
from streams.runtime.app import StageApp
from streams.stages.escalation.stage import EscalationStage
from streams.stages.escalation.ticker import Ticker
from streams.stages.grading.quarantine import Quarantine
from streams.stages.policy.file import packaged_policy

NOWHERE, STILL_S = "127.0.0.1:1", float(sys.argv[1])

async def main():
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    policy, serde, passed = packaged_policy(), Serde(f"http://{NOWHERE}"), [0.0]
    ticker = Ticker(NOWHERE, serde, monotonic=lambda: passed[0])
    app = StageApp(EscalationStage(policy, Quarantine(policy), serde, ticker), serde, NOWHERE, stall_s=30.0)
    await app.stage.start()
    passed[0] = STILL_S
    print(app.pulse.healthy())
    beating = asyncio.ensure_future(app.pulse.beating())
    if STILL_S > 60:
        await told.wait()
    else:
        for _ in range(10):
            await asyncio.sleep(0)
    print("told to stop" if told.is_set() else "goes on")
    beating.cancel()
    await app.stage.stop()

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("still_s", "health", "then"),
    [
        (1, (True, "ok"), "goes on"),
        (31, (False, "the ticker has not moved for 31 s"), "goes on"),
        (61, (False, "the ticker has not moved for 61 s"), "told to stop"),
    ],
)
def test_a_worker_whose_ticker_stands_still_is_unwell_and_then_replaced(
    still_s: int, health: tuple[bool, str], then: str
) -> None:
    command = [sys.executable, "-c", PROGRAM, str(still_s)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (ended.returncode, ended.stdout.splitlines()) == (0, [str(health), then]), ended.stderr[-2000:]
