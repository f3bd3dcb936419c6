"""Carries the attacks out one after the other on a living system, and measures what each has cost."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from confluent_kafka import KafkaException

from ops.attacks.attack import Attack, AttackOutcome
from ops.attacks.field import AttackError, Field
from ops.attacks.target import Target
from ops.attacks.witness import ESCALATIONS, Placed
from ops.terminal.plain import plain
from schemas.errors import ContractError
from schemas.events import CaseEvent

#: Seconds that an answer is waited for; then it is "never".
PATIENCE_S = 60.0
#: After an attack a system serves if an emergency on every partition is escalated within so long.
SERVES_WITHIN_S = 30.0
#: A record that a reader of committed records sees later than this after it was written was hidden.
HIDDEN_MS = 2_000


def run(
    attacks: Mapping[str, Attack],
    vigia: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
    patience_s: float = PATIENCE_S,
) -> Iterator[AttackOutcome]:
    """The attacks, in order, on a system that this starts; one that does not serve any more is replaced.

    `vigia` is the program of the version that is attacked; this one unless given. Raises TargetError.
    """
    with tempfile.TemporaryDirectory(prefix="vigia-attacks-", ignore_cleanup_errors=True) as folder:
        target = Target(Path(folder), vigia)
        field: Field | None = None
        try:
            tell("starting the system")
            target.start()
            for name, attack in attacks.items():
                if field is None:
                    field = _entered(target, patience_s)
                tell(name)
                outcome = measured(field, name, attack, patience_s)
                yield outcome
                if outcome.killed:
                    tell("replacing the system")
                    field.close()
                    field = None
                    target.replace()
        finally:
            if field is not None:
                field.close()
            target.stop()


def _entered(target: Target, patience_s: float) -> Field:
    """The field of a fresh system, in which a first emergency has been through all stages."""
    field = Field.of(target)
    field.prepare()
    _serves(field, patience_s)
    return field


def measured(
    field: Field, name: str, attack: Attack, patience_s: float = PATIENCE_S, *, probe: bool = True
) -> AttackOutcome:
    """One attack, the emergency behind it, and what became of both. `probe`: see whether the system serves then."""
    target, witness = field.target, field.witness
    field.prepare()
    witness.forget()
    assert target.peak is not None
    target.peak.reset()
    before = len(target.endings())
    refused = ""
    try:
        attack.strike(field)
    except (ContractError, AttackError, KafkaException) as error:
        refused = plain(error)[:200]
    waited = _waited(field, patience_s)
    witness.until(lambda: not witness.unanswered(field.sent), patience_s if waited is not None else 1.0)
    unanswered = witness.unanswered(field.sent)
    answered = [one for one in field.sent if one not in unanswered]
    # The audit's entry is in the transaction of the answer; its topic may be read a moment later.
    witness.until(lambda: all(map(witness.audited, answered)), 5.0)
    wrong = "" if refused else attack.after(field)
    serves = not probe or _serves(field, SERVES_WITHIN_S if waited is not None else 5.0)
    peak, _ = target.peak.most()
    return AttackOutcome(
        name=name,
        origin=attack.origin,
        waited_s=waited,
        sent=len(field.sent),
        unanswered=len(unanswered),
        unaudited=sum(not witness.audited(one) for one in answered),
        restarts=len(target.endings()) - before,
        peak_mib=peak,
        wrong=wrong,
        refused=refused,
        killed=not serves,
    )


def _waited(field: Field, patience_s: float) -> float | None:
    """Publish the sound emergency, and see when its first escalation is written, by the broker's clock."""
    sent: list[Placed] = []
    field.sent, attacked = sent, field.sent
    try:
        field.send_case(field.sound)
    finally:
        field.sent = attacked
    wanted = sorted(ESCALATIONS)
    if not field.witness.until(lambda: bool(field.witness.of(field.sound.case_id, *wanted)), patience_s):
        return None
    seen_ms = time.time() * 1_000
    raised: int = field.witness.of(field.sound.case_id, *wanted)[0].timestamp()[1]
    # By the broker's clock, unless it was written and nobody could read it.
    return max(0, (seen_ms if seen_ms - raised > HIDDEN_MS else raised) - sent[0].timestamp_ms) / 1_000


def _serves(field: Field, patience_s: float) -> bool:
    """Whether an emergency on every partition is still escalated."""
    cases: dict[int, CaseEvent] = {}
    while len(cases) < field.settings.partitions:
        case = field.case(case_id=uuid4())
        cases[field.partition_of(case.case_id)] = case
    for case in cases.values():
        with suppress(AttackError):
            field.send_case(case, heard=False)
    return field.witness.until(
        lambda: all(field.witness.of(case.case_id, *ESCALATIONS) for case in cases.values()), patience_s
    )
