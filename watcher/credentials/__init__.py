"""Where passwords come from: the config, a file, the environment, a command, docker's config.

`provider` is the one door; each source is a module of its own, imported when an account uses it.
No error, log or repr holds a secret (SPEC 3.1). Imported by `daemon` and the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from watcher.core.account import CredentialProvider, CredentialSource
from watcher.core.reference import Registry
from watcher.credentials.plain import Fixed, FromEnvironment, FromFile

__all__ = ["provider"]


def provider(
    source: CredentialSource,
    registry: Registry,
    *,
    clock: Callable[[], float],
    environment: Mapping[str, str],
) -> CredentialProvider:
    """The provider of one account's credential; nothing is read or run yet.

    `clock` gives seconds since the epoch. Without any source the provider is anonymous.
    """
    if source.password_command is not None:
        from watcher.credentials.command import from_command

        return from_command(source, clock=clock, environment=environment)
    if source.docker_config is not None:
        from watcher.credentials.docker import FromDockerConfig

        return FromDockerConfig(source, registry, clock=clock, environment=environment)
    if source.password_file is not None:
        return FromFile(source.username, source.password_file)
    if source.password_env is not None:
        return FromEnvironment(source.username, source.password_env, environment)
    return Fixed(source.username, source.password)
