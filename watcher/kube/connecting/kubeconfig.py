"""Which cluster and which user a kubeconfig means: files, merging, context, what must not be.

Read here rather than by the official loader, which takes a context without a user for an anonymous
one, believes the last file's `current-context`, and runs exec plug-ins without a time-out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from watcher.errors import ClusterError, ClusterFault

Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One context, resolved. `cluster` and `user` are their entries with absolute paths; the
    directories are those of the files that they stand in."""

    context: str
    namespace: str | None
    cluster: Entry
    user_name: str
    user: Entry = field(repr=False)
    user_directory: Path

    @property
    def server(self) -> str:
        return str(self.cluster["server"]).rstrip("/")


@dataclass(frozen=True, slots=True)
class _Named:
    entry: Entry = field(repr=False)
    directory: Path


def misconfigured(message: str, hint: str | None = None) -> ClusterError:
    """What the operator must put right before any request can be sent."""
    return ClusterError(message, fault=ClusterFault.CONFIGURATION, hint=hint)


def kubeconfig_files(value: str, home: Path) -> tuple[Path, ...]:
    """The files that `$KUBECONFIG` names."""
    return tuple(_expanded(part, home) for part in value.split(":") if part)


def read_access(files: Sequence[Path], context: str | None) -> Access:
    """The cluster and the user of `context`, or of the only one there is.

    Missing files are left out, as kubectl does; where two define one name the first counts. Raises
    ClusterError (CONFIGURATION).
    """
    documents = [(file, document) for file in files if (document := _document(file)) is not None]
    shown = ", ".join(str(file) for file in files)
    if not documents:
        raise misconfigured(
            f"there is no kubeconfig {shown}", "name one in `clusters:` of the config"
        )
    contexts = _merged(documents, "contexts", "context")
    name = _chosen(contexts, context, shown)
    chosen = contexts[name].entry
    cluster = _part(documents, "cluster", chosen.get("cluster"), name)
    user = _part(documents, "user", chosen.get("user"), name)
    _check_cluster(cluster.entry, chosen["cluster"])
    namespace = chosen.get("namespace")
    if namespace is not None and not isinstance(namespace, str):
        raise misconfigured(f"the namespace of the context {name!r} is no text", "put it in quotes")
    return Access(
        context=name,
        namespace=namespace or None,
        cluster=_absolute(cluster, ("certificate-authority",)),
        user_name=chosen["user"],
        user=_absolute(user, ("client-certificate", "client-key", "tokenFile")),
        user_directory=user.directory,
    )


def _expanded(part: str, home: Path) -> Path:
    return home / part.removeprefix("~/") if part.startswith("~/") else Path(part)


def content_of(file: Path) -> bytes:
    """What a file holds that a kubeconfig names. Raises ClusterError (CONFIGURATION)."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise misconfigured(f"{file} can't be read: {error.strerror}") from error


def _document(file: Path) -> Mapping[str, Any] | None:
    """What stands in the file; None where there is none."""
    import yaml

    try:
        if file.stat().st_mode & 0o002:
            raise misconfigured(
                f"every user may write the kubeconfig {file}", f"run chmod 600 {file}"
            )
        value = yaml.load(file.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise misconfigured(f"the kubeconfig {file} can't be read: {_words(error)}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise misconfigured(f"the kubeconfig {file} is no YAML{_place(error)}") from None
    if not isinstance(value, dict):
        raise misconfigured(f"the kubeconfig {file} is empty")
    return value


def _words(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or "error") if isinstance(error, OSError) else "it is no UTF-8 text"


def _place(error: object) -> str:
    """Where the error is; never the line itself, which may hold a token."""
    mark = getattr(error, "problem_mark", None)
    return f" (line {mark.line + 1})" if mark is not None else ""


def _merged(
    documents: Sequence[tuple[Path, Mapping[str, Any]]], section: str, key: str
) -> dict[str, _Named]:
    found: dict[str, _Named] = {}
    for file, document in documents:
        items = document.get(section)
        for item in items if isinstance(items, list) else ():
            name = item.get("name") if isinstance(item, dict) else None
            if not isinstance(name, str):
                raise misconfigured(f"the kubeconfig {file}: an entry of {section} has no name")
            entry = item.get(key)
            named = _Named(entry if isinstance(entry, dict) else {}, file.absolute().parent)
            found.setdefault(name, named)
    return found


def _chosen(contexts: Mapping[str, _Named], context: str | None, shown: str) -> str:
    names = ", ".join(sorted(contexts))
    if context is not None:
        if context not in contexts:
            raise misconfigured(
                f"the kubeconfig {shown} has no context {context!r}", f"it has: {names or 'none'}"
            )
        return context
    if not contexts:
        raise misconfigured(f"the kubeconfig {shown} has no contexts")
    if len(contexts) > 1:
        raise misconfigured(
            f"the kubeconfig {shown} has several contexts, and none is named in `clusters:`",
            f"write `context:` with one of {names}",
        )
    return next(iter(contexts))


def _part(
    documents: Sequence[tuple[Path, Mapping[str, Any]]], kind: str, name: object, context: str
) -> _Named:
    if not isinstance(name, str) or not name:
        raise misconfigured(f"the context {context!r} names no {kind}")
    found = _merged(documents, f"{kind}s", kind).get(name)
    if found is None:
        raise misconfigured(
            f"the context {context!r} names the {kind} {name!r}, which does not exist"
        )
    return found


def _check_cluster(entry: Entry, name: str) -> None:
    server = entry.get("server")
    if not isinstance(server, str) or not _is_address(server):
        raise misconfigured(
            f"the cluster {name!r} of the kubeconfig has no server address",
            "write it as https://HOST:PORT; a user's credential belongs under `users`",
        )


def _is_address(server: str) -> bool:
    try:
        parts = urlsplit(server)
        wanted = parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    other = "@" in parts.netloc or parts.query or parts.fragment
    return bool(parts.scheme in ("http", "https") and wanted and not other)


def _absolute(named: _Named, keys: Sequence[str]) -> Entry:
    paths = {
        key: str(named.directory / str(named.entry[key])) for key in keys if named.entry.get(key)
    }
    return {**named.entry, **paths}
