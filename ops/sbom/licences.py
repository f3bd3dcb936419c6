"""Under which licence a component comes: from its own metadata, and for jars from the table below.

Jars carry their licence in a POM, which is not downloaded: the table says what the projects publish. A pin whose group
is not in it fails a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageMetadata
from typing import Final

APACHE: Final = "Apache-2.0"
#: Maven group, or group:artifact where one differs from its group → SPDX identifier.
JARS: Mapping[str, str] = {
    "org.apache.kafka": APACHE,
    "org.apache.logging.log4j": APACHE,
    "at.yawk.lz4": APACHE,
    "com.dynatrace.hash4j": APACHE,
    "com.fasterxml.jackson.core": APACHE,
    "com.fasterxml.jackson.dataformat": APACHE,
    "com.fasterxml.jackson.datatype": APACHE,
    "com.github.ben-manes.caffeine": APACHE,
    "com.github.luben": "BSD-2-Clause",
    "com.google.re2j": "BSD-3-Clause",
    "com.typesafe.scala-logging": APACHE,
    "com.yammer.metrics": APACHE,
    "commons-beanutils": APACHE,
    "commons-collections": APACHE,
    "commons-digester": APACHE,
    "commons-logging": APACHE,
    "commons-validator": APACHE,
    "io.apicurio": APACHE,
    "net.sf.jopt-simple": "MIT",
    "net.sourceforge.argparse4j": "MIT",
    "org.bitbucket.b_c": APACHE,
    "org.hdrhistogram": "BSD-2-Clause",
    "org.jspecify": APACHE,
    "org.pcollections": "MIT",
    "org.scala-lang": APACHE,
    "org.slf4j": "MIT",
    "org.xerial.snappy": APACHE,
    "org.yaml": APACHE,
}
#: Image, without its tag → SPDX identifier of the program in it; the base system has licences of its own.
IMAGES: Mapping[str, str] = {
    "apache/kafka": APACHE,
    "apicurio/apicurio-registry": APACHE,
    "prom/prometheus": APACHE,
    "prom/alertmanager": APACHE,
    "grafana/grafana": "AGPL-3.0-only",
    "python": "PSF-2.0",
}
#: Packages whose metadata says nothing, or that this platform does not install → SPDX identifier.
PACKAGES: Mapping[str, str] = {"colorama": "BSD-3-Clause", "namex": APACHE, "tensorflow": APACHE}
_PREFIX: Final = "License :: OSI Approved :: "


def of_package(metadata: PackageMetadata) -> str | None:
    """What a package's metadata says: its SPDX expression, else its classifiers, else the first line of its text."""
    (expression, *_) = metadata.get_all("License-Expression") or [""]
    if expression:
        return str(expression)
    classifiers = [str(each) for each in metadata.get_all("Classifier") or ()]
    named = [each.removeprefix(_PREFIX) for each in classifiers if each.startswith(_PREFIX)]
    if named:
        return ", ".join(named)
    (text, *_) = metadata.get_all("License") or [""]
    lines = str(text).strip().splitlines()
    return lines[0][:100] if lines else None
