"""What the ward knows of the patient. Every field is optional: absent means unknown, which is not the same as no."""

from __future__ import annotations

from typing import Annotated

from schemas.constraints import ClinicalText, Known, Length, Range
from schemas.events.codes import AnatomicalLocation, InfectionSign
from schemas.record import Record, record


@record
class BradenSubscores(Record):
    """The six subscores whose sum is the Braden score (friction and shear: 1–3, the others 1–4; low is bad)."""

    sensory: Annotated[int, Range(1, 4)]
    moisture: Annotated[int, Range(1, 4)]
    activity: Annotated[int, Range(1, 4)]
    mobility: Annotated[int, Range(1, 4)]
    nutrition: Annotated[int, Range(1, 4)]
    friction: Annotated[int, Range(1, 3)]

    @property
    def total(self) -> int:
        """The Braden score, 6–23."""
        return self.sensory + self.moisture + self.activity + self.mobility + self.nutrition + self.friction

    def __repr__(self) -> str:
        # What is logged or shown in a traceback must not tell of the patient.
        return "BradenSubscores(…)"


@record
class PatientContext(Record):
    """Clinical context of a case. `risk_score` is the predecessor's name for a Braden total."""

    age: Annotated[int | None, Range(0, 120)] = None
    diabetes: bool | None = None
    anticoagulants: bool | None = None
    medications: Annotated[tuple[ClinicalText, ...] | None, Length(0, 100)] = None
    immunosuppression: bool | None = None
    malnutrition: bool | None = None
    #: g/dL. Above 10 is outside what blood can hold: g/L sent by mistake.
    albumin_g_dl: Annotated[float | None, Range(0.0, 10.0)] = None
    compromised_circulation: bool | None = None
    infection_signs: Annotated[tuple[Annotated[InfectionSign, Known()], ...] | None, Length(0, 20)] = None
    necrosis: bool | None = None
    braden_score: Annotated[int | None, Range(6, 23)] = None
    braden_subscores: BradenSubscores | None = None
    risk_score: Annotated[int | None, Range(6, 23)] = None
    mobility: ClinicalText | None = None
    anatomical_location: AnatomicalLocation | None = None
    mucosal: bool | None = None
    skin_tone_monk: Annotated[int | None, Range(1, 10)] = None
    fitzpatrick: Annotated[int | None, Range(1, 6)] = None
    public_healthcare: bool | None = None

    def __repr__(self) -> str:
        known = (name for name in self.__avro__.fields if getattr(self, name) is not None)
        return f"PatientContext(known: {', '.join(known) or 'nothing'})"
