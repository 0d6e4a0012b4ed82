"""One delivery from its body to its answer: what is polled, what is noted, what is said."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import pytest

from tests.web.hooks import payloads
from tests.web.hooks.payloads import EPOCH, encoded
from watcher.core.delivery import Delivery, DeliveryOutcome
from watcher.core.hint import Hint, Sender
from watcher.telemetry.families import Count
from watcher.telemetry.meter import Meter
from watcher.web.hooks import replay
from watcher.web.hooks.proof import LARGEST_SKEW, Signed, is_held, signed, tokens_given
from watcher.web.hooks.reception import Letter, Reception, Reply, Taken
from watcher.web.hooks.replay import REMEMBERED_SECONDS, Replays, SenderPace
from watcher.web.hooks.senders import kind_named

SECRET = b"a-hook-token-of-nobody"
WATCHED = Taken(outcome=DeliveryOutcome.POLLED, reason="polled now", account="main")
UNKNOWN = Taken(outcome=DeliveryOutcome.UNKNOWN, reason="nobody watches it")


@dataclass
class Desk:
    """Plays the daemon; `answers` are for the hints to come."""

    answers: tuple[Taken, ...] = (WATCHED,)
    hints: list[Hint] = field(default_factory=list)
    accounts: list[str | None] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    callbacks: list[str] = field(default_factory=list)

    def take(self, hint: Hint, sender: Sender, account: str | None) -> tuple[Taken, ...]:
        self.hints.append(hint)
        self.accounts.append(account)
        return self.answers

    def note(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)

    def call_back(self, url: str) -> None:
        self.callbacks.append(url)


class Counting(Meter):
    """Counts what it is told of deliveries, by sender and outcome."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, ...]] = Counter()

    def count(self, what: Count, *labels: str, by: float = 1.0) -> None:
        if what is Count.DELIVERIES:
            self.counts[labels] += int(by)


class Scene:
    """A reception with a clock of its own."""

    def __init__(self, most_a_minute: int = replay.MOST_A_MINUTE) -> None:
        self.now = EPOCH
        self.desk = Desk()
        self.replays = Replays(lambda: self.now)
        pace = SenderPace(lambda: self.now, most_a_minute)
        self.meter = Counting()
        self.reception = Reception(
            self.desk,
            self.replays,
            pace,
            noting=SenderPace(lambda: self.now, replay.MOST_NOTED_A_MINUTE),
            clock=lambda: self.now,
            meter=self.meter,
        )

    def receive(
        self,
        sender: str,
        payload: Any,
        headers: Mapping[str, str] | None = None,
        *,
        signed: Signed | None = None,
        account: str | None = None,
    ) -> Reply:
        kind = kind_named(sender)
        assert kind is not None
        body = payload if isinstance(payload, bytes) else encoded(payload)
        letter = Letter(headers=headers or {}, body=body, signed=signed, account=account)
        return self.reception.receive(kind, letter)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_push_is_handed_on_noted_and_accepted(scene: Scene) -> None:
    reply = scene.receive("harbor", payloads.HARBOR, account="main")
    assert (reply.status, reply.content) == (HTTPStatus.ACCEPTED, {"outcome": "polled"})
    assert [hint.repository for hint in scene.desk.hints] == ["acme/web"]
    assert scene.desk.accounts == ["main"]
    (delivery,) = scene.desk.deliveries
    assert (delivery.sender, delivery.account, delivery.tag) == ("harbor", "main", "1.4.2")
    assert delivery.outcome is DeliveryOutcome.POLLED
    assert scene.meter.counts == {("harbor", DeliveryOutcome.POLLED): 1}


def test_a_repository_that_nobody_watches_is_counted_and_accepted(scene: Scene) -> None:
    scene.desk.answers = (UNKNOWN,)
    assert scene.receive("harbor", payloads.HARBOR).status is HTTPStatus.ACCEPTED
    assert scene.meter.counts == {("harbor", DeliveryOutcome.UNKNOWN): 1}
    assert scene.desk.deliveries[0].account is None


def test_many_tags_of_one_repository_are_one_row_of_activity(scene: Scene) -> None:
    scene.receive("quay", {**payloads.QUAY, "updated_tags": ["a", "b", "c"]})
    assert [hint.tag for hint in scene.desk.hints] == ["a", "b", "c"]
    assert [d.reason for d in scene.desk.deliveries] == ["polled now; 2 more of it"]


def test_what_is_no_push_is_noted_and_changes_nothing(scene: Scene) -> None:
    reply = scene.receive("github", {"zen": "Keep it."}, {"x-github-event": "ping"})
    assert (reply.status, reply.content) == (HTTPStatus.ACCEPTED, {"outcome": "ignored"})
    assert scene.desk.hints == []
    assert [d.outcome for d in scene.desk.deliveries] == [DeliveryOutcome.IGNORED]


def test_layers_and_pulls_are_counted_and_not_kept(scene: Scene) -> None:
    for number in range(5):
        event = {**payloads.LAYER_EVENT, "id": str(number)}
        assert scene.receive("distribution", {"events": [event]}).status is HTTPStatus.ACCEPTED
    assert scene.desk.deliveries == []
    assert scene.meter.counts == {("distribution", DeliveryOutcome.IGNORED): 5}


def test_what_is_malformed_is_refused_without_repeating_it(scene: Scene) -> None:
    reply = scene.receive("dockerhub", {"push_data": {"tag": "<script>"}})
    assert reply.status is HTTPStatus.BAD_REQUEST
    assert "script" not in str(reply.content)
    assert [d.outcome for d in scene.desk.deliveries] == [DeliveryOutcome.REFUSED]
    assert scene.desk.hints == []


@pytest.mark.parametrize(
    ("sender", "payload", "status"),
    [
        pytest.param("dockerhub", payloads.DOCKER_HUB, HTTPStatus.CONFLICT, id="by its time"),
        pytest.param("harbor", payloads.HARBOR_CLOUD_EVENT, HTTPStatus.CONFLICT, id="by its id"),
        pytest.param("distribution", payloads.DISTRIBUTION, HTTPStatus.ACCEPTED, id="insisting"),
        pytest.param("gcr", payloads.GCR, HTTPStatus.ACCEPTED, id="Pub/Sub, until acknowledged"),
    ],
)
def test_a_repeated_delivery_changes_nothing(
    scene: Scene, sender: str, payload: Any, status: HTTPStatus
) -> None:
    scene.receive(sender, payload)
    scene.now += 60
    reply = scene.receive(sender, payload)
    assert (reply.status, reply.content["outcome"]) == (status, "repeated")
    assert len(scene.desk.hints) == 1
    scene.now += REMEMBERED_SECONDS
    assert scene.receive(sender, payload).content["outcome"] == "polled"


def test_two_pushes_that_look_alike_are_both_looked_at(scene: Scene) -> None:
    for _ in range(2):
        assert scene.receive("quay", payloads.QUAY).content["outcome"] == "polled"
    assert len(scene.desk.hints) == 2


def test_a_signed_delivery_is_known_again_whatever_its_headers_say(scene: Scene) -> None:
    proof = Signed(encoded(payloads.GITHUB), "5e")
    first = {**payloads.GITHUB_HEADERS}
    other = {**first, "x-github-delivery": "another number"}
    assert scene.receive("github", payloads.GITHUB, first, signed=proof).content == {
        "outcome": "polled"
    }
    again = scene.receive("github", payloads.GITHUB, other, signed=proof)
    assert again.status is HTTPStatus.CONFLICT


@pytest.mark.parametrize("skew", [-LARGEST_SKEW - 1, LARGEST_SKEW + 1])
def test_an_old_timestamp_is_refused(scene: Scene, skew: float) -> None:
    proof = Signed(b"x", "5e", scene.now + skew)
    reply = scene.receive("generic", payloads.GENERIC, signed=proof)
    assert reply.status is HTTPStatus.UNAUTHORIZED
    assert scene.desk.hints == []


def test_a_sender_may_make_so_many_deliveries_a_minute() -> None:
    scene = Scene(most_a_minute=6)
    statuses = [scene.receive("quay", payloads.QUAY).status for _ in range(8)]
    assert statuses == [HTTPStatus.ACCEPTED] * 6 + [HTTPStatus.TOO_MANY_REQUESTS] * 2
    assert scene.receive("harbor", payloads.HARBOR).status is HTTPStatus.ACCEPTED
    scene.now += 10
    assert scene.receive("quay", payloads.QUAY).status is HTTPStatus.ACCEPTED


def test_what_was_refused_for_its_pace_may_come_again() -> None:
    scene = Scene(most_a_minute=6)
    for number in range(6):
        scene.receive("harbor", {**payloads.HARBOR_CLOUD_EVENT, "id": str(number)})
    late = {**payloads.HARBOR_CLOUD_EVENT, "id": "late"}
    assert scene.receive("harbor", late).status is HTTPStatus.TOO_MANY_REQUESTS
    scene.now += 10
    assert scene.receive("harbor", late).content == {"outcome": "polled"}


def test_who_overheard_one_delivery_can_not_use_up_what_the_sender_may_send() -> None:
    scene = Scene(most_a_minute=6)
    for _ in range(20):
        scene.receive("harbor", payloads.HARBOR_CLOUD_EVENT)
    another = {**payloads.HARBOR_CLOUD_EVENT, "id": "another"}
    assert scene.receive("harbor", another).content == {"outcome": "polled"}


@pytest.mark.parametrize(
    ("sender", "payload"),
    [
        pytest.param("harbor", payloads.HARBOR_CLOUD_EVENT, id="repeated"),
        pytest.param("harbor", b"{", id="refused"),
        pytest.param("gitlab", {"object_kind": "push"}, id="ignored"),
    ],
)
def test_what_changes_nothing_does_not_fill_activity(
    scene: Scene, sender: str, payload: Any
) -> None:
    for _ in range(replay.MOST_NOTED_A_MINUTE * 3):
        scene.receive(sender, payload)
    assert len(scene.desk.deliveries) <= replay.MOST_NOTED_A_MINUTE + 1
    assert sum(scene.meter.counts.values()) == replay.MOST_NOTED_A_MINUTE * 3
    scene.now += 60
    scene.receive(sender, payload)
    assert scene.desk.deliveries[-1].time == datetime.fromtimestamp(scene.now, UTC)


def test_docker_hub_is_called_back_once_the_delivery_is_accepted(scene: Scene) -> None:
    scene.receive("dockerhub", payloads.DOCKER_HUB)
    scene.receive("dockerhub", payloads.DOCKER_HUB)
    assert scene.desk.callbacks == [payloads.DOCKER_HUB["callback_url"]]


def test_event_grid_hears_its_code(scene: Scene) -> None:
    reply = scene.receive("acr", payloads.VALIDATION)
    assert (reply.status, set(reply.content)) == (HTTPStatus.OK, {"validationResponse"})


def test_what_is_remembered_is_bounded() -> None:
    replays = Replays(lambda: EPOCH)
    for number in range(replay.MOST_REMEMBERED * 2):
        assert not replays.has(str(number))
        replays.add(str(number))
    assert replays.has(str(replay.MOST_REMEMBERED * 2 - 1))
    assert not replays.has("0")


class Token:
    """The token as whoever compares knows it."""

    def is_held_by(self, given: bytes) -> bool:
        return hmac.compare_digest(given, SECRET)

    def has_signed(self, content: bytes, signature: str) -> bool:
        return hmac.compare_digest(_hmac(content), signature)


def _hmac(content: bytes) -> str:
    return hmac.new(SECRET, content, hashlib.sha256).hexdigest()


TEXT = SECRET.decode()


@pytest.mark.parametrize(
    ("headers", "query", "is_right"),
    [
        pytest.param({"authorization": f"Bearer {TEXT}"}, [], True, id="Bearer"),
        pytest.param({"authorization": TEXT}, [], True, id="the header as it is, as Harbor"),
        pytest.param(
            {"authorization": "Basic d2F0Y2hlcjphLWhvb2stdG9rZW4tb2Ytbm9ib2R5"},
            [],
            True,
            id="the password of Basic, as EventBridge",
        ),
        pytest.param({"x-gitlab-token": TEXT}, [], True, id="GitLab's header"),
        pytest.param({"x-watcher-token": TEXT}, [], True, id="our own header"),
        pytest.param({}, [TEXT], True, id="the URL"),
        pytest.param({"authorization": "Bearer e30.e30.x"}, [TEXT], True, id="beside a JWT"),
        pytest.param({"authorization": "Bearer wrong"}, ["wrong"], False, id="wrong"),
        pytest.param({"authorization": "Basic %%%"}, [], False, id="broken Basic"),
        pytest.param({"authorization": "Bearer "}, [""], False, id="empty"),
        pytest.param({}, [], False, id="none"),
        pytest.param({"authorization": f"Bearer {TEXT}\udcff"}, [], False, id="odd bytes"),
    ],
)
def test_the_token_may_stand_where_a_sender_can_put_it(
    headers: Mapping[str, str], query: list[str], is_right: bool
) -> None:
    assert is_held(Token(), tokens_given(headers, query)) is is_right


BODY = b'{"repository": "acme/web"}'
OURS = "x-watcher-signature-256"


@pytest.mark.parametrize(
    ("name", "headers", "is_right"),
    [
        pytest.param(OURS, {OURS: f"sha256={_hmac(BODY)}"}, True, id="the body"),
        pytest.param(
            OURS,
            {OURS: f"sha256={_hmac(b'1800000000.' + BODY)}", "x-watcher-timestamp": "1800000000"},
            True,
            id="timestamp and body",
        ),
        pytest.param(
            OURS,
            {OURS: f"sha256={_hmac(BODY)}", "x-watcher-timestamp": "1800000000"},
            False,
            id="a timestamp that was not signed",
        ),
        pytest.param(
            OURS,
            {OURS: f"sha256={_hmac(b'1800000000.' + BODY)}"},
            False,
            id="a timestamp that was taken away",
        ),
        pytest.param(
            OURS, {OURS: f"sha256={_hmac(BODY)}", "x-watcher-timestamp": "-1"}, None, id="no number"
        ),
        pytest.param(
            "x-hub-signature-256",
            {"x-hub-signature-256": f"sha256={_hmac(BODY)}"},
            True,
            id="GitHub",
        ),
        pytest.param(OURS, {OURS: f"sha1={_hmac(BODY)}"}, None, id="another algorithm"),
        pytest.param(OURS, {OURS: "sha256=00"}, False, id="forged"),
        pytest.param(OURS, {}, None, id="not signed"),
        pytest.param(None, {OURS: f"sha256={_hmac(BODY)}"}, None, id="a sender that never signs"),
    ],
)
def test_a_signature_is_of_all_that_it_should_be(
    name: str | None, headers: Mapping[str, str], is_right: bool | None
) -> None:
    proof = signed(headers, name, BODY)
    right = None if proof is None else Token().has_signed(proof.content, proof.signature)
    assert right is is_right
