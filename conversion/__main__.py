"""celeba-dialog COMMAND: the command line. Each command is a module here; this file only calls it."""

import argparse
import importlib
import sys

from celeba_dialog import CelebADialogError
from celeba_dialog import UsageError

# Command -> the module below this package that holds its help, its arguments and what it does.
COMMANDS = {
    "demo": ".demo.command",
    "fetch": ".fetch.command",
    "check": ".check",
    "build": ".build.command",
    "verify": ".verify",
    "preview": ".look.preview",
    "browse": ".look.browse",
    "push": ".push",
}


def parser():
    top = argparse.ArgumentParser(
        prog="celeba-dialog", description="CelebA-Dialog, from the official files to load_dataset."
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        module = importlib.import_module(module, __package__)
        text = module.__doc__.strip()
        command = commands.add_parser(
            name,
            help=text.splitlines()[0].rstrip("."),
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return top


def main(argv=None):
    """Run one command. Returns the exit status: 0 done, 1 data or environment at fault, 2 wrong usage."""
    args = parser().parse_args(argv)
    try:
        return args.run(args) or 0
    except CelebADialogError as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        print("Interrupted. The same command goes on where this one stopped.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
