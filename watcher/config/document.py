"""The top level of a config file: every key there is, for reading, the schema and the docs."""

from __future__ import annotations

from collections.abc import Mapping

from watcher.config.account_fields import ACCOUNT
from watcher.config.clusters import CLUSTER
from watcher.config.fields import Field, Kind, ListOf, PathValue, Section
from watcher.config.notifying import NOTIFIER, PING
from watcher.config.pipelines import pipeline_section
from watcher.config.retention import RETENTION
from watcher.config.serving import HTTP
from watcher.config.triggers import TRIGGER

LISTS = ("accounts", "clusters", "triggers", "pipelines", "notifiers")


def document(stages: Mapping[str, Kind], *, list_kind: type[ListOf] = ListOf) -> Section:
    """The keys of a config file; `stages` maps each stage type to the kind of its options."""
    return Section(
        {
            "state": Field(
                PathValue(),
                doc="The state file. What was seen and decided is in it; keep it.",
                example="./watcher.db",
                default_doc="`$STATE_DIRECTORY/watcher.db`, else `watcher.db` beside the config",
            ),
            "http": Field(
                HTTP,
                doc="The HTTP side of the daemon: health, metrics, the API and inbound webhooks.",
                default_doc="none; then nothing listens",
            ),
            "retention": Field(
                RETENTION,
                doc="How long what is over stays in the state file.",
                default_doc="as its keys' defaults say",
            ),
            "accounts": Field(
                list_kind(ACCOUNT),
                doc="Each is one credential for one registry, and the repositories it watches.",
                default_doc="required",
            ),
            "clusters": Field(
                list_kind(CLUSTER),
                doc="Each is a Kubernetes cluster, and what stages may do in it.",
                default_doc="one: the pod's own, else `$KUBECONFIG`, else `~/.kube/config`",
            ),
            "triggers": Field(
                list_kind(TRIGGER), doc="Each is a rule that turns a change of a tag into a run."
            ),
            "pipelines": Field(
                list_kind(pipeline_section(stages)), doc="What runs: each is a list of stages."
            ),
            "notifiers": Field(
                list_kind(NOTIFIER),
                doc="Each is a place that is told what wants a person: docs/notifications.md.",
            ),
            "ping": Field(
                PING, doc="A URL that is called as long as every account is really polled."
            ),
        }
    )
