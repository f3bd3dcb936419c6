"""Coverage-guided, with atheris: `python -m tests.fuzz.coverage TARGET [FOLDER] [-max_total_time=S]`.

atheris is no dependency of ours: `pip install atheris` (wheels for Linux and Python 3.11 to 3.13). Its bytes take the
place of the random numbers from which an input is drawn, so that it learns which draws reach new code. Everything
behind the target's name goes to libFuzzer: a folder for its corpus, and its options. What it finds it writes to
`crash-…`, and `python -m tests.fuzz.coverage TARGET crash-…` runs that again.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import random
import sys
import warnings
from typing import Any

#: Whose code is watched: ours, and what decodes for us.
WATCHED = ("schemas", "streams", "inference", "ops", "fastavro", "aiokafka")


class Drawn(random.Random):
    """Random numbers out of given bytes; where they end, out of a generator that they seed."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0
        super().__init__(data)

    def getrandbits(self, k: int) -> int:
        """The next bits."""
        size = (k + 7) // 8
        part = self._data[self._at : self._at + size]
        self._at += size
        if len(part) < size:
            return super().getrandbits(k)
        return int.from_bytes(part, "big") >> (8 * size - k)

    def random(self) -> float:
        """The next number from 0 to 1, of two bytes."""
        return self.getrandbits(16) / 65_536


def main(arguments: list[str]) -> None:
    """Let atheris run a target; it ends the process at the first finding."""
    try:
        import atheris  # type: ignore[import-not-found]
    except ImportError:
        sys.exit("atheris is not installed: pip install atheris")
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    name = arguments[1]
    with atheris.instrument_imports(include=list(WATCHED), enable_loader_override=False):
        fuzzed: Any = importlib.import_module(f"tests.fuzz.{name}").Target()

    def one(data: bytes) -> None:
        fuzzed.run(Drawn(data))

    atheris.Setup([arguments[0], *arguments[2:]], one)
    with contextlib.suppress(KeyboardInterrupt):
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
