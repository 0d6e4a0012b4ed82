"""The kinds of registry, each as a Profile of the fake registry: PROFILES by name.

    async with FakeRegistry(profile=PROFILES["quay"], users={"acme+robot": "secret"}) as registry:

Facts and their sources: the field notes on registries ("Per-registry quirks"). Whoever plays a
registry for a test takes one from here; imported by `watcher.testing.registry` for its program.
"""

from __future__ import annotations

from dataclasses import replace

from watcher.testing.access import BasicAuth, BearerAuth, PasswordBearer
from watcher.testing.limits import RateLimit, Telling
from watcher.testing.native import acr, docker_hub, gitlab, harbor, quay
from watcher.testing.paging import LinkStyle, Paging
from watcher.testing.profile import Profile
from watcher.testing.records import Kind

ACR_TOKEN_USER = "00000000-0000-0000-0000-000000000000"  # noqa: S105 - a user's name
_HOUR = 3600
_READS = frozenset({Kind.TAGS, Kind.MANIFEST, Kind.BLOB, Kind.CATALOG})
_API = frozenset({Kind.NATIVE, Kind.LOGIN})
_BOTH_KEYS = ("token", "access_token")

_DISTRIBUTION_CATALOG = Paging(default=100, maximum_n=1000)

DISTRIBUTION_2_8 = Profile(
    name="distribution-2.8",
    auth=BasicAuth(users={}, realm="Registry Realm"),
    paging=Paging(ignores_n=True, scattered=True),
    catalog=_DISTRIBUTION_CATALOG,
)

DISTRIBUTION_3 = Profile(
    name="distribution-3",
    auth=BearerAuth(token_keys=_BOTH_KEYS, jwt=True, service="registry"),
    paging=Paging(),
    catalog=_DISTRIBUTION_CATALOG,
)

DOCKER_HUB = Profile(
    name="docker-hub",
    auth=BearerAuth(
        anonymous=True,
        admins=frozenset(),  # its catalog is closed to everyone
        service="registry.docker.io",
        token_keys=_BOTH_KEYS,
        jwt=True,
        ttl=300,
        hides_missing=True,
    ),
    paging=Paging(),
    manifest_etag=True,
    native=docker_hub.API,
    limits=(
        RateLimit(
            requests=100,
            per=6 * _HOUR,
            kinds=frozenset({Kind.MANIFEST}),
            counts=frozenset({"GET"}),
            telling=Telling.PULLS,
        ),
        RateLimit(requests=180, kinds=_API, telling=Telling.X_HEADERS),
    ),
)

GCR = Profile(
    name="gcr",
    auth=BearerAuth(
        anonymous=True,
        service="{host}",
        realm="{url}/v2/token",
        ttl=_HOUR,
        post_status=404,
        accepts_basic=True,
        password_bearer=PasswordBearer.PLAIN,
    ),
    paging=Paging(maximum_n=10_000),
    catalog=Paging(default=100, maximum_n=10_000),
    manifest_etag=False,
    tells_manifests=True,
    limits=(RateLimit(requests=60_000, telling=Telling.SECONDS),),
)

ARTIFACT_REGISTRY = replace(
    GCR,
    name="artifact-registry",
    # Seen to challenge with a realm and nothing more.
    auth=BearerAuth(
        anonymous=True,
        service=None,
        realm="{url}/v2/token",
        names_scope=False,
        ttl=_HOUR,
        post_status=404,
        accepts_basic=True,
        password_bearer=PasswordBearer.PLAIN,
    ),
    paging=Paging(cap=1000),
)

_ECR_PAGING = Paging(
    default=100,
    maximum_n=1000,
    refusal_status=405,
    refusal_code="UNSUPPORTED",
    opaque=True,
    link=LinkStyle.ABSOLUTE,
    scattered=True,
)

ECR = Profile(
    name="ecr",
    auth=BasicAuth(users={}, realm="{url}/", service="ecr.amazonaws.com", expired_status=403),
    paging=_ECR_PAGING,
    catalog=_ECR_PAGING,
    list_type="text/plain; charset=utf-8",
    manifest_etag=False,
    limits=(RateLimit(requests=10, per=1, telling=Telling.NOTHING),),
)

ECR_PUBLIC = Profile(
    name="ecr-public",
    auth=BearerAuth(
        anonymous=True,
        service="{host}",
        realm="{url}/token/",
        ping_scope="aws",
        tells_expiry=False,
        ttl=12 * _HOUR,
        scoped=False,
        stale_status=400,
        post_status=405,
    ),
    paging=replace(_ECR_PAGING, default=1000),
    catalog=None,
    list_type="text/plain; charset=utf-8",
    manifest_etag=False,
    odd_tags=("-ot-beta-jmx",),
    limits=(RateLimit(requests=10, per=1, telling=Telling.NOTHING),),
)

QUAY = Profile(
    name="quay",
    auth=BearerAuth(
        anonymous=True,
        service="{host}",
        realm="{url}/v2/auth",
        names_error=False,
        tells_expiry=False,
        jwt=True,
        ttl=_HOUR,
        grants_catalog=False,
        open_catalog=True,
        known_actions=frozenset({"pull", "push", "*"}),
        hides_missing=True,
        post_status=405,
    ),
    paging=Paging(default=100, cap=100, link=LinkStyle.ABSOLUTE, n_first=True),
    catalog=Paging(
        default=100,
        cap=100,
        opaque=True,
        cursor="next_page",
        link=LinkStyle.ABSOLUTE,
        sorted=False,
    ),
    quiet_catalog=True,
    manifest_etag=False,
    native=quay.API,
    closes=frozenset({Kind.TAGS, Kind.TOKEN, Kind.NATIVE}),
    limits=(RateLimit(requests=5, per=1, kinds=_READS | _API, telling=Telling.NOTHING),),
)

GHCR = Profile(
    name="ghcr",
    auth=BearerAuth(
        anonymous=True,
        service="ghcr.io",
        ping_scope="repository:user/image:pull",
        tells_expiry=False,
        hides_missing=True,
        refused_scope_status=403,
        bad_login_status=403,
        post_status=405,
        password_bearer=PasswordBearer.BASE64,
    ),
    paging=Paging(default=100, sorted=False),
    catalog=None,
    manifest_etag=False,
    limits=(RateLimit(requests=44_000, telling=Telling.MESSAGE),),
)

ACR = Profile(
    name="acr",
    auth=BearerAuth(
        service="{host}",
        realm="{url}/oauth2/token",
        tells_expiry=False,
        token_keys=("access_token",),
        jwt=True,
        ttl=75 * 60,
        listing_action="metadata_read",
        post_status=400,
        accepts_basic=True,
        token_only_users=frozenset({ACR_TOKEN_USER}),
    ),
    paging=Paging(default=100, link_end="&orderby="),
    catalog=Paging(default=100, link_end="&orderby="),
    manifest_etag=False,
    native=acr.API,
    limits=(RateLimit(requests=1000, telling=Telling.SECONDS),),
)

HARBOR = Profile(
    name="harbor",
    auth=BearerAuth(
        anonymous=True,
        service="harbor-registry",
        realm="{url}/service/token",
        names_error=False,
        basic_realm="harbor",
        jwt=True,
        ttl=30 * 60,
        post_status=405,
        accepts_basic=True,
    ),
    paging=Paging(n_first=True),
    catalog=Paging(n_first=True, last_must_exist=True),
    version="v2.15.2-ab1c2d3e",
    native=harbor.API,
)

GITLAB = Profile(
    name="gitlab",
    auth=BearerAuth(
        anonymous=True,
        admins=frozenset(),
        service="container_registry",
        realm="{url}/jwt/auth",
        tells_expiry=False,
        jwt=True,
        ttl=300,
        single_scope=True,
        post_status=404,
    ),
    paging=Paging(default=100, maximum_n=1000),
    catalog=Paging(default=100, maximum_n=1000),
    version="4.15.2-gitlab",
    native=gitlab.API,
    limits=(RateLimit(requests=2000, telling=Telling.SECONDS),),
)

ARTIFACTORY = Profile(
    name="artifactory",
    auth=BearerAuth(
        service="{host}",
        realm="{url}/v2/token",
        names_scope=False,
        ttl=_HOUR,
        post_status=401,
        accepts_basic=True,
    ),
    paging=Paging(zero_is_all=True, numbered=True, link_path="{path_below}"),
    catalog=Paging(zero_is_all=True),
    headers=(
        ("X-JFrog-Version", "Artifactory/{version}"),
        ("X-Artifactory-Id", "f00dcafe:1234:acme:-8000"),
        ("X-Artifactory-Node-Id", "artifactory-0"),
    ),
    version="7.46.11 74611900",
    manifest_etag=False,
    lists_digests=True,
    missing_head_status=403,
    limits=(RateLimit(requests=1000, telling=Telling.DATE),),
)

NEXUS = Profile(
    name="nexus",
    auth=BearerAuth(
        service="{url}/v2/token",
        realm="{url}/v2/token",
        names_scope=False,
        tells_expiry=False,
        token_form="DockerToken.{}",  # noqa: S106 - the form of a token
        ttl=_HOUR,
        scoped=False,
        post_status=405,
        accepts_basic=True,
    ),
    paging=Paging(
        link=LinkStyle.ABSOLUTE, link_path="/repository/docker-hosted{path}", n_first=True
    ),
    catalog=Paging(),
    headers=(("Server", "Nexus/{version} (OSS)"),),
    version="3.64.0-04",
    manifest_etag=False,
    odd_tags=(None,),
)

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        DISTRIBUTION_2_8,
        DISTRIBUTION_3,
        DOCKER_HUB,
        GCR,
        ARTIFACT_REGISTRY,
        ECR,
        ECR_PUBLIC,
        QUAY,
        GHCR,
        ACR,
        HARBOR,
        GITLAB,
        ARTIFACTORY,
        NEXUS,
    )
}
