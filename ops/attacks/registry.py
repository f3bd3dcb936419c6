"""Every attack, by its name."""

from __future__ import annotations

from ops.attacks.attack import Attacks
from ops.attacks.people import PEOPLE
from ops.attacks.pictures import PICTURES
from ops.attacks.records import RECORDS
from ops.attacks.schemas_of_others import SCHEMAS
from ops.attacks.strangers import STRANGERS

ATTACKS: Attacks = {**RECORDS, **SCHEMAS, **PICTURES, **STRANGERS, **PEOPLE}
