"""How a registry is reached: each way, and one line for each wrong combination."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.access.address import REGISTRY, ServiceAddress
from schemas.access.errors import AccessError
from schemas.access.registry import registry_access
from schemas.access.token import Tokens
from schemas.registry import Registry
from tests.authority import Authority

HTTPS, HTTP, HERE = "https://registry:8443/api", "http://registry:8080/api", "http://127.0.0.1:8080/api"
SHOWN_NOWHERE = "S3CR3T"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("files")
    authority = Authority(folder)
    pair = authority.sign("vigia", ())
    (folder / "secret").write_text(f"{SHOWN_NOWHERE}\n")
    return {"ca": str(authority.ca), "cert": str(pair.cert), "key": str(pair.key), "secret": str(folder / "secret")}


def address(url: str, files: dict[str, str], **variables: str) -> ServiceAddress:
    env = {f"{REGISTRY}{name}": value.format(**files) for name, value in variables.items()}
    return ServiceAddress.found(url, REGISTRY, {**env, f"{REGISTRY}URL": url})


def test_each_way(files: dict[str, str]) -> None:
    assert registry_access(HERE).tls is None
    tls = registry_access(address(HTTPS, files, CA_FILE="{ca}", CERT_FILE="{cert}", KEY_FILE="{key}")).tls
    assert tls is not None
    assert tls.cert_file == Path(files["cert"])
    basic = registry_access(address(HTTPS, files, USER="vigia", PASSWORD_FILE="{secret}"))
    assert basic.user == "vigia"
    assert basic.password is not None
    assert basic.password.read() == SHOWN_NOWHERE
    bearer = registry_access(address(HTTPS, files, TOKEN_COMMAND="cat {secret}"))
    assert bearer.bearer is not None
    oidc = {"TOKEN_URL": "https://idp/token", "CLIENT_ID": "v", "CLIENT_SECRET_FILE": "{secret}"}
    assert isinstance(registry_access(address(HTTPS, files, **oidc)).bearer, Tokens)
    # A client is made of each, with the files read.
    for made in (basic, bearer, tls):
        assert SHOWN_NOWHERE not in repr(made)
    Registry(address(HTTPS, files, CA_FILE="{ca}", CERT_FILE="{cert}", KEY_FILE="{key}", TOKEN_FILE="{secret}")).close()
    Registry(address(HTTP, files, SECURITY="plaintext")).close()


@pytest.mark.parametrize(
    ("url", "variables", "line"),
    [
        (HTTP, {}, "names registry, which is not this machine, without TLS: use https, or set "),
        (HTTP, {"SECURITY": "plaintext", "USER": "u", "PASSWORD_FILE": "{secret}"}, "USER does not go with plaintext"),
        (HTTP, {"SECURITY": "tls"}, "SECURITY=tls, and VIGIA_SCHEMA_REGISTRY_URL does not begin with https"),
        (HTTPS, {"SECURITY": "yes"}, "SECURITY must be plaintext or tls"),
        (HERE, {"CA_FILE": "{ca}"}, "CA_FILE does not go with a registry without TLS"),
        (HTTPS, {"CERT_FILE": "{cert}"}, "mtls needs VIGIA_SCHEMA_REGISTRY_KEY_FILE"),
        (HTTPS, {"KEY_FILE": "{key}"}, "mtls needs VIGIA_SCHEMA_REGISTRY_CERT_FILE"),
        (HTTPS, {"CA_FILE": "/nowhere"}, "/nowhere cannot be read"),
        (HTTPS, {"USER": "u"}, "needs VIGIA_SCHEMA_REGISTRY_PASSWORD_FILE or VIGIA_SCHEMA_REGISTRY_PASSWORD_COMMAND"),
        (HTTPS, {"PASSWORD_FILE": "{secret}"}, "needs VIGIA_SCHEMA_REGISTRY_USER"),
        (HTTPS, {"PASSWORD": SHOWN_NOWHERE, "USER": "u"}, "PASSWORD must not hold a secret"),
        (HTTPS, {"TOKEN": SHOWN_NOWHERE}, "TOKEN must not hold a secret"),
        (HTTPS, {"TOKEN_FILE": "{secret}", "TOKEN_COMMAND": "x"}, "are both set"),
        (HTTPS, {"TOKEN_FILE": "{secret}", "USER": "u"}, "USER does not go with the other credentials"),
        (HTTPS, {"TOKEN_URL": "http://idp/token", "CLIENT_ID": "v"}, "TOKEN_URL must begin with https"),
        (HTTPS, {"TOKEN_URL": "https://idp/token"}, "needs VIGIA_SCHEMA_REGISTRY_CLIENT_ID"),
        (f"https://u:{SHOWN_NOWHERE}@registry/api", {}, "must not hold a password: use VIGIA_SCHEMA_REGISTRY_USER"),
    ],
)
def test_each_wrong_combination_is_one_line(
    files: dict[str, str], url: str, variables: dict[str, str], line: str
) -> None:
    with pytest.raises(AccessError) as raised:
        Registry(address(url, files, **variables))
    assert line in str(raised.value)
    assert "\n" not in str(raised.value)
    assert SHOWN_NOWHERE not in str(raised.value)
