"""Hears from EC2 that this instance is about to end: a spot notice, or an Auto Scaling group."""

import json
import logging
import threading
from collections.abc import Callable

from yas3fs.errors import MetadataUnavailable
from yas3fs.runtime.imds import InstanceMetadata

log = logging.getLogger(__name__)

_INTERVAL = 5.0
"""Seconds between two looks, as Amazon recommends: a spot instance has two minutes left."""
SPOT = "meta-data/spot/instance-action"
GROUP = "meta-data/autoscaling/target-lifecycle-state"


class TerminationWatch:
    """Asks the metadata service in a thread of its own; calls ``tell`` once, with the reason."""

    def __init__(
        self,
        metadata: InstanceMetadata,
        tell: Callable[[str], None],
        interval: float = _INTERVAL,
    ) -> None:
        self._metadata = metadata
        self._tell = tell
        self._interval = interval
        self._ended = threading.Event()
        self._silent = False
        self._thread = threading.Thread(target=self._run, name="termination", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End; returns at once."""
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            reason = self._look()
            if reason:
                self._tell(reason)
                return
            self._ended.wait(self._interval)

    def _look(self) -> str:
        """Why the instance is about to end; empty while it is not."""
        try:
            spot = self._metadata.text(SPOT)
            state = self._metadata.text(GROUP)
        except MetadataUnavailable as error:
            if not self._silent:
                log.warning("the instance metadata service does not answer: %s", error)
            self._silent = True
            return ""
        self._silent = False
        if spot:
            return f"EC2 will {_action(spot)} this spot instance"
        if state == "Terminated":
            return "the Auto Scaling group terminates this instance"
        return ""


def _action(notice: str) -> str:
    try:
        return str(json.loads(notice)["action"])
    except (ValueError, KeyError, TypeError):
        return "interrupt"
