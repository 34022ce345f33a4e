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
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn
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

ERROR = "celeba-dialog: error: "
DEBUG = "CELEBA_DIALOG_DEBUG"  # the environment variable that shows the traceback of whatever ends a command
LEAST_MEMORY = 1 << 30  # bytes of address space
OUT_OF_MEMORY = re.compile("[Ss]tart new thread|failed to map segment|allocate memory")  # in errors of any type
BROKEN_PIPE = 128 + 13  # what a shell says of a command whose output nobody reads any more


class Parser(argparse.ArgumentParser):
    def print_help(self, file: Any = None) -> None:
        streams.put(self.format_help().rstrip("\n"))  # argparse would ignore that it cannot be printed

    def error(self, message: str) -> NoReturn:
        streams.complain(f"{self.format_usage()}{ERROR}{message}")
        raise SystemExit(2)


class Version(argparse.Action):
    """`--version`, read in the source of the loading script, since to import it takes a second."""

    def __call__(self, *_: Any, **__: Any) -> None:
        found = re.search('^__version__ = "(.*)"', _source("celeba_dialog"), re.MULTILINE)
        streams.put(f"celeba-dialog {found[1] if found else 'of an unknown version'}")
        raise SystemExit(0)


def parser(names: Iterable[str] = tuple(COMMANDS)) -> Parser:
    """The parser of the command line. Only the commands in `names` are imported; the others get no arguments."""
    top = Parser(prog="celeba-dialog", description="CelebA-Dialog, from the official files to load_dataset.")
    top.add_argument("--version", action=Version, nargs=0, help="show the version and exit")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    for name, path in COMMANDS.items():
        text = _source(path).split('"""')[1].strip()  # works under `python -OO`, too
        command = commands.add_parser(
            name,
            help=text.splitlines()[0].rstrip("."),
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name in names:
            module = importlib.import_module(path, __package__)
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return top


def _source(module: str) -> str:
    """The source of a module, which is not imported for that."""
    spec: Any = importlib.util.find_spec(module, __package__)
    return spec.loader.get_source(spec.name)


def main(argv: Sequence[str] | None = None) -> int:
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


def _run(argv: Sequence[str], ctrl_c: interrupts.Interrupts) -> int:
    """The exit status of the command in `argv`."""
    names = [name for name in COMMANDS if name in argv]
    if names:
        _check_surroundings()
    top = parser(names)
    args = top.parse_args(argv)
    if not args.command:
        top.print_help()
        return 0
    ctrl_c.running = True
    return args.run(args) or 0


def _check_surroundings() -> None:
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


def _thread_failed(failed: Any) -> None:
    """Ends the process when a thread fails, since others may wait for it for ever."""
    status, text = _verdict(failed.exc_value)
    streams.complain(text)
    interrupts.leave(status)


def _verdict(error: BaseException) -> tuple[int, str]:
    """(exit status, message) for the exception that ended a command; the message is "" where none is due."""
    if isinstance(error, KeyboardInterrupt):
        return interrupts.STATUS, interrupts.TEXT
    if isinstance(error, BrokenPipeError) and error.filename == streams.OUTPUT:
        return BROKEN_PIPE, ""
    return 2 if isinstance(error, UsageError) else 1, f"{ERROR}{_message(error)}"


def _message(error: BaseException) -> str:
    if isinstance(error, CelebADialogError):
        return str(error)
    what = " ".join(str(error).split())
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM or OUT_OF_MEMORY.search(what):
        what = what or type(error).__name__
        return f"Not enough memory or threads ({what}). Raise the limits (ulimit -a), or try with --workers 1."
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
    if isinstance(error, ImportError):
        return f"{what}. What this command needs is not installed, or not whole: install this project again."
    what = f"{type(error).__name__}: {what}".removesuffix(": ")
    return (
        f"{what}. That was not foreseen: please report this line, and the command, where this "
        f"project keeps its issues. {DEBUG}=1 shows more."
    )


if __name__ == "__main__":
    sys.exit(main())
