"""The keys of an account, each declared once (SPEC 3.1); `accounts` makes the Account of them."""

from __future__ import annotations

from watcher.config.durations import text_of
from watcher.config.fields import (
    Boolean,
    Choice,
    Duration,
    Either,
    Field,
    Integer,
    ListOf,
    Number,
    PathValue,
    Pattern,
    Section,
    Text,
)
from watcher.config.items import NAME, NAME_RULE
from watcher.core.account import (
    Catalog,
    CredentialSource,
    DialectName,
    DigestTracking,
    Limits,
    Strategy,
    Timeouts,
    Tls,
)

_ENVIRONMENT_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_PROXY_URL = r"https?://\S+"

POLL = Section(
    {
        "every": Field(
            Duration(minimum="1s"),
            doc="Time between two polls of a repository.",
            example="5m",
            default_doc="60s, unless `cron` is given",
        ),
        "cron": Field(
            Text(),
            doc="Polls at these times instead: five fields, Sunday is 0 or 7.",
            example="*/5 * * * *",
        ),
        "timezone": Field(
            Text(), doc="Time zone of `cron`.", example="Europe/Vienna", default_doc="UTC"
        ),
        "jitter": Field(
            Duration(),
            doc="How far a poll may move, so that repositories spread.",
            example="6s",
            default_doc="10 % of `every`",
        ),
    }
)

CATALOG = Section(
    {
        "include": Field(
            Pattern(),
            doc="Only repositories whose whole name matches.",
            example="acme-prod/.*",
            default_doc="all",
        ),
        "skip": Field(
            ListOf(Text()), doc="Names that are left out.", example=["acme-prod/scratch"]
        ),
        "refresh": Field(
            Duration(minimum="1s"),
            default=text_of(Catalog().refresh),
            doc="How often the catalog is asked again.",
            example="30m",
        ),
        "file": Field(
            PathValue(),
            doc='A JSON file `{"repositories": [NAME, ...]}` that is read instead of the '
            "registry's catalog.",
            example="./catalog.json",
        ),
    }
)

TLS = Section(
    {
        "ca_file": Field(
            PathValue(),
            doc="Certificates (PEM) that are trusted beside the system's.",
            example="/etc/ssl/acme-ca.pem",
        ),
        "client_cert": Field(
            PathValue(),
            doc="Client certificate (PEM), with its key or beside `client_key`.",
            example="/etc/registry-watcher/client.pem",
        ),
        "client_key": Field(
            PathValue(),
            doc="Key of `client_cert` (PEM, without a password).",
            example="/etc/registry-watcher/client.key",
        ),
        "insecure_skip_verify": Field(
            Boolean(),
            default=Tls().insecure_skip_verify,
            doc="Believe any certificate. Anyone on the way can then read the password.",
            example=True,
        ),
    }
)

TIMEOUTS = Section(
    {
        "connect": Field(
            Duration(minimum="1s"),
            default=text_of(Timeouts().connect),
            doc="To reach the host.",
            example="10s",
        ),
        "read": Field(
            Duration(minimum="1s"),
            default=text_of(Timeouts().read),
            doc="Between two parts of an answer.",
            example="30s",
        ),
        "total": Field(
            Duration(minimum="1s"),
            default=text_of(Timeouts().total),
            doc="One repository's whole poll.",
            example="5m",
        ),
    }
)

LIMITS = Section(
    {
        "concurrency": Field(
            Integer(minimum=1, maximum=1000),
            default=Limits().concurrency,
            doc="Requests at once. Accounts of one host share the largest of theirs, and each "
            "leaves one place to the others.",
            example=4,
        ),
        "requests_per_second": Field(
            Either(Number(minimum=0.001), Choice("none")),
            doc="Requests per second at most, after half a second's worth at once; `none` for as "
            "many as the host is known to take.",
            example=5,
            default_doc="none",
        ),
        "page_size": Field(
            Integer(minimum=1, maximum=100_000),
            default=Limits().page_size,
            doc="Entries per page that are asked for; registries may give fewer.",
            example=1000,
        ),
        "max_pages": Field(
            Integer(minimum=1, maximum=1_000_000),
            default=Limits().max_pages,
            doc="A listing with more pages than this is an error.",
            example=1000,
        ),
        "scopes_per_token": Field(
            Integer(minimum=1, maximum=100),
            doc="For how many repositories one token is asked for at once.",
            example=20,
            default_doc="20 at Docker Hub, else 1",
        ),
    }
)

ACCOUNT = Section(
    {
        "name": Field(
            Text(matches=NAME, rule=NAME_RULE),
            required=True,
            doc="What triggers and commands call it. What is known of a repository belongs to "
            "this name: a renamed account starts with new baselines.",
            example="dockerhub",
        ),
        "address": Field(
            Text(),
            required=True,
            doc="Host, host:port or URL of the registry. For Docker Hub `index.docker.io`, "
            "`docker.io` and `registry-1.docker.io` are the same.",
            example="index.docker.io",
        ),
        "username": Field(
            Text(), doc="Left out, with the password, for anonymous access.", example="acme-bot"
        ),
        "password": Field(
            Text(secret=True),
            doc="The password itself. At most one of the five password sources may be given.",
            example="not-a-real-password",
        ),
        "password_file": Field(
            PathValue(),
            doc="File with the password, read again when it changed. One newline at its end is "
            "cut, nothing else.",
            example="/run/secrets/dockerhub",
        ),
        "password_env": Field(
            Text(secret=True, matches=_ENVIRONMENT_NAME, rule="the name of a variable"),
            doc="Environment variable with the password.",
            example="QUAY_TOKEN",
        ),
        "password_command": Field(
            Either(Text(), ListOf(Text(empty=True), minimum=1)),
            doc="Command that prints the password: a string for the shell, or a list that runs "
            "without one. It gets no stdin; its stdout is shown nowhere.",
            example="aws --region us-east-1 ecr get-login-password",
        ),
        "docker_config": Field(
            Either(Boolean(), PathValue()),
            doc="A docker `config.json` or containers `auth.json` whose `auths`, `credHelpers`, "
            "`credsStore` and `identitytoken` are used; `true` for the usual place.",
            example="~/.docker/config.json",
        ),
        "password_ttl": Field(
            Duration(minimum="1s"),
            doc="How long the answer of `password_command` (or of docker's helper) is used. When "
            "the registry refuses it, the command runs again at once.",
            example="6h",
            default_doc=text_of(CredentialSource().password_ttl),
        ),
        "password_timeout": Field(
            Duration(minimum="1s"),
            doc="After this the command is killed with its children.",
            example="30s",
            default_doc=text_of(CredentialSource().password_timeout),
        ),
        "repositories": Field(
            ListOf(Text()),
            doc="Repositories to poll. With neither this nor `catalog`, those that triggers name.",
            example=["library/nginx", "acme/demoapp"],
        ),
        "catalog": Field(
            Either(Boolean(), CATALOG),
            doc="Find repositories by the registry's catalog: `true`, or a mapping. May stand "
            "beside `repositories`.",
        ),
        "poll": Field(
            Either(Duration(minimum="1s"), POLL),
            doc="When to poll; `poll: 60s` is short for `every`. First polls spread over the "
            "interval.",
            default_doc="60s",
        ),
        "track_digests": Field(
            Choice(*DigestTracking),
            default=DigestTracking.AUTO.value,
            doc="Look up digests of tags that a trigger with `changes: [moved]` matches (`auto`), "
            "of `all` tags, or of none (`off`).",
            example="auto",
        ),
        "audit": Field(
            Duration(minimum="1s"),
            default="6h",
            doc="How long at most a followed tag that looks like a fixed version (`1.4.2`, a date, "
            "a commit) goes without a look for a move: the younger the sooner. Other followed "
            "tags are looked at in each poll.",
            example="6h",
        ),
        "dialect": Field(
            Choice("auto", *DialectName),
            default="auto",
            doc="What kind of registry it is. `auto`: known by its name, or asked once a day.",
            example="harbor",
        ),
        "strategy": Field(
            Choice(*Strategy),
            default=Strategy.AUTO.value,
            doc="How repositories are looked at: by the v2 API alone (`v2`), by the registry's own "
            "API where there is one (`native`), or whichever takes fewer requests (`auto`).",
            example="v2",
        ),
        "http2": Field(
            Either(Boolean(), Choice("auto")),
            doc="Speak HTTP/2, all requests over one connection. `auto`: where the registry allows "
            "more requests over it (Quay).",
            example=True,
            default_doc="auto",
        ),
        "plain_http": Field(
            Boolean(),
            default=False,
            doc="http:// instead of https://; the password is then sent in clear.",
            example=True,
        ),
        "tls": Field(TLS, doc="Certificates; they hold for the token server too."),
        "proxy": Field(
            Text(secret=True, matches=_PROXY_URL, rule="a URL http://host:port or https://…"),
            doc="Proxy for this account.",
            example="http://proxy.acme.example:3128",
            default_doc="the environment's",
        ),
        "timeouts": Field(TIMEOUTS, doc="How long to wait."),
        "limits": Field(LIMITS, doc="How hard to press the registry."),
        "hold_above": Field(
            Integer(minimum=0),
            default=50,
            doc="More events than this from one repository in one poll are held, not fired.",
            example=50,
        ),
        "stale_after": Field(
            Duration(minimum="1s"),
            doc="Without a successful poll for so long, a repository is unhealthy.",
            example="10m",
            default_doc="3 x the interval",
        ),
        "include_artifacts": Field(
            Boolean(),
            default=False,
            doc="Take tags that carry signatures, attestations and SBOMs for tags like others.",
            example=True,
        ),
        "webhooks": Field(
            Boolean(),
            default=True,
            doc="Poll at once what an inbound webhook names. Can also be switched at run time "
            "(`watcher webhooks`); that switch outlives a restart.",
            example=False,
        ),
    }
)
