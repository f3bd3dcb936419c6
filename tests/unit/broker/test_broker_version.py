"""What a broker's supported features say of its release."""

from __future__ import annotations

import pytest

from ops.embedded import broker_config
from streams.broker import cluster_settings
from streams.broker.broker_version import line_of, loses_commits, warnings


@pytest.mark.parametrize(
    ("level", "line", "unsound"),
    [
        (25, "4.0", False),
        (27, "4.1", False),
        (29, "4.2", False),
        (30, "4.3", True),
        (33, "4.4", True),
        (34, "of metadata.version 34", False),
        (None, "of an unknown release", False),
    ],
)
def test_a_line_is_known_by_the_metadata_version_that_its_program_supports(
    level: int | None, line: str, unsound: bool
) -> None:
    assert (line_of(level), loses_commits(level)) == (line, unsound)


def test_an_unsound_broker_is_named_in_one_line_with_what_to_do() -> None:
    (line,) = warnings({1: 29, 2: 30, 3: None})
    assert line.startswith("broker 2 is Kafka 4.3: ")
    assert "run 4.2.2" in line
    assert "\n" not in line


def test_an_embedded_broker_is_set_to_what_is_asked_of_every_cluster() -> None:
    assert broker_config.OFFSETS_RETENTION_MINUTES == cluster_settings.OFFSETS_RETENTION_MINUTES
    assert broker_config.TRANSACTIONAL_ID_EXPIRATION_MS == cluster_settings.TRANSACTIONAL_ID_EXPIRATION_MS
    assert cluster_settings.TRANSACTIONAL_ID_EXPIRATION_MS < 2**31
