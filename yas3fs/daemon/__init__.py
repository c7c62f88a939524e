"""The process: its life (``process``), its mounts (``service``, with one ``supervisor`` each), and
what it tells and hears: systemd and its ``watchdog``, ``requests`` of the control socket, EC2's
announcement of the ``termination``.
"""

from yas3fs.daemon.process import FAILED, OK, WRONG_INPUT, run

__all__ = ["FAILED", "OK", "WRONG_INPUT", "run"]
