"""What can be wrong with an event, as errors a caller can tell apart.

Messages name schema ids, record and field names: never a value, since a value may be patient data.
"""

from __future__ import annotations

from schemas.access.errors import OneLineError as OneLineError


class ContractError(OneLineError):
    """Base of all errors of the contract."""


class UndecodableError(ContractError):
    """The bytes are no event of ours: no Confluent header, an unknown schema id, a foreign record, or no valid Avro."""


class InvalidEventError(ContractError, ValueError):
    """A well-formed event holds a value that cannot be true, such as a confidence of NaN or an age of 400.

    Attributes: `field`, the field's name; `problem`, what the value must be; `record`, the record that holds the field.
    """

    def __init__(self, field: str, problem: str, record: str = "") -> None:
        super().__init__(field, problem, record)
        self.field = field
        self.problem = problem
        self.record = record

    def __str__(self) -> str:
        return f"{self.record + '.' if self.record else ''}{self.field} {self.problem}"


class RegistryUnavailableError(ContractError):
    """The schema registry did not answer, or answered that it cannot: worth another try, unlike an unknown id."""


class SchemaNotRegisteredError(ContractError):
    """The registry has no such subject or version: someone must run `vigia topics apply` first."""


class IncompatibleSchemaError(ContractError):
    """The registry refused a schema because it breaks the subject's compatibility rule."""
