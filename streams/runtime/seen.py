"""Ids of events that were processed, remembered for a while: compact in memory, the oldest dropped first.

A dict of a million ids takes some 180 MB; these take 32 bytes each. Marks lie in blocks, in the order in which they
came, each block with a hash index of its own; what is dropped leaves from the oldest block.
"""

from __future__ import annotations

from array import array
from collections import deque
from enum import Enum
from itertools import islice
from struct import Struct

#: Id, epoch seconds, first bytes of the content's SHA-256.
_MARK = Struct(">16sI8s")
#: First eight bytes of a SHA-256. Two contents under one id are told apart but for one in 2⁶⁴.
CONTENT_BYTES = 8
#: Content of a mark that an older version wrote without one.
_UNKNOWN = bytes(CONTENT_BYTES)
#: Marks per block: positions fit two bytes. A lookup asks every block, about 2 µs each.
_BLOCK = 0xFFFF
_EMPTY = 0xFFFF
_LEAST_SLOTS = 64


class Seen(Enum):
    """What is known of an event."""

    NEW = "new"
    """Nothing: it is to be processed."""
    SAME = "same"
    """It was processed, with this content."""
    OTHER = "other"
    """An event with this id was processed, with other content."""


class Marks:
    """Event id → when it was processed, and the beginning of its content's hash."""

    def __init__(self) -> None:
        self._blocks: deque[_Block] = deque([_Block()])
        self._live = 0

    def __len__(self) -> int:
        return self._live

    @property
    def size_bytes(self) -> int:
        """Bytes held, but for some hundred per block."""
        return sum(block.size_bytes for block in self._blocks)

    def look(self, event_id: bytes, content: bytes) -> Seen:
        """What is known of the event; `content` are the first `CONTENT_BYTES` of its hash."""
        for block in reversed(self._blocks):
            at = block.find(event_id)
            if at >= 0:
                _, time_s, known = block.get(at)
                if time_s == 0:
                    return Seen.NEW
                return Seen.SAME if known in (content, _UNKNOWN) or content == _UNKNOWN else Seen.OTHER
        return Seen.NEW

    def mark(self, event_id: bytes, at_s: int, content: bytes = _UNKNOWN) -> None:
        """Remember it. A known id takes the new time and content, and its place among the oldest stays."""
        for block in reversed(self._blocks):
            at = block.find(event_id)
            if at >= 0:
                self._live += block.get(at)[1] == 0
                block.put(at, event_id, at_s, content)
                return
        if self._blocks[-1].full:
            self._blocks.append(_Block())
        self._blocks[-1].add(event_id, at_s, content)
        self._live += 1

    def restore(self, event_id: bytes, at_s: int, content: bytes) -> None:
        """Like `mark`, for what is read at a takeover: looks only among the newest, so that a million take seconds.

        An id that came before stays there a second time, behind the newer one.
        """
        block = self._blocks[-1]
        at = block.find(event_id)
        if at >= 0:
            self._live += block.get(at)[1] == 0
            block.put(at, event_id, at_s, content)
            return
        if block.full:
            block = _Block()
            self._blocks.append(block)
        block.add(event_id, at_s, content)
        self._live += 1

    def forget(self, event_id: bytes) -> None:
        """Take the event for one not seen; an id that is not there is no error."""
        for block in reversed(self._blocks):
            at = block.find(event_id)
            if at >= 0:
                self._live -= block.get(at)[1] != 0
                block.put(at, event_id, 0, _UNKNOWN)

    def drop(self, before_s: int, most: int, limit: int) -> list[bytes]:
        """Drop what was marked before `before_s`, and the oldest beyond `most`; at most `limit`. Returns their ids."""
        dropped: list[bytes] = []
        while len(dropped) < limit:
            block = self._blocks[0]
            if block.head == block.count:
                if len(self._blocks) == 1:
                    return dropped
                self._blocks.popleft()
                continue
            event_id, time_s, _ = block.get(block.head)
            if time_s != 0:
                if time_s >= before_s and self._live <= most:
                    return dropped
                if not any(newer.find(event_id) >= 0 for newer in islice(self._blocks, 1, None)):
                    dropped.append(event_id)
                self._live -= 1
                block.put(block.head, event_id, 0, _UNKNOWN)
            block.head += 1
        return dropped


class _Block:
    """At most `_BLOCK` marks; open addressing, at most half full. A time of 0 stands for a mark that is gone."""

    __slots__ = ("_index", "_marks", "_mask", "head")

    def __init__(self) -> None:
        self._marks = bytearray()
        self.head = 0
        self._new_index(_LEAST_SLOTS)

    @property
    def count(self) -> int:
        return len(self._marks) // _MARK.size

    @property
    def full(self) -> bool:
        return self.count >= _BLOCK

    @property
    def size_bytes(self) -> int:
        return len(self._marks) + len(self._index) * self._index.itemsize

    def get(self, at: int) -> tuple[bytes, int, bytes]:
        mark: tuple[bytes, int, bytes] = _MARK.unpack_from(self._marks, at * _MARK.size)
        return mark

    def put(self, at: int, event_id: bytes, time_s: int, content: bytes) -> None:
        _MARK.pack_into(self._marks, at * _MARK.size, event_id, time_s, content)

    def find(self, event_id: bytes) -> int:
        # Python's hash of bytes has a secret of the process in it: nobody outside can choose ids that collide.
        slot, index, mask = hash(event_id) & self._mask, self._index, self._mask
        while (at := index[slot]) != _EMPTY:
            start = at * _MARK.size
            if self._marks[start : start + 16] == event_id:
                return at
            slot = (slot + 1) & mask
        return -1

    def add(self, event_id: bytes, time_s: int, content: bytes) -> None:
        at = self.count
        self._marks += _MARK.pack(event_id, time_s, content)
        if 2 * (at + 1) > len(self._index):
            self._new_index(2 * len(self._index))
            for old in range(at):
                self._enter(self.get(old)[0], old)
        self._enter(event_id, at)

    def _enter(self, event_id: bytes, at: int) -> None:
        slot = hash(event_id) & self._mask
        while self._index[slot] != _EMPTY:
            slot = (slot + 1) & self._mask
        self._index[slot] = at

    def _new_index(self, slots: int) -> None:
        self._index = array("H", [_EMPTY]) * slots
        self._mask = slots - 1
