"""What verification keeps of a record and an entry stays within what is counted on when cases are verified in parts."""

from __future__ import annotations

import tracemalloc

from streams.audit.auditor import BYTES_A_RECORD, BYTES_AN_ENTRY
from streams.audit.verifier import ChainVerifier
from tests.unit.audit.audit_chains import Chain

CASES = 2_000


def test_memory_stays_within_what_is_counted_on() -> None:
    chain = Chain()
    for seed in range(CASES):
        chain.judged(seed)
    # As they come from a broker: no two facts share the objects that tests make them of.
    records = [record._replace(digest=bytes(bytearray(record.digest))) for record in chain.records]
    verifier = ChainVerifier(chain.limits())
    tracemalloc.start()
    for record in records:
        verifier.record(record)
    of_records = tracemalloc.get_traced_memory()[0]
    for entry in chain.entries:
        verifier.entry(entry)
    of_all = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert of_records / len(records) <= BYTES_A_RECORD
    assert (of_all - of_records) / len(chain.entries) <= BYTES_AN_ENTRY
    assert of_records / len(records) > BYTES_A_RECORD / 3
    assert verifier.report().clean
