"""Writing one planned object: fenced by its version, and looked at anew where that has changed.

Used by `apply`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from watcher.errors import ClusterError, ClusterFault
from watcher.kube.applying.comparing import is_done, is_untouched
from watcher.kube.applying.dry_run import LOOKS, body_of, check_live
from watcher.kube.applying.migration import take_over
from watcher.kube.applying.plan import Action, ApplyOptions, PlannedObject, Result
from watcher.kube.applying.refused import restated
from watcher.kube.applying.settling import Pace, until_gone
from watcher.kube.client import Applied, ClusterClient
from watcher.kube.objects import Object
from watcher.kube.reading import uid

_FIRST_WAIT = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Writes objects of one stage into one cluster."""

    client: ClusterClient
    options: ApplyOptions
    pace: Pace

    async def write(self, item: PlannedObject) -> Result:
        """What became of the object. Nothing is sent for one that is as it should be.

        Raises ClusterError: VERSION_CONFLICT when somebody changed it since the dry run; Newer when
        that was for a newer event; StageError when it is being deleted.
        """
        if item.action is Action.UNCHANGED and item.live is not None:
            return _result(item, item.live)
        for looks_left in range(LOOKS, -1, -1):
            try:
                if item.migrate and item.live is not None:
                    live = await take_over(self.client, item.resource, item.live)
                    item = replace(item, live=live, migrate=False)
                applied = await self._send(item)
                made = _result(item, applied.object, applied.warnings)
                return replace(made, is_new=applied.created)
            except ClusterError as error:
                if error.fault is not ClusterFault.VERSION_CONFLICT or not looks_left:
                    raise
                await self.pace.sleep(_FIRST_WAIT * 2 ** (LOOKS - looks_left))
                live = await self._live_again(item, error)
            if item.result is not None and is_done(body_of(item), item.result, live):
                return _result(item, live)
            if item.live is None or not is_untouched(item.live, live):
                raise _changed(item)
            item = replace(item, live=live)
        raise _changed(item)

    async def _send(self, item: PlannedObject) -> Applied:
        if item.action is Action.REPLACED and item.live is not None:
            return await self._send_anew(item, item.live)
        return await self.client.apply(item.resource, body_of(item), force=item.force)

    async def _send_anew(self, item: PlannedObject, live: Object) -> Applied:
        """Delete, wait until it is gone, apply."""
        key = item.key
        await self.client.delete(item.resource, key.namespace, key.name, uid=uid(live))
        try:
            await until_gone(self.client, item.resource, live, self.pace)
            return await self._send(replace(item, action=Action.CREATED, live=None))
        except ClusterError as error:
            message = f"it was deleted, but not created again: {error.message}"
            raise restated(error, message=message) from error

    async def _live_again(self, item: PlannedObject, error: ClusterError) -> Object:
        """The object as it is now, if it may still be changed."""
        live = await self.client.get(item.resource, item.key.namespace, item.key.name)
        if live is None:
            raise restated(error, message="somebody deleted it meanwhile") from error
        check_live(item, live, self.options)
        return live


def _changed(item: PlannedObject) -> ClusterError:
    return ClusterError(
        "somebody changed it since the dry run",
        fault=ClusterFault.VERSION_CONFLICT,
        about=str(item.key),
        hint="run the stage again",
        temporary=True,
    )


def _result(item: PlannedObject, made: Object, warnings: tuple[str, ...] = ()) -> Result:
    """With the warnings that the plan had not: of a deferred object it had none."""
    known = () if item.deferred else item.warnings
    every = dict.fromkeys((*item.warnings, *warnings))
    return Result(
        key=item.key,
        action=item.action,
        resource=item.resource,
        object=made,
        warnings=tuple(text for text in every if text not in known),
    )
