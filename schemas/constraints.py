"""What a value of an event may be, written beside its type: `age: Annotated[int | None, Range(0, 120)] = None`.

A constraint renders itself into the source of the generated check (schemas/codegen.py): nothing here runs per event.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Protocol

#: Largest value of an Avro `long`: a 64-bit signed number.
LONG_MAX = 2**63 - 1


class Constraint(Protocol):
    """A rule on one value."""

    @property
    def problem(self) -> str:
        """What the value must be, as the end of the sentence "<field> …"."""
        ...

    def broken(self, name: str) -> tuple[str, dict[str, object]]:
        """Source of an expression that is true when the value called `name` breaks the rule, and the names it needs."""
        ...


@dataclass(frozen=True, slots=True)
class Range:
    """Inclusive bounds. NaN lies in no range, since every comparison with it is false."""

    low: float
    high: float

    @property
    def problem(self) -> str:
        """See Constraint."""
        if self.high == LONG_MAX:
            return f"must be {self.low} or more"
        return f"must lie in {self.low} to {self.high}"

    def broken(self, name: str) -> tuple[str, dict[str, object]]:
        """See Constraint."""
        return f"not {self.low!r} <= {name} <= {self.high!r}", {}


@dataclass(frozen=True, slots=True)
class Finite:
    """Any number but NaN and the infinities."""

    problem: str = "must be a finite number"

    def broken(self, name: str) -> tuple[str, dict[str, object]]:
        """See Constraint."""
        # x - x is 0 for every finite number, NaN otherwise.
        return f"{name} - {name} != 0", {}


@dataclass(frozen=True, slots=True)
class Pattern:
    """Text that matches a regular expression in full (a trailing newline does not slip through)."""

    regex: str
    problem: str

    def broken(self, name: str) -> tuple[str, dict[str, object]]:
        """See Constraint."""
        matcher = f"match_{self.regex.encode().hex()}"
        return f"{matcher}({name}) is None", {matcher: re.compile(self.regex).fullmatch}


@dataclass(frozen=True, slots=True)
class Length:
    """Number of characters, or of items, inclusive."""

    low: int
    high: int

    @property
    def problem(self) -> str:
        """See Constraint."""
        if self.low == 1:
            return f"must not be empty, nor longer than {self.high}"
        return f"must have a length of {self.low} to {self.high}"

    def broken(self, name: str) -> tuple[str, dict[str, object]]:
        """See Constraint."""
        return f"not {self.low} <= len({name}) <= {self.high}", {}


@dataclass(frozen=True, slots=True)
class Known:
    """An enum value other than `unknown`: the decision depends on it, so a symbol of a newer writer must not pass."""

    problem: str = "must be a symbol that this version knows"

    def broken(self, name: str) -> tuple[str, dict[str, object]]:
        """See Constraint."""
        # `_value_` is a plain attribute; `.value` is a descriptor and four times slower.
        return f"{name}._value_ == 'unknown'", {}


Probability = Annotated[float, Range(0.0, 1.0)]
Code = Annotated[str, Length(1, 200)]
#: What others choose and people read: a role, a system's name, a model's version. No control, no quote, no bracket.
Name = Annotated[
    str, Pattern(r"\w[\w .:/#@+-]{0,199}", "must be a name: letters, digits and . : / # @ + -, 200 characters at most")
]
#: A drug with its dose, or how far somebody can move. Free text: nothing that looks like a Chilean RUT may stand in it,
#: the one identifier of a person that a machine can tell.
ClinicalText = Annotated[
    str,
    Pattern(
        r"(?!.*\d{1,2}\.?\d{3}\.?\d{3}-[\dkK])[^\W_][\w .,:/%+()'-]{0,199}",
        "must not be empty, nor longer than 200, nor hold anything but words, numbers and . , : / % + ( ) ' -",
    ),
]
#: A pseudonym, never the code itself: patient codes are shorter than 32 characters, HMAC-SHA-256 tokens are not.
Token = Annotated[str, Pattern(r"[A-Za-z0-9_.:-]{32,160}", "must be an opaque token of 32 to 160 characters")]
#: What stands for a patient: `vpt1-`, the id of the key, and the HMAC (`streams.client.tokens`). A name, a code, or
#: anything else that a hurried feeder puts there is refused.
PatientToken = Annotated[
    str,
    Pattern(r"vpt1-[0-9a-f]{8}-[0-9a-f]{64}", "must be an opaque token of the client library (vpt1-…), never a code"),
]
Sha256 = Annotated[str, Pattern(r"[0-9a-f]{64}", "must be 64 lower-case hexadecimal digits")]
Uri = Annotated[str, Pattern(r"[a-z][a-z0-9+.-]*://\S{1,2000}", "must be an absolute URI")]
MediaType = Annotated[str, Pattern(r"[a-z]+/[a-z0-9.+-]{1,100}", "must be a media type such as image/jpeg")]
Seconds = Annotated[int, Range(1, LONG_MAX)]
