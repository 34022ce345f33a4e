"""The command line, celeba-dialog COMMAND. Each command is a module of this package.

This file parses the arguments, calls the command, and turns whatever ends it into a message and an exit status. It
imports nothing but the standard library until it knows the command.
"""

import argparse
import contextlib
import errno
import importlib.util
import os
import re
import sys
import threading
from urllib.parse import urlsplit

from .release.errors import CelebADialogError, UsageError
from .runtime import interrupts, streams

# Command -> the module below this package that holds its help, its arguments and what it does.
COMMANDS = {
    "demo": ".demo.command",
    "fetch": ".fetch.command",
    "check": ".check",
    "build": ".parquet.command",
    "verify": ".verify",
    "preview": ".viewer.preview",
    "browse": ".viewer.browse",
    "push": ".push",
}

DEBUG = "CELEBA_DIALOG_DEBUG"  # the environment variable that shows the traceback of whatever ends a command
LEAST_MEMORY = 1 << 30  # bytes of address space
OUT_OF_MEMORY = re.compile("[Ss]tart new thread|failed to map segment|allocate memory")  # in errors of any type
BROKEN_PIPE = 128 + 13  # what a shell says of a command whose output nobody reads any more


class Parser(argparse.ArgumentParser):
    def print_help(self, file=None):
        streams.put(self.format_help().rstrip("\n"))  # argparse would ignore that it cannot be printed


def parser(names=tuple(COMMANDS)):
    """The parser of the command line. Only the commands in `names` are imported; the others get no arguments."""
    top = Parser(prog="celeba-dialog", description="CelebA-Dialog, from the official files to load_dataset.")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        text = _docstring(module)
        command = commands.add_parser(
            name,
            help=text.splitlines()[0].rstrip("."),
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name in names:
            module = importlib.import_module(module, __package__)
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return top


def _docstring(module):
    """The docstring of a module, cut out of its source: that imports nothing, and works under `python -OO`."""
    spec = importlib.util.find_spec(module, __package__)
    return spec.loader.get_source(spec.name).split('"""')[1].strip()


def main(argv=None):
    """Run one command. Returns the exit status: 0 done, 1 data or environment at fault, 2 wrong usage, 130 interrupted.

    Raises SystemExit where argparse does. Without `argv`, the process is its own, and Ctrl-C is not given back at the
    end.
    """
    streams.prepare()
    ctrl_c = interrupts.Interrupts()
    give_back = ctrl_c.install()
    if argv is None:
        threading.excepthook = _thread_failed
    try:
        try:
            status = _run(sys.argv[1:] if argv is None else argv, ctrl_c)
        finally:
            ctrl_c.running = False
            streams.put()  # flushes what libraries may have printed
    except SystemExit:
        raise
    except BaseException as error:
        status, text = _verdict(error)
        if ctrl_c.said:
            text = ""
        ctrl_c.said = True
        if os.environ.get(DEBUG):
            import traceback

            text = "".join(traceback.format_exception(error)) + text
        streams.complain(text)
        if argv is None and isinstance(error, KeyboardInterrupt):
            interrupts.leave(status)  # Python would wait for its threads, and one may be stuck
    finally:
        streams.complain()  # flushes
        if argv is not None:
            give_back()
    ctrl_c.status = status
    return status


def _run(argv, ctrl_c):
    """The exit status of the command in `argv`."""
    names = [name for name in COMMANDS if name in argv]
    if names:
        _check_surroundings()
    args = parser(names).parse_args(argv)
    ctrl_c.running = True
    return args.run(args) or 0


def _check_surroundings():
    """Raises OSError or MemoryError where a library could not be imported, and would not say why in plain words."""
    try:
        os.getcwd()
    except OSError as error:
        raise OSError(error.errno, "It is not there any more: change to another", "The working folder") from error
    with contextlib.suppress(ImportError):  # on Windows, which has no such limits
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY and limit < LEAST_MEMORY:
            raise MemoryError(f"ulimit -v is {limit >> 20:,} MB, and {LEAST_MEMORY >> 20:,} MB are the least")
    address = os.environ.get("HF_ENDPOINT", "")
    try:
        _ = urlsplit(address).port
    except ValueError as error:
        what = f"is {address!r}, {error}; expected the address of a Hub, as https://host"
        raise OSError(errno.EINVAL, what, "HF_ENDPOINT") from None


def _thread_failed(failed):
    """Ends the process when a thread fails, since others may wait for it for ever."""
    status, text = _verdict(failed.exc_value)
    streams.complain(text)
    interrupts.leave(status)


def _verdict(error):
    """(exit status, message) for the exception that ended a command; the message is "" where none is due."""
    if isinstance(error, CelebADialogError):
        return 2 if isinstance(error, UsageError) else 1, str(error)
    if isinstance(error, KeyboardInterrupt):
        return interrupts.STATUS, interrupts.TEXT
    if isinstance(error, BrokenPipeError) and error.filename == streams.OUTPUT:
        return BROKEN_PIPE, ""
    what = " ".join(str(error).split())
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM or OUT_OF_MEMORY.search(what):
        what = what or type(error).__name__
        return 1, f"Not enough memory or threads ({what}). Raise the limits (ulimit -a), or try with --workers 1."
    if isinstance(error, OSError) and error.strerror:
        return 1, f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
    if isinstance(error, ImportError):
        return 1, f"{what}. What this command needs is not installed, or not whole: install this project again."
    what = f"{type(error).__name__}: {what}".removesuffix(": ")
    return 1, (
        f"{what}. That was not foreseen: please report this line, and the command, where this "
        f"project keeps its issues. {DEBUG}=1 shows more."
    )


if __name__ == "__main__":
    sys.exit(main())
