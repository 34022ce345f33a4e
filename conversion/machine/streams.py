"""Standard input, output and error, whatever they are: closed, full, a pipe nobody reads, an encoding without arrows.

Imports nothing but the standard library, since the command line does.
"""

import codecs
import contextlib
import os
import sys

OUTPUT = "Standard output"  # what an OSError calls it

# What is shown where an encoding lacks the character. There is no other in what the commands print of themselves.
IN_ASCII = {"→": "->", "…": "...", "·": "-", "×": "x", "–": "-", "—": "-"}


def prepare():
    """Makes the three fit to be used, however this process was started."""
    codecs.register_error("celeba_dialog", _in_ascii)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed: without this the next file that is opened would take its number
            setattr(sys, name, open(os.open(os.devnull, os.O_RDWR), mode))  # noqa: SIM115, stays open
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="celeba_dialog")


def _in_ascii(error):
    """Handles an error of encoding: (what to write instead, where to go on)."""
    missing = error.object[error.start : error.end]
    return "".join(IN_ASCII.get(c) or c.encode("ascii", "backslashreplace").decode() for c in missing), error.end


def put(text=""):
    """Prints a result on standard output, at once. Raises OSError, with OUTPUT as its file name, where it cannot."""
    try:
        if text:
            print(text)
        sys.stdout.flush()
    except OSError as error:
        _give_up(sys.stdout)
        raise OSError(error.errno, error.strerror, OUTPUT) from error


def complain(text=""):
    """Prints a message on standard error, if that can be."""
    try:
        if text:
            print(printable_lines(text), file=sys.stderr)
        sys.stderr.flush()
    except OSError:
        _give_up(sys.stderr)


def printable(text):
    """A name from outside for a message: what is not printable, line ends included, as an escape such as \\x1b."""
    text = str(text)
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def printable_lines(message):
    """The same for a whole message, whose line ends stay."""
    return "\n".join(map(printable, str(message).split("\n")))


def _give_up(stream):
    """Has Python at its end not try again what failed."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
