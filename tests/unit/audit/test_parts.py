"""What verification costs grows with the entries: verified in parts as well, and whatever somebody publishes again."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import uuid5

import pytest

from streams import topics
from streams.audit.limits import Limits
from streams.audit.parts import NoRoomError, Parts
from streams.audit.report import Report
from streams.audit.verifier import verify
from tests.unit.audit.audit_chains import Chain, digest


def many() -> Chain:
    chain = Chain()
    for seed in range(60):
        chain.judged(seed, escalations=2, levels=2, answered=True)
        chain.quarantined(seed, redriven=seed % 2 == 0)
        chain.pointed(seed, unread=seed % 2 == 0)
    return chain


def in_parts(chain: Chain, limits: Limits, count: int) -> Report:
    with Parts(limits, count) as parts:
        for record in chain.records:
            parts.record(record)
        for entry in chain.entries:
            parts.entry(entry)
        return parts.report()


def told(report: Report) -> dict[str, Any]:
    """The report; findings of parts come in another order."""
    told = report.as_json()
    return {**told, "findings": sorted(map(str, told["findings"]))}


@pytest.mark.parametrize("count", [2, 7, 1000])
def test_parts_find_what_one_verification_finds(count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    chain = many()
    limits = chain.limits()
    assert told(in_parts(chain, limits, count)) == told(verify(chain.records, chain.entries, limits))
    del chain.records[5::17]
    chain.entries[3::19] = [entry._replace(output=digest("other", entry.offset)) for entry in chain.entries[3::19]]
    whole = verify(chain.records, chain.entries, limits)
    assert len(whole.broken) > 2
    assert told(in_parts(chain, limits, count)) == told(whole)
    assert list(tmp_path.iterdir()) == [], "what was laid on disk goes with the verification"


def test_a_folder_that_takes_nothing_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(NoRoomError, match="set TMPDIR"):
        Parts(Limits(), 2)


def answered_again(times: int) -> Chain:
    """One answer that is published again and again, each time with other content."""
    chain = Chain()
    case = chain.judged(0, answered=True)
    answer = chain.records[-1]
    for at in range(times):
        again = chain.record(topics.ACKNOWLEDGEMENTS, case, uuid5(case, "answer 0"), digest=digest(at))
        named = again._replace(event_id=uuid5(case, f"again {at}").bytes)
        chain.entry("acknowledgement", named, answer.digest, "acknowledge:unchanged", subject=again.event_id)
    return chain


def judged(times: int) -> Chain:
    chain = Chain()
    for seed in range(times):
        chain.judged(seed)
    return chain


@pytest.mark.parametrize("make", [judged, answered_again])
def test_twice_as_much_is_twice_the_work(make: Callable[[int], Chain]) -> None:
    small, large = calls(make(200)), calls(make(400))
    assert large < 2.2 * small


def calls(chain: Chain) -> int:
    """Functions called while this chain is verified: the work, on any machine."""
    count = 0

    def on_call(_: FrameType, event: str, __: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    limits, before = chain.limits(), sys.getprofile()
    sys.setprofile(on_call)
    try:
        verify(chain.records, chain.entries, limits)
    finally:
        sys.setprofile(before)
    return count
