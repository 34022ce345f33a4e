"""Standard input, output and error, even if closed, full, a pipe that nobody reads, or of an encoding without arrows.

Imports only the standard library, because the command line imports it first.
"""

import codecs
import contextlib
import os
import sys
from typing import Any, TextIO

OUTPUT = "Standard output"  # what an OSError calls it

# What to print where the encoding lacks a character. The messages of the commands have no others outside of ASCII.
IN_ASCII = {"→": "->", "…": "...", "·": "-", "×": "x", "–": "-", "—": "-"}


def prepare() -> None:
    """Opens the streams that were closed when the process was started, and sets what to do about missing characters."""
    codecs.register_error("celeba_dialog", _in_ascii)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed: the next file that is opened would get its descriptor
            setattr(sys, name, open(os.open(os.devnull, os.O_RDWR), mode))  # noqa: SIM115, stays open
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="celeba_dialog")


def _in_ascii(error: Any) -> tuple[str, int]:
    """An error handler for codecs: (what to write instead, where to go on)."""
    missing = error.object[error.start : error.end]
    return "".join(IN_ASCII.get(c) or c.encode("ascii", "backslashreplace").decode() for c in missing), error.end


def put(text: str = "") -> None:
    """Prints a result on standard output and flushes it. Raises OSError, whose file name is OUTPUT, where it cannot."""
    try:
        if text:
            print(text)
        sys.stdout.flush()
    except OSError as error:
        _give_up(sys.stdout)
        raise OSError(error.errno, error.strerror, OUTPUT) from error


def complain(text: str = "") -> None:
    """Prints a message on standard error and flushes it, if that can be written to."""
    try:
        if text:
            sys.stderr.write(printable_lines(text) + "\n")  # whole or not at all, when a second Ctrl-C ends it
        sys.stderr.flush()
    except OSError:
        _give_up(sys.stderr)


def printable(text: object) -> str:
    """A name from outside for a message: unprintable characters, line ends too, become escapes such as \\x1b."""
    text = str(text)
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def printable_lines(message: object) -> str:
    """A message whose unprintable characters became escapes, line ends excepted."""
    return "\n".join(map(printable, str(message).split("\n")))


def _give_up(stream: TextIO) -> None:
    """Leads a stream that failed to nowhere, so that Python does not fail again when it flushes it at exit."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
