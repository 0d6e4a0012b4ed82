"""The closed set of metrics: their names, labels, and what a person makes of each.

Three kinds, by how they come about: a Count and a Timing are told to a Meter as things happen, a
Reading is taken from what is there anyway when somebody asks. Labels are words of the config and
closed sets of ours, never a repository, a tag or a URL: nothing remote makes a series more.
docs/metrics.md lists them all, and a test compares. Anyone may import it.
"""

from __future__ import annotations

from enum import Enum, StrEnum

PREFIX = "registry_watcher_"

_OF_POLLS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_OF_STAGES = (0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
_OF_THE_LOOP = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Family:
    """One metric: its name without the prefix, what to do with it, and its labels in order.
    `buckets` are upper bounds in seconds."""

    __slots__ = ("buckets", "labels", "meaning", "name")

    def __init__(
        self, name: str, meaning: str, *labels: str, buckets: tuple[float, ...] = ()
    ) -> None:
        self.name = PREFIX + name
        self.meaning = meaning
        self.labels = labels
        self.buckets = buckets


class Count(Enum):
    """What is counted as it happens, since the process began."""

    POLLS = Family(
        "polls_total",
        "Polls that ended, by result. A rising share of `failed` is explained by `watcher status`.",
        "account",
        "result",
    )
    REQUESTS = Family(
        "requests_total",
        "Requests sent for accounts of a registry, by where to (registry, native, token, "
        "elsewhere) and status code; `none`: no answer came. 429 and 401 deserve a look.",
        "host",
        "kind",
        "code",
    )
    EVENTS = Family(
        "events_total",
        "What triggers made of changes, when a poll found them. `held` wait for "
        "`watcher events release` or `drop`.",
        "account",
        "outcome",
    )
    EXECUTIONS = Family(
        "executions_total",
        "Executions that ended, by status. Of FAILED ones `watcher executions` has the reasons.",
        "pipeline",
        "status",
    )
    ROLLBACKS = Family(
        "rollbacks_total",
        "Stages whose work was taken back. `failed` wants a person at once: what the stage did "
        "is still there, in whole or in part.",
        "pipeline",
        "result",
    )
    STATE_FAILURES = Family(
        "state_failures_total",
        "Times that the state file could not be read or written, by what for. Look at the disk "
        "and at `watcher state check`.",
        "during",
    )
    CONFIG_RELOADS = Family(
        "config_reloads_total",
        "Reloads of the config. After `rejected` the old one holds; `watcher validate` says why.",
        "result",
    )
    DELIVERIES = Family(
        "webhook_deliveries_total",
        "Webhooks that came, by sender and outcome. `forged` ones did not know the token; "
        "`watcher activity --deliveries` has the others.",
        "sender",
        "outcome",
    )
    DELIVERIES_LOST = Family(
        "webhook_deliveries_lost_total",
        "Webhooks that activity will never show, since the state file could not be written; what "
        "they named was polled all the same.",
    )


class Timing(Enum):
    """How long things took."""

    POLL = Family(
        "poll_seconds",
        "How long polls took, waiting for their turn at the registry included. Near the interval, "
        "the account needs more `limits.concurrency` or a longer `poll`.",
        "account",
        buckets=_OF_POLLS,
    )
    STAGE = Family(
        "stage_seconds",
        "From the first start of a stage to its end, waits and retries included.",
        "type",
        "status",
        buckets=_OF_STAGES,
    )
    LOOP_LAG = Family(
        "event_loop_lag_seconds",
        "By how much the event loop was late, looked at once a second. Above 0.25 s often: the "
        "process lacks CPU.",
        buckets=_OF_THE_LOOP,
    )


class Reading(Enum):
    """What is read when it is asked for. Where the state file can't be read in time, what stands
    in it is left out."""

    BUILD = Family("build_info", "Always 1; the version that runs.", "version")
    READY = Family(
        "ready",
        "1 when config and state are settled and each account was answered once, or refused for "
        "a reason that is shown. 0 for long: `watcher status` names the account.",
    )
    COMPLAINTS = Family(
        "complaints",
        "How many things are wrong with the daemon, as `/healthz` names them: `stuck` wants a "
        "restart, `stale` a look at the registry, `state` one at the disk.",
        "ailment",
    )
    REPOSITORIES = Family(
        "repositories",
        "Watched repositories by state, as `watcher status` has them.",
        "account",
        "state",
    )
    OVERDUE = Family(
        "repositories_overdue",
        "Repositories without a successful poll for longer than `stale_after`, whatever the "
        "reason. Anything but 0 means that new tags may go unnoticed.",
        "account",
    )
    TAGS = Family("tags", "Tags that are known of the watched repositories.", "account")
    LAST_SUCCESS = Family(
        "last_success_timestamp_seconds",
        "The last successful poll of any repository of the account; 0: none yet.",
        "account",
    )
    OLDEST_SUCCESS = Family(
        "oldest_success_timestamp_seconds",
        "The last successful poll of the repository whose is longest ago; 0: one has none yet.",
        "account",
    )
    PARKED_UNTIL = Family(
        "parked_until_timestamp_seconds",
        "Until when a host, or one account of it, is left alone because it asked for patience; 0: "
        "it is not. Poll more rarely if that comes again and again.",
        "host",
        "account",
        "counts",
    )
    QUOTA_REMAINING = Family(
        "quota_remaining",
        "Requests that a registry still allows, as it said itself; no series where it says none.",
        "host",
        "account",
        "counts",
    )
    QUOTA_LIMIT = Family(
        "quota_limit",
        "Requests that a registry allows in all until its quota resets, as it said itself.",
        "host",
        "account",
        "counts",
    )
    QUOTA_RESETS = Family(
        "quota_reset_timestamp_seconds",
        "When what remains of a quota is the whole again.",
        "host",
        "account",
        "counts",
    )
    CREDENTIAL_AGE = Family(
        "credential_age_seconds",
        "How long the account's credential has been the same one, in this process. Longer than "
        "it is good for, its renewal does not work.",
        "account",
    )
    CREDENTIAL_TROUBLE = Family(
        "credential_trouble",
        "1 while the registry refuses the credential (`refused`), or while its source gives none "
        "(`unavailable`): nothing of the account is polled.",
        "account",
        "trouble",
    )
    EVENTS_HELD = Family(
        "events_held",
        "Events that wait for `watcher events release` or `drop`.",
        "trigger",
    )
    MESSAGES = Family(
        "notifications",
        "Messages of notifiers that were not sent: `waiting`, or `dead` after three days of "
        "trying. `watcher notify ls` says why; `retry` or `drop` ends it.",
        "notifier",
        "status",
    )
    UNFINISHED = Family(
        "executions_unfinished",
        "Executions that have not ended. WAITING may be a person's approval; QUEUED that only "
        "grows means that the pipeline's `concurrency` is too small.",
        "pipeline",
        "status",
    )
    TRANSACTIONS = Family(
        "state_transactions_total",
        "Transactions of this process that changed the state file. Idle polls write about one in "
        "a minute.",
    )
    STATE_BYTES = Family(
        "state_bytes",
        "Size of the state file with its write-ahead log; shorten `retention` if it only grows.",
    )
    LOG_LINES_LOST = Family(
        "log_lines_lost_total",
        "Log lines that could not be written: whoever takes them hangs, the disk is full, nobody "
        "is there. `log_resumed` says how many, and why, when the log goes on.",
    )
    CONFIG_OK = Family(
        "config_last_reload_successful",
        "1 when the config on disk is the one that runs, 0 when it was rejected.",
    )
    CONFIG_LOADED = Family(
        "config_last_reload_success_timestamp_seconds",
        "When the config that runs was loaded.",
    )


class StateUse(StrEnum):
    """What the state file was needed for when it failed."""

    POLL = "poll"
    EXECUTION = "execution"
    BOOKKEEPING = "bookkeeping"
    REQUESTS = "requests"
    RETENTION = "retention"
    METRICS = "metrics"


class RollbackResult(StrEnum):
    """How taking a stage's work back ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"


class ReloadResult(StrEnum):
    """What became of a changed config."""

    LOADED = "loaded"
    REJECTED = "rejected"
