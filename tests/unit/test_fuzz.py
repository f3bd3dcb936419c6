"""A few of the mutated inputs of `python -m tests.fuzz`, which runs a million."""

from __future__ import annotations

import pytest

from tests.fuzz.child import take
from tests.fuzz.targets import SHARES, Limits

#: No bound on the time that an input takes: other things run beside this.
LENIENT = Limits(processor_s=600.0, memory_mib=2_048)
COUNTS = {"records": 150, "batches": 100, "values": 300, "states": 100, "lines": 200, "pictures": 400}


@pytest.mark.parametrize("name", SHARES)
def test_a_mutated_input_ends_as_documented(name: str) -> None:
    done = take(name, seed=11, numbers=range(COUNTS[name]), limits=LENIENT)
    assert done["findings"] == []
    assert sum(done["became"].values()) == COUNTS[name]
    assert len(done["became"]) > 1
