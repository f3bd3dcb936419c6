"""A valid chain is clean, whatever its shape; any single tampering is found, and named for what it is."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid5

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from schemas.ids import NAMESPACE
from streams import topics
from streams.audit.facts import INTO, EntryFact, RecordFact
from streams.audit.limits import ERASED, Limits
from streams.audit.report import Kind, Report
from streams.audit.verifier import verify
from tests.unit.audit.audit_chains import HUMAN, PARTITIONS, Chain, digest

settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")


@st.composite
def chains(draw: st.DrawFn, min_cases: int = 1) -> Chain:
    chain = Chain()
    for seed in range(draw(st.integers(min_cases, 5))):
        if draw(st.integers(0, 3)) == 0:
            chain.pointed(seed, unread=draw(st.booleans()))
        elif draw(st.booleans()):
            chain.judged(seed, draw(st.integers(0, 3)), draw(st.integers(1, 4)), answered=draw(st.booleans()))
        else:
            chain.quarantined(seed, redriven=draw(st.booleans()), readable=draw(st.booleans()))
    return chain


def report(chain: Chain, limits: Limits | None = None) -> Report:
    return verify(chain.records, chain.entries, limits or chain.limits())


def kinds(chain: Chain, limits: Limits | None = None) -> set[Kind]:
    found = report(chain, limits)
    assert sum(found.broken.values()) == len(found.findings)
    return set(found.broken)


def one_case(**shape: int | bool) -> Chain:
    chain = Chain()
    chain.judged(1, **shape)  # type: ignore[arg-type]
    return chain


def at(chain: Chain, topic: str) -> int:
    return next(index for index, record in enumerate(chain.records) if record.topic == topic)


@given(chains(0))
def test_a_valid_chain_is_clean(chain: Chain) -> None:
    found = report(chain)
    assert found.clean, found.findings
    assert sum(found.records.values()) == len(chain.records)
    assert found.pending == found.expired == found.recent == 0


@given(chains(0), st.randoms())
def test_a_valid_chain_is_clean_in_whatever_order_its_partitions_are_read(chain: Chain, random: st.DataObject) -> None:
    random.shuffle(chain.records)  # type: ignore[attr-defined]
    chain.entries.sort(key=lambda entry: (entry.partition, entry.offset))
    assert report(chain).clean


@given(chains(), st.data())
def test_a_changed_record_is_found_and_named(chain: Chain, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(chain.records) - 1))
    record = chain.records[index]
    # What nobody has read has no hash that could tell.
    assume((record.topic, record.partition, record.offset) not in chain.unread)
    chain.records[index] = record._replace(digest=digest("forged"))
    found = report(chain)
    named = [(f.kind, f.topic, f.partition, f.offset) for f in found.findings]
    if record.topic in INTO and not _claimed_once(chain, record):
        # A case in quarantine has no entry under its own id; what the dead letters speak of is gone.
        assert Kind.REMOVED in found.broken
        assert found.repeated or (Kind.FOREIGN, record.topic, record.partition, record.offset) in named
    else:
        assert (Kind.CHANGED, record.topic, record.partition, record.offset) in named


@given(chains(), st.data())
def test_a_removed_record_is_found_and_named(chain: Chain, data: st.DataObject) -> None:
    gone = chain.records.pop(data.draw(st.integers(0, len(chain.records) - 1)))
    # A reader may have to go past what no stage could read.
    assume((gone.topic, gone.partition, gone.offset) not in chain.unread)
    found = report(chain)
    assert set(found.broken) == {Kind.REMOVED}
    assert gone.topic in found.findings[0].detail
    assert found.findings[0].case_id == UUID(bytes=gone.case_id)


@given(chains(0), st.sampled_from(sorted(topics.ESCALATIONS.values())), st.sampled_from([None, digest("own")]))
def test_a_foreign_record_is_found_and_named(chain: Chain, topic: str, event: bytes | None) -> None:
    foreign = chain.record(topic, UUID(int=7), UUID(int=8))._replace(event_id=event and event[:16])
    chain.records[-1] = foreign
    found = report(chain)
    assert [(f.kind, f.topic, f.offset) for f in found.findings] == [(Kind.FOREIGN, topic, foreign.offset)]


@given(chains(), st.data())
def test_two_records_that_changed_their_values_are_found(chain: Chain, data: st.DataObject) -> None:
    places = [i for i, r in enumerate(chain.records) if r.topic not in INTO and r.topic != topics.DEAD_LETTERS]
    pairs = [(a, b) for a in places for b in places if a < b and chain.records[a].digest != chain.records[b].digest]
    if not pairs:
        return
    a, b = data.draw(st.sampled_from(pairs))
    first, second = chain.records[a], chain.records[b]
    value = ("event_id", "digest", "basis")
    chain.records[a] = first._replace(**{n: getattr(second, n) for n in value}, sound=first.case_id == second.case_id)
    chain.records[b] = second._replace(**{n: getattr(first, n) for n in value}, sound=first.case_id == second.case_id)
    if (first.topic, first.case_id) != (second.topic, second.case_id):
        assert kinds(chain) & {Kind.CHANGED, Kind.REMOVED, Kind.FOREIGN}


@given(chains(), st.data())
def test_a_record_written_twice_is_found_and_named(chain: Chain, data: st.DataObject) -> None:
    record = data.draw(st.sampled_from(chain.records))
    chain.records.append(record._replace(offset=record.offset + 1_000))
    limits = replace(chain.limits(), taken_up=dict.fromkeys(chain.limits().taken_up, 10_000))
    found = report(chain, limits)
    if record.topic in INTO:
        # Producers may publish an event again: it is left out and counted. One that no entry names by id (it lies in
        # quarantine, unreadable) cannot be told from new bytes that a stage has passed over.
        assert found.repeated or set(found.broken) == {Kind.FOREIGN}
    else:
        assert [(f.kind, f.offset) for f in found.findings] == [(Kind.DOUBLED, record.offset + 1_000)]


@given(chains(), st.data())
def test_a_removed_entry_is_found(chain: Chain, data: st.DataObject) -> None:
    entry = chain.entries.pop(data.draw(st.integers(0, len(chain.entries) - 1)))
    if (
        entry.outcome == "redriven"
        or entry.outcome.startswith("merged")
        or (entry.stage == "ingest" and _quarantined(entry.case_id, chain))
    ):
        # Nothing else is wrong with a case that was sent again, except that a link or a demand is missing.
        assert kinds(chain) <= {Kind.LOST, Kind.BROKEN_LINK, Kind.FOREIGN}
    else:
        assert kinds(chain) & {Kind.FOREIGN, Kind.BROKEN_LINK}


@given(chains(), st.data(), st.sampled_from(["output", "input", "subject", "basis", "sound", "stage", "topic"]))
def test_a_changed_entry_is_found(chain: Chain, data: st.DataObject, what: str) -> None:
    index = data.draw(st.integers(0, len(chain.entries) - 1))
    entry = chain.entries[index]
    changes: dict[str, object] = {
        "output": digest("forged"),
        "input": digest("forged"),
        "subject": digest("forged")[:16],
        "basis": b"forged!!",
        "sound": False,
        "stage": "inference" if entry.stage != "inference" else "grading",
        "topic": "vigia.nowhere",
    }
    if what == "basis" and not entry.basis:
        return
    if (entry.outcome == "redriven" or entry.outcome.startswith("merged")) and what in ("subject", "basis", "topic"):
        return
    # What has a hash was read.
    unread = None if what == "input" else entry.unread
    chain.entries[index] = entry._replace(**{what: changes[what], "unread": unread})
    assert kinds(chain)


@given(chains(), st.data())
def test_a_hand_made_entry_is_found(chain: Chain, data: st.DataObject) -> None:
    real = data.draw(st.sampled_from(chain.entries))
    forged = real._replace(event_id=b"f" * 16, subject=b"f" * 16, output=digest("nothing"), offset=0)
    chain.entries.append(forged)
    assert kinds(chain)


@given(chains(), st.data(), st.booleans())
def test_an_entry_written_again_is_found_and_named(chain: Chain, data: st.DataObject, same: bool) -> None:
    real = data.draw(st.sampled_from(chain.entries))
    chain.entries.append(real if same else real._replace(content=b"another!"))
    assert kinds(chain) == ({Kind.DOUBLED} if same else {Kind.ENTRY_CHANGED})


def test_what_its_stage_has_not_read_is_pending() -> None:
    chain = one_case()
    behind = chain.limits()
    for topic in (topics.CASES_ROUTINE, topics.ACKNOWLEDGEMENTS):
        chain.record(topic, UUID(int=3), UUID(int=4))
    found = report(chain, behind)
    assert found.clean
    assert found.pending == 2
    assert kinds(chain) == {Kind.FOREIGN}


def test_a_record_older_than_its_retention_is_expired_and_a_younger_one_removed() -> None:
    chain = one_case()
    gone = chain.records.pop(at(chain, topics.INFERENCES))
    entry = next(e for e in chain.entries if e.subject == gone.event_id)
    kept = replace(chain.limits(), kept_since={topics.INFERENCES: entry.decided_ms + 1})
    assert report(chain, kept).clean
    assert report(chain, kept).expired == 1
    assert kinds(chain, replace(kept, kept_since={topics.INFERENCES: entry.decided_ms})) == {Kind.REMOVED}


def test_an_entry_newer_than_the_snapshot_may_lack_its_record_and_its_link() -> None:
    chain = one_case()
    old = chain.limits()
    new = chain.record(HUMAN, UUID(int=1), UUID(int=2))
    chain.records.pop()
    chain.entry("escalation", new, digest("not read yet"))
    found = report(chain, replace(old, settled={**old.settled}))
    assert found.clean
    assert found.recent == 1


def test_only_the_first_broken_link_of_a_chain_is_named() -> None:
    chain = one_case(escalations=2, levels=3)
    ingest = next(i for i, entry in enumerate(chain.entries) if entry.stage == "ingest")
    chain.entries.pop(ingest)
    found = report(chain)
    assert sorted(f.kind for f in found.findings) == [Kind.BROKEN_LINK, Kind.FOREIGN]


def test_entries_that_lead_in_a_circle_hang_on_nothing() -> None:
    chain = Chain()
    case = UUID(int=1)
    first, second = chain.record(HUMAN, case, UUID(int=2)), chain.record(HUMAN, case, UUID(int=3))
    chain.entry("escalation", first, second.digest)
    chain.entry("escalation", second, first.digest)
    assert kinds(chain) == {Kind.BROKEN_LINK}


@pytest.mark.parametrize("parent", [topics.GRADINGS, topics.CASES_ROUTINE])
def test_an_entry_must_not_hang_on_another_case(parent: str) -> None:
    chain = one_case()
    other = chain.record(HUMAN, UUID(int=9), UUID(int=2))
    chain.entry("escalation", other, chain.records[at(chain, parent)].digest)
    assert kinds(chain) == {Kind.BROKEN_LINK}


def test_a_decision_that_hangs_on_nothing_at_all_is_a_broken_link() -> None:
    chain = one_case()
    decided = chain.record(HUMAN, UUID(int=9), UUID(int=2))
    chain.entry("escalation", decided, None)
    assert kinds(chain) == {Kind.BROKEN_LINK}


def test_an_event_sent_again_once_explains_one_copy_and_no_more() -> None:
    chain = one_case(escalations=0)
    inferred = chain.records[at(chain, topics.INFERENCES)]
    letter = chain.record(topics.DEAD_LETTERS, UUID(bytes=inferred.case_id), UUID(int=4), digest=inferred.digest)
    chain.entry("quarantine", letter, inferred.digest, "dead_letter:x", origin=topics.INFERENCES)
    redrive = inferred._replace(event_id=UUID(int=5).bytes)
    chain.entry("quarantine", redrive, inferred.digest, "redriven")
    chain.records.append(inferred._replace(offset=inferred.offset + 1))
    assert report(chain).clean
    chain.records.append(inferred._replace(offset=inferred.offset + 2))
    found = report(chain)
    assert [(f.kind, f.offset) for f in found.findings] == [(Kind.DOUBLED, inferred.offset + 2)]


def test_one_of_two_escalations_removed_together_with_its_entry_is_missed() -> None:
    chain = one_case(escalations=2)
    gone = chain.records.pop()
    chain.entries = [entry for entry in chain.entries if entry.subject != gone.event_id]
    found = report(chain)
    assert [(f.kind, f.topic) for f in found.findings] == [(Kind.LOST, topics.GRADINGS)]


@pytest.mark.parametrize("last", [topics.GRADINGS, HUMAN])
def test_a_decision_removed_together_with_its_entry_is_missed_by_what_should_follow(last: str) -> None:
    chain = Chain()
    chain.quarantined(1) if last == HUMAN else chain.judged(1, escalations=0)
    gone = chain.records.pop(at(chain, last))
    chain.entries = [entry for entry in chain.entries if entry.subject != gone.event_id]
    assert kinds(chain) == {Kind.LOST}


def test_a_record_under_the_key_of_another_case_is_changed() -> None:
    chain = one_case()
    index = at(chain, HUMAN if HUMAN in {r.topic for r in chain.records} else topics.ESCALATIONS_EMERGENCY)
    chain.records[index] = chain.records[index]._replace(case_id=UUID(int=5).bytes, sound=False)
    assert kinds(chain) == {Kind.CHANGED}


def test_an_entry_on_a_partition_that_is_not_its_cases_is_foreign() -> None:
    chain = one_case(escalations=0)
    chain.entries[-1] = chain.entries[-1]._replace(partition=(chain.entries[-1].partition + 1) % PARTITIONS)
    assert Kind.ENTRY_FOREIGN in kinds(chain)


def test_the_same_case_published_twice_counts_once() -> None:
    chain = one_case()
    first = chain.records[0]
    chain.records.append(first._replace(offset=99, digest=digest("published again, later")))
    found = report(chain, replace(chain.limits(), taken_up={(first.topic, first.partition): 100}))
    assert found.clean
    assert found.repeated == 1


def test_an_event_id_used_again_for_something_else_is_a_finding_unless_people_were_asked() -> None:
    chain = one_case()
    first = chain.records[0]
    other = first._replace(offset=99, digest=digest("another patient's"), basis=b"another8")
    chain.records.append(other)
    limits = replace(chain.limits(), taken_up={(first.topic, first.partition): 100})
    found = report(chain, limits)
    assert found.repeated == 0
    assert [(each.kind, each.offset) for each in found.findings] == [(Kind.REUSED, 99)]


def test_an_erased_case_leaves_traces_that_are_no_findings_but_excuses_nothing_later() -> None:
    chain = Chain()
    erased = chain.judged(1, escalations=2)
    kept = chain.judged(2)
    chain.entries = [entry for entry in chain.entries if entry.case_id == kept.bytes]
    assert Kind.FOREIGN in kinds(chain)
    marker = chain.record(HUMAN, erased, UUID(int=6))
    chain.records.pop()
    chain.entry("control", marker, None, ERASED, topic=topics.AUDIT)
    found = report(chain)
    assert found.clean
    left = [record for record in chain.records if record.case_id == erased.bytes]
    assert (found.erased, found.erased_cases) == (len(left), 1)
    chain.record(HUMAN, erased, UUID(int=7))
    assert kinds(chain) == {Kind.FOREIGN}


def _claimed_once(chain: Chain, record: RecordFact) -> bool:
    same = [r for r in chain.records if (r.topic, r.event_id) == (record.topic, record.event_id)]
    return len(same) == 1 and any(
        (e.topic, e.subject) == (record.topic, record.event_id) and e.outcome != "redriven" for e in chain.entries
    )


def _quarantined(case_id: bytes, chain: Chain) -> bool:
    return any(e.case_id == case_id and e.outcome.startswith("dead_letter") for e in chain.entries)


def remark(chain: Chain, order: RecordFact, case: UUID, **changes: object) -> EntryFact:
    """The entry with which an inference stage audits a change of models, at the first case judged after it."""
    assert order.event_id is not None
    entry = chain.entry(
        "control",
        order._replace(case_id=case.bytes, event_id=uuid5(case, "change").bytes, basis=b""),
        None,
        "model_promoted",
    )._replace(subject=order.event_id, **changes)
    chain.entries[-1] = entry
    return entry


def order_of(chain: Chain) -> RecordFact:
    return chain.record(topics.MODEL_CONTROL, uuid5(NAMESPACE, "active"), uuid5(NAMESPACE, "order"), basis=b"")


def test_a_change_of_models_breaks_no_chain() -> None:
    chain = Chain()
    case, order = chain.judged(1), order_of(chain)
    remark(chain, order, case)
    found = report(chain)
    assert found.clean, found.findings
    assert topics.MODEL_CONTROL not in found.records


def test_an_order_that_compaction_removed_is_no_finding() -> None:
    chain = Chain()
    case, order = chain.judged(1), order_of(chain)
    chain.records.remove(order)
    remark(chain, order, case)
    found = report(chain)
    assert found.clean
    assert found.expired == 1


def test_a_change_of_models_under_another_order_than_the_published_one_is_found() -> None:
    chain = Chain()
    case, order = chain.judged(1), order_of(chain)
    remark(chain, order, case, output=digest("another order"))
    assert report(chain).broken[Kind.ENTRY_CHANGED] == 1


def test_no_other_stage_may_write_of_an_order() -> None:
    chain = Chain()
    case, order = chain.judged(1), order_of(chain)
    remark(chain, order, case, stage="grading")
    assert report(chain).broken[Kind.ENTRY_FOREIGN] == 1
