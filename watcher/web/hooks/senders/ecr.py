"""Amazon ECR: EventBridge sends its events to an API destination, as they are.

docs.aws.amazon.com, "Amazon ECR events and EventBridge". The host is made of account and region;
an account that uses another name of it (FIPS, dual stack) is found by the repository's name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from watcher.web.hooks.message import (
    Json,
    Malformed,
    Message,
    hint_of,
    identifier_of,
    moment_of,
    object_in,
    read_object,
    text_in,
)

_TYPES = frozenset({"ECR Image Action", "ECR Replication Action"})
_ACTIONS = frozenset({"PUSH", "DELETE", "REPLICATE"})
_ACCOUNT = re.compile(r"[0-9]{12}")
_REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]{2,12}){1,2}-[0-9]{1,2}")


def read(body: bytes, headers: Mapping[str, str]) -> Message:
    document = read_object(body)
    identifier, moment = identifier_of(document.get("id")), moment_of(document.get("time"))
    kind = text_in(document, "detail-type")
    detail = object_in(document, "detail")
    action = detail.get("action-type")
    if kind not in _TYPES or action not in _ACTIONS or detail.get("result") != "SUCCESS":
        return Message(
            note="neither a push nor a deletion that succeeded",
            identifier=identifier,
            moment=moment,
        )
    hint = hint_of(
        _host(document),
        text_in(detail, "repository-name"),
        detail.get("image-tag"),
        detail.get("image-digest"),
        is_deletion=action == "DELETE",
    )
    return Message(hints=(hint,), identifier=identifier, moment=moment)


def _host(document: Json) -> str:
    account, region = text_in(document, "account"), text_in(document, "region")
    if _ACCOUNT.fullmatch(account) is None or _REGION.fullmatch(region) is None:
        raise Malformed("`account` or `region` is none of Amazon's")
    suffix = ".cn" if region.startswith("cn-") else ""
    return f"{account}.dkr.ecr.{region}.amazonaws.com{suffix}"
