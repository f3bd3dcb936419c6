"""The bill of materials as CycloneDX 1.6 JSON."""

from __future__ import annotations

from collections.abc import Iterable

from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component as Listed
from cyclonedx.model.component import ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from ops.sbom.components import Component

_TYPES = {"python": ComponentType.LIBRARY, "maven": ComponentType.LIBRARY, "image": ComponentType.CONTAINER}


def document(name: str, version: str, parts: Iterable[Component]) -> str:
    """The parts of `name` as one CycloneDX document. Raises ValueError if it does not hold its own schema."""
    bom = Bom(components=[_listed(part) for part in parts])
    bom.metadata.component = Listed(name=name, version=version, type=ComponentType.APPLICATION, bom_ref=name)
    bom.register_dependency(bom.metadata.component, bom.components)
    text = JsonV1Dot6(bom).output_as_string(indent=2)
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if problem is not None:
        raise ValueError(f"not CycloneDX 1.6: {problem}")
    return text


def _listed(part: Component) -> Listed:
    # Of a package the lock allows several wheels; a component has one hash of a kind, so they are properties.
    single = part.sha256 if len(part.sha256) == 1 else ()
    return Listed(
        name=part.name,
        version=part.version,
        type=_TYPES[part.kind],
        bom_ref=part.purl,
        purl=PackageURL.from_string(part.purl),
        scope=ComponentScope.REQUIRED if part.runtime else ComponentScope.EXCLUDED,
        licenses=[] if part.licence is None else [LicenseFactory().make_from_string(part.licence)],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=each) for each in single],
        properties=[Property(name="vigia:wheel:sha256", value=each) for each in part.sha256 if not single],
    )
