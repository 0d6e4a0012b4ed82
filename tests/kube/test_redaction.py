"""No secret that a server repeats is shown, and what a reader needs is."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kube.recorded import SERVERS, cause, recorded, refused, status_of
from watcher.kube.connecting.answers import Answer
from watcher.kube.redaction import LIMIT, redacted, without_credentials, without_tokens

SECRET = "hunter2-hunter2"
LEAKS = [
    pytest.param(
        status_of(422, "Invalid", f'Job "j" is invalid: spec.template: Invalid value: "{SECRET}"',
                  [cause("spec.template", 'Invalid value: {"Env":[{"Name":"P","Value":"' + SECRET +
                         '"}]}: field is immutable')]),
        id="a pod template as JSON",
    ),
    pytest.param(
        status_of(422, "Invalid", "",
                  [cause("spec.template", "Invalid value: core.PodTemplateSpec{Env:[]core.EnvVar{"
                         f'core.EnvVar{{Name:"P", Value:"{SECRET}"}}}}}}: field is immutable')]),
        id="a pod template as Go",
    ),
    pytest.param(
        status_of(422, "Invalid", f"x: Invalid value: {{{SECRET}"), id="a message without causes",
    ),
    pytest.param(
        status_of(422, "Invalid", "",
                  [cause("spec.password", f'Invalid value: "{SECRET}": should be longer')]),
        id="a password of a custom resource",
    ),
    pytest.param(
        status_of(422, "Invalid", "", [cause("data[x]", f'Invalid value: "{SECRET}": no')]),
        id="a value of a Secret",
    ),
    pytest.param(
        status_of(400, "BadRequest", 'Secret in version "v1" cannot be handled as a Secret: '
                  "v1.Secret.Data: base64Codec: invalid input, error found in #10 byte of ...|"
                  f'ssword":"{SECRET}"}}|..., bigger context ...|{{"data":{{"p":"{SECRET}"}}}}'),
        id="the bytes around a decoding error",
    ),
    pytest.param(
        status_of(500, None, "failed to create typed patch object: .env: expected string, got "
                  f'&value.valueUnstructured{{Value:"{SECRET}"}}'),
        id="the value of a wrong type",
    ),
    pytest.param(
        status_of(403, "Forbidden", 'admission webhook "x" denied the request: object '
                  f'{{"spec":{{"containers":[{{"env":[{{"name":"A","value":"{SECRET}"}}]}}]}}}}'),
        id="an object that a webhook repeats",
    ),
    pytest.param(
        status_of(500, "InternalError", f"calling https://bot:{SECRET}@hook/ failed"),
        id="a password in a URL",
    ),
    pytest.param(
        status_of(403, "Forbidden", f"header Authorization: Bearer {SECRET} is refused"),
        id="a bearer token",
    ),
    pytest.param(
        status_of(403, "Forbidden", f"the password={SECRET} is too weak"), id="a named password",
    ),
    pytest.param(
        status_of(422, "Invalid", 'x: [spec.size: Invalid value: "x": must be a number, '
                  f'spec.key: Invalid value: "{SECRET}": should be longer]'),
        id="the second of two values",
    ),
    pytest.param(
        status_of(422, "Invalid", 'x: [spec.size: Invalid value: "x": must be a number, spec: '
                  f'Invalid value: core.Env{{Name:"P", Value:"{SECRET}"}}: is immutable]'),
        id="an object after a plain value",
    ),
    pytest.param(
        status_of(500, None, "failed to create typed patch object: .pin: expected string, got "
                  f"&value.valueUnstructured{{Value:{SECRET}}}"),
        id="a number of the wrong type",
    ),
    pytest.param(
        status_of(500, "InternalError", f"calling https://bot:x@{SECRET}@hook/ failed"),
        id="a password with an @ in a URL",
    ),
    pytest.param(
        status_of(403, "Forbidden", f"aws_secret_access_key = {SECRET}"), id="a long name",
    ),
]  # fmt: skip


@pytest.mark.parametrize("answer", LEAKS)
def test_no_secret_that_a_server_repeats_gets_into_an_error(answer: Answer) -> None:
    error = refused(answer, about="job/j in namespace n")
    assert SECRET not in f"{error}{error!r}{error.hint}{error.conflicts}"


@pytest.mark.parametrize("server", SERVERS)
def test_the_recorded_pod_template_stays_unseen(server: str) -> None:
    error = refused(recorded(server)["job immutable template (note: leaks env)"].answer)
    assert "hunter2" not in f"{error}{error!r}{error.hint}"


@pytest.mark.parametrize(
    ("said", "field", "shown"),
    [
        pytest.param('Invalid value: "Bad_Name": must be lower case', "metadata.name",
                     'Invalid value: "Bad_Name": must be lower case', id="a name"),
        pytest.param("Invalid value: -1: must be positive", "spec.replicas",
                     "Invalid value: -1: must be positive", id="a number"),
        pytest.param('Unsupported value: "X": supported values: "A", "B"', "spec.type",
                     'Unsupported value: "X": supported values: "A", "B"', id="an enumeration"),
        pytest.param('Invalid value: "' + "x" * 80 + '": too long', "metadata.name",
                     "Invalid value: …: too long", id="a long text"),
        pytest.param("Required value: must be given", "spec.x",
                     "Required value: must be given", id="no value at all"),
        pytest.param("one\n two\x1b[31m\tthree", "", "one two [31m three", id="several lines"),
        pytest.param("x" * 300, "", "x" * LIMIT + "…", id="more than 200 characters"),
    ],
)  # fmt: skip
def test_what_is_shown_of_a_text(said: str, field: str, shown: str) -> None:
    assert redacted(said, field=field) == shown


@given(st.text(max_size=2000), st.text(max_size=30))
def test_a_shown_text_is_short_and_on_one_line(said: str, field: str) -> None:
    shown = redacted(said, field=field)
    assert len(shown) <= LIMIT + 1
    assert "\n" not in shown


@pytest.mark.parametrize("piece", ["a-", "secret", "-", "updates to ", "://", "--token", "{", "x:"])
def test_a_text_made_to_take_for_ever_takes_a_moment(piece: str) -> None:
    began = time.perf_counter()
    redacted(piece * (2_000_000 // len(piece)))
    assert time.perf_counter() - began < 3.0


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        pytest.param(f"dial postgres://me:{SECRET}@db/shop: refused",
                     "dial postgres://…@db/shop: refused", id="a URL"),
        pytest.param(f"open me:{SECRET}@tcp(db:3306)/shop", "open me:…@tcp(db:3306)/shop",
                     id="an address as Go writes it"),
        pytest.param(f"host=db password={SECRET} port=1", "host=db password=… port=1",
                     id="a connection string"),
        pytest.param(f"DB_PASSWORD={SECRET}", "DB_PASSWORD=…", id="a variable"),
        pytest.param(f"login --password {SECRET} db", "login --password … db", id="an option"),
        pytest.param(f'{{"user": "me", "apiKey": "{SECRET}"}}', '{"user": "me", "apiKey": …}',
                     id="JSON"),
        pytest.param(f"Authorization: Bearer {SECRET}", "Authorization: …", id="a header"),
        pytest.param("dckr_pat_abcdefghijklmn is revoked", "… is revoked", id="a known token"),
        pytest.param('{"level": "fatal", "message": "no database at db:5432, tried 3 times"}',
                     '{"level": "fatal", "message": "no database at db:5432, tried 3 times"}',
                     id="nothing of the kind"),
        pytest.param('secret "web" not found; secretName: web-tls',
                     'secret "web" not found; secretName: web-tls', id="the name of a Secret"),
    ],
)  # fmt: skip
def test_what_a_program_says_loses_its_passwords_only(line: str, shown: str) -> None:
    assert without_credentials(line) == shown


def test_what_a_kubelet_says_of_tokens_stays_legible() -> None:
    said = "failed to fetch anonymous token: unexpected status from GET https://auth.test/: 401"
    assert without_tokens(said) == said
