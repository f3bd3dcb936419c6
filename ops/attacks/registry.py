"""Every attack, by its name."""

from __future__ import annotations

from ops.attacks.attack import Attacks
from ops.attacks.records import RECORDS

ATTACKS: Attacks = {**RECORDS}
