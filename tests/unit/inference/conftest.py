"""Pictures and the packaged model, made once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from inference.predictor import Predictor
from inference.synthetic.generator import picture


@pytest.fixture(scope="session")
def wounds() -> list[bytes]:
    """Two generated pictures of every class, as JPEG."""
    return [picture(31, index).jpeg() for index in range(14)]


@pytest.fixture(scope="session")
def predictor() -> Iterator[Predictor]:
    """The active packaged version on LiteRT."""
    loaded = Predictor.load(batch_size=8)
    yield loaded
    loaded.close()
