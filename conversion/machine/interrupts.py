"""Ctrl-C: the first one ends a command in order, the second one leaves at once. And how to leave at once.

Imports nothing but the standard library, since the command line does.
"""

import contextlib
import os
import signal
import sys
import threading

TEXT = "Interrupted. The same command goes on where this one stopped."
STATUS = 130


class Interrupts:
    """What Ctrl-C does from `install` on.

    While `running`, it raises KeyboardInterrupt in the command, once. Then, and before and after, it leaves at once,
    with `status`: nothing needs an orderly end, because files appear whole or not at all.
    """

    def __init__(self):
        self.running = False
        self.said = False  # what there is to say
        self.status = STATUS

    def install(self):
        """Takes over Ctrl-C, unless it is ignored, as under nohup. Returns a function that gives it back."""
        before = signal.getsignal(signal.SIGINT)
        if before is signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
            return lambda: None
        signal.signal(signal.SIGINT, self._strike)
        return lambda: signal.signal(signal.SIGINT, before)

    def _strike(self, *_):
        if self.running:
            self.running = False
            raise KeyboardInterrupt
        if not self.said:
            with contextlib.suppress(OSError):
                os.write(2, f"{TEXT}\n".encode())
        leave(self.status)


def leave(status):
    """Ends this process at once, and the workers that it has started with `multiprocessing`."""
    processes = sys.modules.get("multiprocessing.process")
    for worker in processes.active_children() if processes else ():
        worker.kill()
    os._exit(status)
