"""Ctrl-C: the first one ends a command in order, the second one at once.

Imports only the standard library, because the command line imports it first.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

TEXT = "Interrupted. The same command goes on where this one stopped."
STATUS = 130


class Interrupts:
    """What Ctrl-C does from `install` on.

    While `running`, the first one raises KeyboardInterrupt in the command. Any other ends the process at once, with
    `status`: that does no harm, because files appear whole or not at all. `said` is whether the message is out.
    """

    def __init__(self) -> None:
        self.running = False
        self.said = False
        self.status = STATUS

    def install(self) -> Callable[[], None]:
        """Takes over Ctrl-C, unless it is ignored, as under nohup. Returns a function that gives it back."""
        before = signal.getsignal(signal.SIGINT)
        if before is signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
            return lambda: None
        signal.signal(signal.SIGINT, self._strike)
        sys.unraisablehook = self._lost

        def give_back() -> None:
            signal.signal(signal.SIGINT, before)
            sys.unraisablehook = sys.__unraisablehook__

        return give_back

    def _strike(self, *_: Any) -> None:
        if self.running:
            self.running = False
            raise KeyboardInterrupt
        if not self.said:
            self.said = True  # before it is said, or another Ctrl-C in between would say it again
            with contextlib.suppress(OSError):
                os.write(2, f"{TEXT}\n".encode())
        leave(self.status)

    def _lost(self, unraisable: Any) -> None:
        """Repeats a KeyboardInterrupt that came where Python can only report exceptions, such as in a destructor."""
        if unraisable.exc_type is not KeyboardInterrupt:
            sys.__unraisablehook__(unraisable)
            return
        self.running = True
        again = threading.Timer(0.01, signal.raise_signal, [signal.SIGINT])
        if hasattr(signal, "pthread_kill"):  # which also wakes the main thread
            again = threading.Timer(0.01, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT])
        again.daemon = True
        again.start()


def leave(status: int) -> NoReturn:
    """Ends this process at once, and the workers that it started with `multiprocessing`."""
    processes = sys.modules.get("multiprocessing.process")
    for worker in processes.active_children() if processes else ():
        worker.kill()
    os._exit(status)
