"""What senders of webhooks send, and what somebody else might."""

from __future__ import annotations

import base64
import json

from hypothesis import strategies as st

from tests.fuzz.mutations import json_bodies, long_texts, spoiled
from tests.fuzz.running import busy_at_most, fuzzed, outcome_of
from tests.web.hooks import payloads
from watcher.core.reference import is_digest, is_repository_name, is_tag
from watcher.web.hooks.message import LONGEST_IDENTIFIER, MOST_EVENTS, Malformed, Message
from watcher.web.hooks.proof import signed, tokens_given
from watcher.web.hooks.senders import KINDS

SEEDS = [
    payloads.DOCKER_HUB, payloads.QUAY, payloads.HARBOR, payloads.HARBOR_CLOUD_EVENT,
    payloads.DISTRIBUTION, {"events": [payloads.LAYER_EVENT, payloads.DELETION_EVENT]},
    payloads.GITHUB, payloads.ACR, payloads.EVENT_GRID, payloads.VALIDATION, payloads.GCR,
    payloads.GCR_SAID, payloads.ECR, payloads.DTR, payloads.GENERIC,
]  # fmt: skip
WORDS = ("[", "{", '"events":', '"a/b"', ":", "sha256:", "\\u0000", "https://", "@", "9" * 50)


def check(message: Message) -> None:
    assert len(message.hints) <= MOST_EVENTS
    for hint in message.hints:
        assert is_repository_name(hint.repository)
        assert hint.tag is None or is_tag(hint.tag)
        assert hint.digest is None or is_digest(hint.digest)
    assert message.identifier is None or len(message.identifier) <= LONGEST_IDENTIFIER
    assert len(json.dumps(dict(message.reply))) < 200


@fuzzed(body=json_bodies(SEEDS), sender=st.sampled_from(sorted(KINDS)),
        event=st.sampled_from(["package", "registry_package", "ping"]))  # fmt: skip
def test_a_delivery_names_what_can_be_polled_or_is_refused(
    body: bytes, sender: str, event: str
) -> None:
    headers = {"x-github-event": event, "x-github-delivery": "1"}
    message = outcome_of(lambda: KINDS[sender].read(body, headers), Malformed)
    if message is not None:
        check(message)


@fuzzed(said=json_bodies([payloads.GCR_SAID]))
def test_what_pub_sub_carries_is_read_as_strictly(said: bytes) -> None:
    message = {"data": base64.b64encode(said).decode(), "messageId": "1"}
    body = payloads.encoded({"message": message})
    told = outcome_of(lambda: KINDS["gcr"].read(body, {}), Malformed)
    if told is not None:
        check(told)


@fuzzed(body=spoiled(payloads.encoded(payloads.DISTRIBUTION)))
def test_bytes_that_are_no_text_are_refused(body: bytes) -> None:
    outcome_of(lambda: KINDS["distribution"].read(body, {}), Malformed)


@fuzzed(examples=8, text=long_texts(WORDS), sender=st.sampled_from(sorted(KINDS)))
def test_a_long_delivery_costs_little(text: str, sender: str) -> None:
    with busy_at_most():
        body = text.encode("utf-8", "surrogatepass")
        outcome_of(lambda: KINDS[sender].read(body, {"x-github-event": "package"}), Malformed)


@fuzzed(value=st.text(max_size=40), stamp=st.text(max_size=20))
def test_whatever_is_given_as_a_proof_is_compared_or_left_out(value: str, stamp: str) -> None:
    tokens_given({"authorization": value, "x-gitlab-token": stamp}, [value])
    name = "x-watcher-signature-256"
    for header in (value, f"sha256={value}"):
        signed({name: header, "x-watcher-timestamp": stamp}, name, b"{}")
