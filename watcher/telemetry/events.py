"""The closed set of event names: what a log line can be about, and the words of its `event` key."""

from __future__ import annotations

from enum import StrEnum


class Event(StrEnum):
    """Each says what happened; docs/architecture.md lists them all, and a test compares."""

    STARTED = "started"
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"
    CONFIG_LOADED = "config_loaded"
    CONFIG_REJECTED = "config_rejected"
    CATALOG_READ = "catalog_read"
    CATALOG_FAILED = "catalog_failed"
    REGISTRY_RECOGNISED = "registry_recognised"
    STRATEGY_CHANGED = "strategy_changed"
    POLL_FAILED = "poll_failed"
    POLL_RECOVERED = "poll_recovered"
    POLL_PARKED = "poll_parked"
    BASELINE_RECORDED = "baseline_recorded"
    LISTING_QUARANTINED = "listing_quarantined"
    TAG_NEW = "tag_new"
    TAG_MOVED = "tag_moved"
    TAG_DELETED = "tag_deleted"
    TAG_UNREADABLE = "tag_unreadable"
    EVENTS_HELD = "events_held"
    EVENTS_REJECTED = "events_rejected"
    EXECUTION_QUEUED = "execution_queued"
    EXECUTION_STARTED = "execution_started"
    EXECUTION_FINISHED = "execution_finished"
    STAGE_STARTED = "stage_started"
    STAGE_RETRIED = "stage_retried"
    STAGE_FINISHED = "stage_finished"
    ROLLBACK_STARTED = "rollback_started"
    ROLLBACK_FAILED = "rollback_failed"
    ROLLBACK_SKIPPED = "rollback_skipped"
    REQUEST_SERVED = "request_served"
    LISTENING = "listening"
    CONNECTIONS_SHED = "connections_shed"
    TOKEN_REFUSED = "token_refused"  # noqa: S105
    TOKEN_UNUSABLE = "token_unusable"  # noqa: S105
    LOG_RESUMED = "log_resumed"
    STATE_PRUNED = "state_pruned"
    WEBHOOK_RECEIVED = "webhook_received"
    DELIVERIES_LOST = "deliveries_lost"
    CALLBACK_FAILED = "callback_failed"
    STATE_FAILED = "state_failed"
    STANDSTILL = "standstill"
    INTERNAL_ERROR = "internal_error"
    LIBRARY = "library"
