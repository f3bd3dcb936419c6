"""A trial tells what kills a process from what does not, whatever the child does; a record survives the wire."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.envelope.raw import RawRecord, plain_raw, raw_of
from streams.runtime import trial
from streams.runtime.trial import Trial, TrialUnavailableError, TrialVerdict

RAW = RawRecord(topic="t", partition=0, offset=7, timestamp_ms=1, key=b"k", value=b"\x00\xff", headers=(("h", None),))
#: A child that answers as the real one does up to some point.
HEAD = "import json, os, sys, time\nsay = lambda x: print(json.dumps(x), flush=True)\n"
READY = HEAD + "say({'ready': True})\nfor line in sys.stdin:\n    "
RECORD = f"say({{'record': json.loads({json.dumps(plain_raw(RAW))!r})}}); "
CHILDREN = {
    "sound": (READY + RECORD + "say({'handled': True})", TrialVerdict.SOUND),
    "dies of handling it": (READY + RECORD + "os.abort()", TrialVerdict.KILLS),
    "does not come back from handling it": (READY + RECORD + "time.sleep(300)", TrialVerdict.KILLS),
    "dies of reading it": (READY + "os.abort()", TrialVerdict.UNREADABLE),
    "says nonsense": (READY + "print('}', flush=True)", TrialVerdict.UNREADABLE),
    "nothing there": (READY + "say({'none': True, 'offset': 9})", TrialVerdict.NONE),
}


async def examined(child: str) -> trial.Tried:
    trying = Trial((sys.executable, "-c", child), limit_s=-4.0)
    try:
        return await trying.examine("t", 0, 7)
    finally:
        await trying.close()


@pytest.mark.parametrize("name", CHILDREN)
def test_what_becomes_of_the_child_is_the_verdict(name: str) -> None:
    child, verdict = CHILDREN[name]
    tried = asyncio.run(examined(child))
    assert tried.verdict is verdict
    assert tried.raw == (RAW if verdict in (TrialVerdict.SOUND, TrialVerdict.KILLS) else None)


@pytest.mark.parametrize(("end", "from_outside"), [("os.kill(os.getpid(), 9)", True), ("os.abort()", False)])
def test_whether_somebody_else_may_have_killed_the_child_is_told(end: str, from_outside: bool) -> None:
    """A machine that is short of memory kills it too: one such death says nothing of the record."""
    tried = asyncio.run(examined(READY + RECORD + end))
    assert (tried.verdict, tried.from_outside) == (TrialVerdict.KILLS, from_outside)


@pytest.mark.parametrize("child", ["raise SystemExit(1)", HEAD + "print('no json', flush=True)"])
def test_a_child_that_does_not_begin_says_nothing_of_a_record(child: str) -> None:
    with pytest.raises(TrialUnavailableError):
        asyncio.run(examined(child))


def test_a_broker_that_is_away_says_nothing_of_a_record() -> None:
    with pytest.raises(TrialUnavailableError):
        asyncio.run(examined(READY + "say({'failed': True})"))


@given(
    st.builds(
        RawRecord,
        topic=st.text(),
        partition=st.integers(min_value=0),
        offset=st.integers(min_value=0),
        timestamp_ms=st.integers(),
        key=st.none() | st.binary(),
        value=st.none() | st.binary(),
        headers=st.lists(st.tuples(st.text(), st.none() | st.binary())).map(tuple),
        held=st.booleans(),
        size=st.none() | st.integers(min_value=0),
        sha256=st.none() | st.text(),
    )
)
def test_any_record_survives_the_wire(raw: RawRecord) -> None:
    assert raw_of(json.loads(json.dumps(plain_raw(raw)))) == raw
