"""What an answer says of a repository's tags beside what is stored, and what is kept of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from watcher.core.account import Account
from watcher.core.change import ChangeKind, KnownRepository, KnownTag
from watcher.core.poll import RepositoryStatus
from watcher.core.reference import Registry
from watcher.core.trigger import Trigger
from watcher.engine.remembering import salt_of, seen_of, traces_of, traces_of_a_part
from watcher.engine.sighting import sighting_of
from watcher.registry.listing.tags import Listing, Recent, Seen, Unchanged

NOW = 1_800_000_000.0
OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64
PRINT, OTHER = b"f" * 16, b"g" * 16
ACCOUNT = Account(name="main", registry=Registry.parse("quay.io"))
ON_NEW = Trigger(name="release", account="main", pipeline="deploy", repositories=("acme/web",))
ON_DELETED = Trigger(
    name="gone",
    account="main",
    pipeline="deploy",
    repositories=("acme/web",),
    changes=frozenset({ChangeKind.DELETED}),
)
SALT = salt_of(ACCOUNT, (ON_NEW,))


def tag(digest: str | None, *, present: bool = True) -> KnownTag:
    seen = datetime.fromtimestamp(NOW, UTC)
    return KnownTag(digest=digest, first_seen=seen, sequence=1, change_number=1, present=present)


KNOWN = KnownRepository(
    account="main",
    repository="acme/web",
    baselined=True,
    tags={"1.0": tag(OLD), "1.1": tag(None), "0.9": tag(OLD, present=False)},
)


def no_signatures(tags: Sequence[str]) -> Sequence[str]:
    return [tag for tag in tags if not tag.endswith(".sig")]


def listing(*tags: str, digests: dict[str, str] | None = None) -> Listing:
    return Listing(tags=tags, fingerprint=PRINT, pages=1, ignored=0, digests=digests or {})


def test_a_listing_is_all_tags_that_there_are() -> None:
    seen = sighting_of(listing("1.0", "x.sig"), KNOWN, no_signatures)
    assert seen.tags == ["1.0"]
    assert not seen.tells_moves


def test_a_listing_that_tells_digests_says_what_moved() -> None:
    told = {"1.0": NEW, "1.1": OLD}
    seen = sighting_of(listing("1.0", "1.1", digests=told), KNOWN, no_signatures)
    assert not seen.has_stood_still("1.0", KNOWN.tags["1.0"])
    assert seen.recordable("1.1", KNOWN.tags["1.1"]) == OLD
    assert seen.recordable("1.0", KNOWN.tags["1.0"]) is None, "a move is confirmed, not believed"


def test_what_did_not_change_is_what_is_stored() -> None:
    seen = sighting_of(Unchanged(None, 1, tells_digests=True), KNOWN, no_signatures)
    assert set(seen.tags) == {"1.0", "1.1"}
    assert seen.has_stood_still("1.0", KNOWN.tags["1.0"])


def test_recent_tags_are_added_to_what_is_stored_and_delete_nothing() -> None:
    answer = Recent({"1.2": NEW, "1.2.sig": NEW}, "quay:7")
    assert sighting_of(answer, KNOWN, no_signatures).tags == ("1.0", "1.1", "1.2")


def test_a_recent_digest_is_only_a_hint() -> None:
    seen = sighting_of(Recent({"1.0": OLD, "1.1": NEW}, "quay:7"), KNOWN, no_signatures)
    assert seen.has_stood_still("1.0", KNOWN.tags["1.0"])
    assert seen.recordable("1.1", KNOWN.tags["1.1"]) is None
    assert seen.recordable("1.2", None) is None


def test_a_recent_tag_without_a_digest_is_in_doubt() -> None:
    seen = sighting_of(Recent({"1.0": None}, "quay:7"), KNOWN, no_signatures)
    assert not seen.has_stood_still("1.0", KNOWN.tags["1.0"])


def test_recent_tags_without_moves_say_nothing_of_the_others() -> None:
    answer = Recent({"1.2": None}, "tail:x", tells_digests=False)
    seen = sighting_of(answer, KNOWN, no_signatures)
    assert not seen.has_stood_still("1.0", KNOWN.tags["1.0"])


@pytest.mark.parametrize(
    "answer",
    [
        Listing(("1.0", "1.1"), PRINT, 1, 0, mark="quay:7", beginning={"1.0": OLD}),
        Unchanged(PRINT, 1, mark="quay:7", beginning={"1.0": OLD}),
    ],
    ids=["a listing", "an equal one"],
)
def test_where_a_mark_begins_all_is_in_doubt_but_what_is_told_to_be_as_stored(
    answer: Listing | Unchanged,
) -> None:
    known = replace(KNOWN, tags={"1.0": tag(OLD), "1.1": tag(OLD)})
    seen = sighting_of(answer, known, no_signatures)
    assert seen.has_stood_still("1.0", known.tags["1.0"])
    assert not seen.has_stood_still("1.1", known.tags["1.1"])
    assert seen.recordable("1.0", None) is None


def status(**values: object) -> RepositoryStatus:
    found = RepositoryStatus(
        account="main",
        repository="acme/web",
        known=True,
        tags=2,
        fingerprint=PRINT + SALT,
        mark="quay:7",
        walked=NOW - 60,
    )
    for name, value in values.items():
        setattr(found, name, value)
    return found


def seen(found: RepositoryStatus, *triggers: Trigger) -> Seen:
    applying = triggers or (ON_NEW,)
    salt = salt_of(ACCOUNT, applying)
    every = timedelta(seconds=60)
    return seen_of(found, salt, applying, interval=every, wants_digests=False)


def test_the_next_look_leans_on_what_the_last_one_left() -> None:
    assert seen(status()) == Seen(
        fingerprint=PRINT, mark="quay:7", walked=NOW - 60, tags=2, interval=60
    )


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(status(known=False), id="no baseline yet"),
        pytest.param(status(quarantined=True), id="in quarantine"),
        pytest.param(status(fingerprint=None), id="something could not be read"),
    ],
)
def test_it_leans_on_nothing_where_an_equal_answer_proves_nothing(found: RepositoryStatus) -> None:
    assert seen(found).fingerprint is None
    assert seen(found).mark is None


def test_other_triggers_read_all_tags_and_are_told_what_moved_since_the_same_mark() -> None:
    found = seen(status(), ON_DELETED)
    assert (found.fingerprint, found.walked, found.mark) == (None, None, "quay:7")
    assert found.wants_deletions


def test_it_leans_on_nothing_that_was_seen_at_another_registry() -> None:
    elsewhere = replace(ACCOUNT, registry=Registry.parse("quay.example.org"))
    salt = salt_of(elsewhere, (ON_NEW,))
    every = timedelta(seconds=60)
    found = seen_of(status(), salt, (ON_NEW,), interval=every, wants_digests=False)
    assert (found.fingerprint, found.walked, found.mark) == (None, None, None)


def test_what_could_not_be_read_for_other_triggers_is_read_by_a_walk_again() -> None:
    found = status()
    salt = salt_of(ACCOUNT, (ON_DELETED,))
    found.fingerprint, found.mark, found.walked = traces_of_a_part(found, salt)
    for triggers in ((ON_DELETED,), (ON_NEW,)):
        after = seen(found, *triggers)
        assert (after.fingerprint, after.walked, after.mark) == (None, None, "quay:7")


def left(answer: Listing | Unchanged | Recent) -> Seen:
    """What the look after this answer leans on."""
    found = status()
    found.fingerprint, found.mark, found.walked = traces_of(answer, found, SALT, NOW)
    return seen(found)


def test_a_complete_listing_is_the_new_beginning() -> None:
    after = left(Listing(("1.0",), OTHER, 1, 0, mark="quay:9"))
    assert (after.fingerprint, after.mark, after.walked) == (OTHER, "quay:9", NOW)


def test_an_equal_listing_counts_as_a_walk() -> None:
    after = left(Unchanged(PRINT, 1, mark="quay:9"))
    assert (after.fingerprint, after.mark, after.walked) == (PRINT, "quay:9", NOW)


def test_an_equal_answer_of_another_api_is_no_walk() -> None:
    after = left(Unchanged(None, 1, tells_digests=True))
    assert (after.fingerprint, after.mark, after.walked) == (PRINT, "quay:7", NOW - 60)


def test_after_recent_tags_an_old_listing_is_not_what_is_stored() -> None:
    """A tag that was added and deleted again gives the old listing, which must not pass for
    unchanged."""
    after = left(Recent({"1.2": NEW}, "quay:8"))
    assert after.fingerprint is not None
    assert after.fingerprint != PRINT
    assert (after.mark, after.walked) == ("quay:8", NOW - 60)


def test_where_a_digest_could_not_be_read_the_next_look_is_told_it_again() -> None:
    found = status()
    found.fingerprint, found.mark, found.walked = traces_of_a_part(found, SALT)
    after = seen(found)
    assert (after.mark, after.walked) == ("quay:7", NOW - 60)
    assert after.fingerprint not in (None, PRINT), "what is stored is not that listing any more"


def test_a_first_sight_that_could_not_be_read_leaves_nothing() -> None:
    assert traces_of_a_part(status(known=False), SALT) == (None, None, None)
