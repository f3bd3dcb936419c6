"""What stands before the registry of a campaign: passes on what is said, and says what no registry would."""

from __future__ import annotations

import pytest

from ops.chaos.front import ANSWERS, Front
from ops.embedded.ports import LOOPBACK, free_ports
from schemas.errors import RegistryUnavailableError
from schemas.registry import Registry


def refused(url: str) -> str:
    with Registry(url, retries=0) as registry, pytest.raises(RegistryUnavailableError) as caught:
        registry.schema_id("any-value", '"string"')
    return str(caught.value)


@pytest.mark.parametrize("lie", ANSWERS)
def test_no_answer_of_these_says_anything_of_a_schema(lie: str) -> None:
    with Front(f"http://{LOOPBACK}:{free_ports(1)[0]}/api") as front, front.lying(ANSWERS[lie]):
        refused(front.url)
        assert front.lie is ANSWERS[lie]
    assert front.lie is None


def test_what_is_behind_it_is_heard_through_it() -> None:
    nobody = f"http://{LOOPBACK}:{free_ports(1)[0]}/api"
    with Front(nobody) as inner, Front(inner.url) as outer:
        with inner.lying(ANSWERS["422 to every question"]):
            assert "HTTP 422: no" in refused(outer.url)
        assert "HTTP" not in refused(outer.url)
