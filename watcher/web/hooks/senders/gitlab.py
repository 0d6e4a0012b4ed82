"""GitLab: its registry sends the notifications of docker-registry, which it is a fork of.

docs.gitlab.com, "Configure container registry notifications". The webhooks of projects and groups
know no event of the registry (gitlab-org/gitlab issues 15385 and 32950): they are accepted, so that
a test of them succeeds, and ignored.
"""

from __future__ import annotations

from collections.abc import Mapping

from watcher.web.hooks.message import Message, read_object
from watcher.web.hooks.senders import distribution


def read(body: bytes, headers: Mapping[str, str]) -> Message:
    document = read_object(body)
    if "events" not in document and ("object_kind" in document or "event_name" in document):
        return Message(note="a webhook of a project or group, which tells of no image")
    return distribution.read_envelope(document)
