"""Which pictures a burst holds, and what may become of them."""

from __future__ import annotations

from ops.bench.worst_pictures import KINDS
from ops.chaos.bombs import BURST, TOO_DEAR, Bomb, burst
from schemas.events import ImageReference

BOMBS = [
    Bomb(kind, ImageReference(uri=f"file:///x/{at}", sha256="0" * 64, size_bytes=1, media_type="image/png"), reason)
    for at, (kind, reason) in enumerate(zip(KINDS, [None, "too_large"] * len(KINDS), strict=False))
]


def test_the_same_draw_gives_the_same_burst_of_different_pictures() -> None:
    assert burst(BOMBS, 0.3) == burst(BOMBS, 0.3) != burst(BOMBS, 0.4)
    assert len({bomb.kind for bomb in burst(BOMBS, 0.3)}) == BURST


def test_only_a_picture_that_no_model_may_see_must_be_refused() -> None:
    seen, unseen = BOMBS[:2]
    assert seen.refused == frozenset()
    assert unseen.refused == TOO_DEAR | {"too_large"}
