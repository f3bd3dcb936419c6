"""One value says how a cluster is reached; confluent-kafka, aiokafka and Faust each get their settings from it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka.conn import ScramAuthenticator
from confluent_kafka import Consumer
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from schemas.access.address import KAFKA, ServiceAddress
from schemas.access.errors import AccessError
from streams.broker import clients
from streams.broker.security import Mode, for_aiokafka, for_librdkafka, security_of
from streams.runtime.credentials import credentials_of
from streams.settings import Settings
from tests.authority import Authority

BROKERS = "kafka.hospital:9092"
SHOWN_NOWHERE = "S3CR3T"
OAUTH = {"TOKEN_URL": "https://idp/token", "CLIENT_ID": "vigia", "CLIENT_SECRET_FILE": "{secret}", "SCOPE": "kafka"}
#: Each way with all that goes with it.
WAYS: dict[str, dict[str, str]] = {
    "plaintext": {},
    "tls": {"CA_FILE": "{ca}"},
    "mtls": {"CA_FILE": "{ca}", "CERT_FILE": "{cert}", "KEY_FILE": "{key}", "KEY_PASSWORD_FILE": "{secret}"},
    "scram": {"CA_FILE": "{ca}", "USER": "grading", "PASSWORD_COMMAND": "cat {secret}"},
    "oauth": {"CA_FILE": "{ca}", **OAUTH},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("files")
    authority = Authority(folder)
    pair = authority.sign("grading", (), password=SHOWN_NOWHERE.encode())
    (folder / "secret").write_text(f"{SHOWN_NOWHERE}\n")
    return {"ca": str(authority.ca), "cert": str(pair.cert), "key": str(pair.key), "secret": str(folder / "secret")}


def address(
    files: dict[str, str], way: str | None, variables: dict[str, str], servers: str = BROKERS
) -> ServiceAddress:
    given = {**({} if way is None else {"SECURITY": way}), **variables}
    env = {f"{KAFKA}{name}": value.format(**files) for name, value in given.items()}
    return ServiceAddress.found(servers, KAFKA, env)


def test_every_way_is_tried_here() -> None:
    assert set(WAYS) == set(Mode)


#: What librdkafka is given, without callbacks.
LIBRDKAFKA: dict[str, dict[str, str]] = {
    "plaintext": {},
    "tls": {"security.protocol": "SSL", "ssl.ca.location": "{ca}"},
    "mtls": {
        "security.protocol": "SSL",
        "ssl.ca.location": "{ca}",
        "ssl.certificate.location": "{cert}",
        "ssl.key.location": "{key}",
        "ssl.key.password": SHOWN_NOWHERE,
    },
    "scram": {
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": "{ca}",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "grading",
        "sasl.password": SHOWN_NOWHERE,
    },
    "oauth": {"security.protocol": "SASL_SSL", "ssl.ca.location": "{ca}", "sasl.mechanism": "OAUTHBEARER"},
}


@pytest.mark.parametrize("way", WAYS)
def test_what_librdkafka_is_given(files: dict[str, str], way: str) -> None:
    settings = for_librdkafka(security_of(address(files, way, WAYS[way])))
    callback = settings.pop("oauth_cb", None)
    assert settings == {name: value.format(**files) for name, value in LIBRDKAFKA[way].items()}
    assert (callback is not None) == (way == "oauth")
    # The library takes each of them; it connects to nobody before it is asked something.
    Consumer({"bootstrap.servers": "127.0.0.1:1", "group.id": "x", **settings}).close()


@pytest.mark.parametrize("way", WAYS)
def test_aiokafka_and_faust_are_given_the_same(files: dict[str, str], way: str) -> None:
    servers = address(files, way, WAYS[way])
    ours = for_aiokafka(security_of(servers))
    fausts = credentials_to_aiokafka_auth(credentials_of(servers))
    if way == "plaintext":
        assert ours == {}
        assert fausts == {"security_protocol": "PLAINTEXT"}
        return
    assert ours.keys() == fausts.keys()
    for name in ("security_protocol", "sasl_mechanism", "sasl_plain_username"):
        assert ours.get(name) == fausts.get(name)
    assert ours["security_protocol"] == ("SSL" if "tls" in way else "SASL_SSL")
    for context in (ours["ssl_context"], fausts["ssl_context"]):
        assert context.check_hostname
        assert [dict(part[0] for part in ca["subject"]) for ca in context.get_ca_certs()] == [
            {"commonName": "Hospital CA"}
        ]


@pytest.mark.parametrize("way", WAYS)
def test_no_text_of_it_shows_a_secret(files: dict[str, str], way: str) -> None:
    servers = address(files, way, WAYS[way])
    security = security_of(servers)
    settings = Settings(
        bootstrap_servers=servers, schema_registry_url="http://127.0.0.1:1", image_store="memory://", image_roots=()
    )
    shown = (
        f"{servers!r} {security!r} {security.who} {for_aiokafka(security)!r} {credentials_of(servers)!r} {settings!r}"
    )
    assert SHOWN_NOWHERE not in shown


def test_aiokafka_reads_the_password_for_every_connection(files: dict[str, str], tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("first\n")
    servers = address(files, "scram", {"USER": "grading", "PASSWORD_FILE": str(password)})
    settings = for_aiokafka(security_of(servers))

    def read() -> bytes:
        # As its connection does it.
        made = ScramAuthenticator(
            loop=None,
            sasl_plain_password=settings["sasl_plain_password"],
            sasl_plain_username=settings["sasl_plain_username"],
            sasl_mechanism=settings["sasl_mechanism"],
        )
        return bytes(made._sasl_plain_password)

    assert read() == b"first"
    password.write_text("second\n")
    assert read() == b"second"


@pytest.mark.parametrize(
    ("way", "variables", "line"),
    [
        (None, {}, f"names kafka.hospital, which is not this machine: set {KAFKA}SECURITY to one of tls, mtls, scram"),
        ("sasl", {}, "SECURITY must be one of plaintext, tls, mtls, scram, oauth"),
        ("plaintext", {"CA_FILE": "{ca}"}, "CA_FILE does not go with VIGIA_KAFKA_SECURITY=plaintext"),
        ("tls", {"CA_FILE": "/nowhere"}, "/nowhere cannot be read: No such file or directory"),
        ("tls", {"CA_FILE": "{secret}"}, "secret holds no CA certificates"),
        ("tls", {"CERT_FILE": "{cert}"}, "CERT_FILE does not go with VIGIA_KAFKA_SECURITY=tls"),
        ("tls", {"USER": "grading"}, "USER does not go with VIGIA_KAFKA_SECURITY=tls"),
        ("mtls", {"KEY_FILE": "{key}"}, "mtls needs VIGIA_KAFKA_CERT_FILE"),
        ("mtls", {"CERT_FILE": "{cert}"}, "mtls needs VIGIA_KAFKA_KEY_FILE"),
        ("mtls", {"CERT_FILE": "{cert}", "KEY_FILE": "{key}"}, "or its password is wrong or missing"),
        (
            "mtls",
            {"CERT_FILE": "{ca}", "KEY_FILE": "{key}", "KEY_PASSWORD_FILE": "{secret}"},
            "is not the key of ca.pem",
        ),
        ("mtls", {"CERT_FILE": "{cert}", "KEY_FILE": "{key}", "KEY_PASSWORD": SHOWN_NOWHERE}, "must not hold a secret"),
        ("scram", {"PASSWORD_FILE": "{secret}"}, "scram needs VIGIA_KAFKA_USER"),
        ("scram", {"USER": "u"}, "scram needs VIGIA_KAFKA_PASSWORD_FILE or VIGIA_KAFKA_PASSWORD_COMMAND"),
        ("scram", {"USER": "u", "PASSWORD": SHOWN_NOWHERE}, "PASSWORD must not hold a secret: name a file in"),
        ("scram", {"USER": "u", "PASSWORD_FILE": "{secret}", "PASSWORD_COMMAND": "x"}, "are both set"),
        ("scram", {"USER": "u", "PASSWORD_FILE": "{secret}", "TOKEN_URL": "x"}, "TOKEN_URL does not go with"),
        ("oauth", {}, "oauth needs VIGIA_KAFKA_TOKEN_URL"),
        ("oauth", OAUTH | {"TOKEN_URL": "idp"}, "TOKEN_URL is no URL"),
        ("oauth", OAUTH | {"TOKEN_URL": "http://idp/token"}, "TOKEN_URL must begin with https"),
        ("oauth", OAUTH | {"CLIENT_SECRET": SHOWN_NOWHERE}, "CLIENT_SECRET must not hold a secret"),
        ("oauth", OAUTH | {"PASSWORD_FILE": "{secret}"}, "PASSWORD_FILE does not go with VIGIA_KAFKA_SECURITY=oauth"),
    ],
)
def test_each_wrong_combination_is_one_line(
    files: dict[str, str], way: str | None, variables: dict[str, str], line: str
) -> None:
    with pytest.raises(AccessError) as raised:
        security_of(address(files, way, variables))
    assert line in str(raised.value)
    assert "\n" not in str(raised.value)
    assert SHOWN_NOWHERE not in str(raised.value)


def test_on_this_machine_nothing_need_be_said(files: dict[str, str]) -> None:
    assert security_of("127.0.0.1:9092,localhost:9093").mode is Mode.PLAINTEXT
    with pytest.raises(AccessError, match="CA_FILE does not go with plaintext: VIGIA_KAFKA_SECURITY is not set"):
        security_of(address(files, None, {"CA_FILE": "{ca}"}, servers="127.0.0.1:9092"))


#: What each function that makes a client needs besides the address.
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "group_member": ("g", {}),
    "transactional_producer": ("t",),
    "stage_producer": ("t", 1),
}
MAKERS = [
    make
    for name, make in inspect.getmembers(clients, inspect.isfunction)
    if make.__module__ == clients.__name__ and not name.startswith("_")
]


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_every_client_asks_how_the_brokers_are_reached(make: Callable[..., Any]) -> None:
    keywords: dict[str, Any] = {"logger": clients.QUIET} if make.__name__ == "group_member" else {}

    async def in_a_loop() -> None:
        make(BROKERS, *ARGUMENTS.get(make.__name__, ()), **keywords)

    with pytest.raises(AccessError, match=r"kafka\.hospital"):
        asyncio.run(in_a_loop())


def test_a_program_that_says_itself_how_brokers_are_reached_is_believed() -> None:
    clients.producer("127.0.0.1:1,kafka.hospital:9092", {"security.protocol": "SSL"})
    settings = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "u"}
    clients.group_member(BROKERS, "g", {**settings, "sasl.password": "p"}, logger=clients.QUIET).close()
