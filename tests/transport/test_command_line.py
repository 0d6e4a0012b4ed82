"""What a user reads, on the command line, of trouble with certificates and proxies."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.conftest import Bench
from tests.servers import RealRegistry, free_port
from tests.transport.conftest import (
    HOST,
    NAME,
    PROXY_PASSWORD,
    PROXY_USER,
    TAGS,
    Certificates,
    SecureRegistry,
)
from tests.transport.servers import Server, asked, handshakes

SECRET = "correct.horse"


def configure(desk: Bench, address: str, **settings: Any) -> None:
    """A config with one account, one trigger and a pipeline that does nothing."""
    account = {"name": "house", "address": address, "repositories": [NAME], **settings}
    trigger = {"name": "web", "account": "house", "repository": NAME, "pipeline": "deploy"}
    pipeline = {"name": "deploy", "stages": [{"name": "go", "command": ["true"]}]}
    document = {"accounts": [account], "triggers": [trigger], "pipelines": [pipeline]}
    desk.write("config.yaml", json.dumps(document))


def findings(desk: Bench) -> list[tuple[str, str | None]]:
    """The errors of `validate --online`, and their hints."""
    told = desk.json("validate", "--online", code=1)["findings"]
    return [(f["message"], f["hint"]) for f in told if f["severity"] == "error"]


CA_HINT = "name the issuer's certificate with `tls: {ca_file: PATH}`"


def test_all_is_well_with_the_authority_of_the_house(
    desk: Bench, secure: SecureRegistry, certificates: Certificates
) -> None:
    configure(desk, secure("good").address, tls={"ca_file": str(certificates.ours.certificate)})
    assert "all well" in desk.run("validate", "--online").stdout


def test_try_says_which_certificate_is_not_trusted_and_what_to_do(
    desk: Bench, secure: SecureRegistry
) -> None:
    address = secure("good").address
    result = desk.run("try", f"{address}/{NAME}", code=1)
    assert result.stderr == (
        f"error: the certificate of {address} is not trusted: unable to get local issuer "
        f"certificate\nhint: {CA_HINT}\n"
    )


def test_try_believes_what_the_system_believes(
    desk: Bench,
    secure: SecureRegistry,
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ours.certificate))
    assert TAGS[-1] in desk.run("try", f"{secure('good').address}/{NAME}").stdout


@pytest.mark.parametrize(
    ("kind", "sentence", "hint"),
    [
        pytest.param("expired", "has expired", None, id="expired"),
        pytest.param("misnamed", "is for another name", None, id="another name"),
        pytest.param(
            "early", "is not valid yet", "is the clock of this machine right?", id="not valid yet"
        ),
        pytest.param(
            "self-signed", "is not trusted: self-signed certificate", CA_HINT, id="self-signed"
        ),
    ],
)
def test_validate_names_what_is_wrong_with_a_certificate(
    desk: Bench,
    secure: SecureRegistry,
    certificates: Certificates,
    kind: str,
    sentence: str,
    hint: str | None,
) -> None:
    address = secure(kind).address
    configure(desk, address, tls={"ca_file": str(certificates.ours.certificate)})
    assert findings(desk) == [(f"the certificate of {address} {sentence}", hint)]


def test_validate_asks_for_a_client_certificate(
    desk: Bench, secure: SecureRegistry, certificates: Certificates
) -> None:
    address = secure("mutual").address
    configure(desk, address, tls={"ca_file": str(certificates.ours.certificate)})
    assert findings(desk) == [
        (
            f"{address} wants a client certificate",
            "name one with `tls: {client_cert: PATH, client_key: PATH}`",
        )
    ]


def test_a_pass_tries_an_expired_certificate_twice_at_most_and_keeps_what_it_saw(
    desk: Bench, secure: SecureRegistry, certificates: Certificates
) -> None:
    registry = secure("expired")
    failures = handshakes(registry)
    tls = {"ca_file": str(certificates.ours.certificate)}
    configure(desk, registry.address, tls=tls, dialect="distribution")
    result = desk.run("run", "--once", code=1)
    sentence = f"the certificate of {registry.address} has expired"
    assert sentence in result.output
    assert 1 <= len(failures.wait_for(1)) <= 2
    (row,) = desk.json("status")
    assert (row["state"], row["last_error"]) == ("failing", sentence)
    assert row["last_success"] is None


def test_a_certificate_that_expires_loses_nothing_that_is_known(
    desk: Bench, secure: SecureRegistry, certificates: Certificates
) -> None:
    """The registry moves from a good certificate to an expired one; the tags stay as they are."""
    tls = {"ca_file": str(certificates.ours.certificate)}
    configure(desk, secure("good").address, tls=tls)
    desk.run("run", "--once")
    before = desk.json("activity")
    configure(desk, secure("expired").address, tls=tls)
    desk.run("run", "--once", code=1)
    (row,) = desk.json("status")
    assert (row["state"], row["tags"]) == ("failing", len(TAGS))
    assert desk.json("activity") == before


def test_a_pass_goes_through_the_proxy_that_the_environment_names(
    desk: Bench, library: RealRegistry, locked_proxy: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = f"{PROXY_USER}:{PROXY_PASSWORD}"
    monkeypatch.setenv("http_proxy", f"http://{login}@{locked_proxy.address}")
    log = locked_proxy.tail()
    configure(desk, library.address, plain_http=True)
    desk.run("run", "--once")
    assert f"GET {library.url}/v2/{NAME}/tags/list?n=1000" in asked(log)
    (row,) = desk.json("status")
    assert (row["state"], row["tags"]) == ("ok", len(TAGS))


@pytest.mark.parametrize("trouble", ["refused", "down", "unknown"])
def test_trouble_with_a_proxy_is_said_without_its_password(
    desk: Bench,
    secure: SecureRegistry,
    certificates: Certificates,
    locked_proxy: Server,
    trouble: str,
) -> None:
    registry = secure("good")
    addresses = {
        "refused": locked_proxy.address,
        "down": f"{HOST}:{free_port()}",
        "unknown": "nobody.invalid:3128",
    }
    way = f"the proxy {addresses[trouble]} for {registry.address}"
    sentences = {
        "refused": f"{way} refused the login (401)",
        "down": f"{way} refused the connection",
        "unknown": f"the name of {way} could not be resolved",
    }
    configure(
        desk,
        registry.address,
        tls={"ca_file": str(certificates.ours.certificate)},
        proxy=f"http://{PROXY_USER}:{SECRET}@{addresses[trouble]}",
    )
    result = desk.run("run", "--once", "--log-level", "debug", code=1)
    assert sentences[trouble] in result.output
    (row,) = desk.json("status")
    assert (row["state"], row["last_error"]) == ("failing", sentences[trouble])
    (finding,) = findings(desk)
    assert finding[0] == sentences[trouble]
    shown = result.output + desk.run("status").output + str(finding)
    assert SECRET not in shown
    assert SECRET not in (desk.directory / "watcher.db").read_bytes().decode("latin-1")
