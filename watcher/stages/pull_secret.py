"""`pull_secret: {name: regcred, account: dockerhub}`: an account's credential as a Secret with
which kubelets pull images. Each run writes what the credential is then.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from watcher.config.fields import Field, Kind, Section, Text
from watcher.config.items import NAME, NAME_RULE
from watcher.core.pipeline import Done, Json, StageOutcome
from watcher.errors import ClusterError, ClusterFault, StageError
from watcher.stages.base import StageContext
from watcher.stages.cluster_options import PLACE_FIELDS, Place, is_dry_run, place_of

if TYPE_CHECKING:
    from watcher.core.account import Credential
    from watcher.core.reference import Registry
    from watcher.kube.client import Applied
    from watcher.kube.objects import Object, Resource

DOCKER_HUB_KEY = "https://index.docker.io/v1/"
"""Under no other name do kubelets look for Docker Hub's credential."""

_NULL_USER = "00000000-0000-0000-0000-000000000000"
"""Kubelets know nothing of identity tokens; the registries that give them out take them as the
password of this user."""

_OBJECT_NAME = r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"


class PullSecretStage:
    """No value of it is ever logged or kept. It is not taken back: an older credential helps
    nobody."""

    type = "pull_secret"
    has_dry_run = True
    options: Kind = Section(
        {
            "name": Field(
                Text(matches=_OBJECT_NAME, rule="the name of a Secret"),
                required=True,
                doc="The Secret to write; `imagePullSecrets` of pods or service accounts name it.",
                example="regcred",
            ),
            "account": Field(
                Text(matches=NAME, rule=NAME_RULE),
                required=True,
                doc="The account of `accounts` whose credential it holds.",
                example="dockerhub",
            ),
            **PLACE_FIELDS,
        },
        doc="Writes a Secret for pulling images from an account's credential.",
    )

    async def run(self, options: Json, context: StageContext) -> StageOutcome:
        place = await place_of(options, context)
        account, credential = await context.accounts.credential(options["account"])
        if credential.is_anonymous:
            raise StageError(
                f"the account {account.name!r} is anonymous: it has no credential to hand on"
            )
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": options["name"], "namespace": place.namespace},
            "type": "kubernetes.io/dockerconfigjson",
            "data": {".dockerconfigjson": _encoded(docker_config(account.registry, credential))},
        }
        resource = await place.client.resource("v1", "Secret")
        dry_run = is_dry_run(options, context)
        live = await _seen(place, resource, options["name"]) if dry_run else None
        applied = await place.client.apply(resource, secret, dry_run=dry_run, force=True)
        done = _done(applied, live)
        words = f"secret/{options['name']} in namespace {place.namespace}"
        would = "would be " if dry_run else ""
        context.log.line(f"{words} {would}{done} for {account.name}")
        for warning in applied.warnings:
            context.log.line(f"warning: {warning}")
        return Done({"secret": options["name"], "namespace": place.namespace, "result": done})


async def _seen(place: Place, resource: Resource, name: str) -> Object | None:
    """What is there; None also without the right to read it, which writing does not need."""
    try:
        return await place.client.get(resource, place.namespace, name)
    except ClusterError as error:
        if error.fault is not ClusterFault.FORBIDDEN:
            raise
        return None


def _done(applied: Applied, live: Object | None) -> str:
    """`live` is what was there before a dry run."""
    from watcher.kube.applying.comparing import is_same

    if applied.created:
        return "created"
    return "unchanged" if live is not None and is_same(live, applied.object) else "applied"


def docker_config(registry: Registry, credential: Credential) -> str:
    """The docker config.json that a pull secret holds."""
    key = DOCKER_HUB_KEY if registry.is_docker_hub else registry.name
    token = credential.identity_token
    username = _NULL_USER if token is not None else credential.username or ""
    password = token if token is not None else credential.password or ""
    entry = {
        "username": username,
        "password": password,
        "auth": _encoded(f"{username}:{password}"),
    }
    if token is not None:
        entry["identitytoken"] = token
    return json.dumps({"auths": {key: entry}})


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")
