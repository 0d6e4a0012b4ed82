"""The client against Debian's docker-registry, with images pushed by skopeo."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.registry.accounts import ACME, ANONYMOUS, Passwords, account_for, client_of
from tests.servers import RealRegistry, StartRegistry, need
from watcher.core.account import Account, Catalog, Credential, Limits, Tls
from watcher.errors import AuthenticationFailed, NotFound, TlsError, TransportError
from watcher.registry.client import Listing, Unchanged
from watcher.testing.images import multi_platform, single

USERS = {"acme": "s3cret-of-acme"}


@pytest.fixture(autouse=True)
def _programs() -> None:
    need("docker-registry", "skopeo", "htpasswd")


def account_of(registry: RealRegistry, **settings: object) -> Account:
    tls = Tls(ca_file=registry.ca_file)
    plain = registry.ca_file is None
    return account_for(registry.address, plain_http=plain, tls=tls, **settings)


async def test_lists_what_a_user_pushed_and_nothing_else(start_registry: StartRegistry) -> None:
    registry = start_registry()
    for tag in ("v1", "latest", "2.0"):
        registry.push("acme/web", tag)
    async with client_of(account_of(registry)) as client:
        listing = await client.list_tags("acme/web")
    assert isinstance(listing, Listing)
    assert set(listing.tags) == {"v1", "latest", "2.0"}
    assert (listing.pages, listing.ignored) == (1, 0)


async def test_a_listing_is_unchanged_until_a_user_pushes(start_registry: StartRegistry) -> None:
    registry = start_registry()
    registry.push("acme/web", "v1")
    async with client_of(account_of(registry)) as client:
        first = await client.list_tags("acme/web")
        again = await client.list_tags("acme/web", fingerprint=first.fingerprint)
        registry.push("acme/web", "v2")
        after = await client.list_tags("acme/web", fingerprint=first.fingerprint)
    assert isinstance(again, Unchanged)
    assert isinstance(after, Listing)
    assert set(after.tags) == {"v1", "v2"}


async def test_a_deleted_tag_is_listed_no_more(start_registry: StartRegistry) -> None:
    registry = start_registry()
    registry.push("acme/web", "v1")
    registry.push("acme/web", "v2")
    registry.delete("acme/web", "v1")
    async with client_of(account_of(registry)) as client:
        listing = await client.list_tags("acme/web")
    assert isinstance(listing, Listing)
    assert listing.tags == ("v2",)


async def test_head_gives_the_digest_of_an_image_and_of_an_index(
    start_registry: StartRegistry,
) -> None:
    registry = start_registry()
    image = registry.push("acme/web", "one")
    index = registry.push("acme/web", "all", multi_platform(b"x", ["linux/amd64", "linux/arm64"]))
    async with client_of(account_of(registry)) as client:
        assert await client.head("acme/web", "one") == image
        assert await client.head("acme/web", "all") == index
        manifest = await client.manifest("acme/web", index)
    assert [str(child.platform) for child in manifest.children] == ["linux/amd64", "linux/arm64"]


async def test_labels_are_those_of_the_image(start_registry: StartRegistry) -> None:
    registry = start_registry()
    digest = registry.push("acme/web", "v1", single(b"x", labels={"commit": "4f2a"}))
    async with client_of(account_of(registry)) as client:
        assert await client.labels("acme/web", digest) == {"commit": "4f2a"}


async def test_the_catalog_names_all_repositories(start_registry: StartRegistry) -> None:
    registry = start_registry()
    for repository in ("acme/web", "acme/api", "tools"):
        registry.push(repository, "v1")
    account = account_of(registry, catalog=Catalog(include="acme/.*", skip=("acme/api",)))
    async with client_of(account) as client:
        assert await client.catalog() == ("acme/web",)


async def test_the_catalog_is_read_page_by_page(start_registry: StartRegistry) -> None:
    registry = start_registry()
    for number in range(5):
        registry.push(f"acme/app-{number}", "v1")
    account = account_of(registry, catalog=Catalog(), limits=Limits(page_size=2))
    async with client_of(account) as client:
        assert await client.catalog() == tuple(f"acme/app-{number}" for number in range(5))


async def test_a_page_size_that_is_refused_is_learned_smaller(
    start_registry: StartRegistry,
) -> None:
    registry = start_registry()
    registry.push("acme/web", "v1")
    account = account_of(registry, catalog=Catalog(), limits=Limits(page_size=100_000))
    async with client_of(account) as client:
        assert await client.catalog() == ("acme/web",)


async def test_a_missing_repository_is_not_found(start_registry: StartRegistry) -> None:
    registry = start_registry()
    async with client_of(account_of(registry)) as client:
        with pytest.raises(NotFound, match="404 NAME_UNKNOWN for repository acme/none"):
            await client.list_tags("acme/none")


async def test_a_missing_tag_is_not_found(start_registry: StartRegistry) -> None:
    registry = start_registry()
    registry.push("acme/web", "v1")
    async with client_of(account_of(registry)) as client:
        with pytest.raises(NotFound, match="404"):
            await client.head("acme/web", "v2")


async def test_htpasswd_lets_the_right_password_in(start_registry: StartRegistry) -> None:
    registry = start_registry(users=USERS)
    registry.push("acme/web", "v1")
    async with client_of(account_of(registry), Passwords(ACME)) as client:
        listing = await client.list_tags("acme/web")
    assert isinstance(listing, Listing)
    assert listing.tags == ("v1",)


async def test_htpasswd_gets_the_renewed_password(start_registry: StartRegistry) -> None:
    registry = start_registry(users=USERS)
    registry.push("acme/web", "v1")
    passwords = Passwords(replace(ACME, password="of last year"), ACME)
    async with client_of(account_of(registry), passwords) as client:
        listing = await client.list_tags("acme/web")
    assert isinstance(listing, Listing)
    assert passwords.renewals == 1


@pytest.mark.parametrize(
    ("credential", "message"),
    [
        pytest.param(Credential("acme", "wrong"), "refused the account's password", id="wrong"),
        pytest.param(ANONYMOUS, "wants a user name and a password", id="none"),
    ],
)
async def test_htpasswd_keeps_others_out(
    start_registry: StartRegistry, credential: Credential, message: str
) -> None:
    registry = start_registry(users=USERS)
    async with client_of(account_of(registry), Passwords(credential)) as client:
        with pytest.raises(AuthenticationFailed, match=message):
            await client.list_tags("acme/web")


async def test_tls_is_believed_with_the_authority_that_ca_file_names(
    start_registry: StartRegistry,
) -> None:
    registry = start_registry(tls=True)
    registry.push("acme/web", "v1")
    async with client_of(account_of(registry)) as client:
        listing = await client.list_tags("acme/web")
    assert isinstance(listing, Listing)


async def test_tls_of_an_unknown_authority_is_refused(start_registry: StartRegistry) -> None:
    registry = start_registry(tls=True)
    async with client_of(account_for(registry.address, plain_http=False)) as client:
        with pytest.raises(TlsError, match="is not trusted") as caught:
            await client.list_tags("acme/web")
    assert "ca_file" in str(caught.value.hint)


async def test_tls_can_be_left_unverified(start_registry: StartRegistry) -> None:
    registry = start_registry(tls=True)
    registry.push("acme/web", "v1")
    account = account_for(registry.address, plain_http=False, tls=Tls(insecure_skip_verify=True))
    async with client_of(account) as client:
        assert isinstance(await client.list_tags("acme/web"), Listing)


async def test_https_to_a_plain_registry_says_so(start_registry: StartRegistry) -> None:
    registry = start_registry()
    async with client_of(account_for(registry.address, plain_http=False)) as client:
        with pytest.raises(TlsError) as caught:
            await client.list_tags("acme/web")
    assert "plain_http" in str(caught.value.hint)


async def test_a_registry_that_is_gone_is_a_transport_error(
    start_registry: StartRegistry,
) -> None:
    registry = start_registry()
    registry.push("acme/web", "v1")
    async with client_of(account_of(registry)) as client:
        await client.list_tags("acme/web")
        registry.process.terminate()
        registry.process.wait()
        with pytest.raises(TransportError, match="refused the connection"):
            await client.list_tags("acme/web")
