"""The memory of workers and of what they start, looked at until told to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

#: Seconds between two looks: a picture that is decoded lives longer.
LOOK_S = 0.1
_MIB = 2**20


class Peak:
    """The highest memory of any worker with its children since the last `reset`, in MiB.

    The kernel's own high-water mark of each process (VmHWM) sees what falls between two looks; shared pages count once
    in the sum (PSS), which is taken at each look.
    """

    def __init__(self, workers: Callable[[], Mapping[int, str]]) -> None:
        self._workers = workers
        self._lock = threading.Lock()
        self._most: dict[str, float] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def reset(self) -> None:
        """Forget what was seen, and the kernel's high-water marks."""
        with self._lock:
            self._most.clear()
        for pid in self._workers():
            for process in _family(pid):
                with suppress(OSError):
                    Path(f"/proc/{process}/clear_refs").write_text("5")

    def most(self) -> tuple[float, str]:
        """MiB, and which worker had them."""
        self._look()
        with self._lock:
            return max(((mib, name) for name, mib in self._most.items()), default=(0.0, ""))

    def close(self) -> None:
        """Stop looking."""
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(LOOK_S):
            self._look()

    def _look(self) -> None:
        for pid, name in self._workers().items():
            family = _family(pid)
            now = max(sum(map(_pss, family)), *map(_high_water, family), 0.0)
            with self._lock:
                self._most[name] = max(now, self._most.get(name, 0.0))


def _family(pid: int) -> list[int]:
    with suppress(psutil.Error):
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    return [pid]


def _pss(pid: int) -> float:
    return _field(f"/proc/{pid}/smaps_rollup", "Pss:")


def _high_water(pid: int) -> float:
    return _field(f"/proc/{pid}/status", "VmHWM:")


def _field(path: str, name: str) -> float:
    with suppress(OSError, ValueError):
        for line in Path(path).read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024 / _MIB
    return 0.0
