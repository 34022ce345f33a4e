"""Packages that only some commands need: the extras of pyproject.toml."""

from ..release.errors import EnvironmentFault


def missing(who: str, extra: str, found: object, *requirements: str) -> EnvironmentFault:
    """The EnvironmentFault for `who`, a command or option, that lacks a package of an extra.

    `found` is what was found instead, an ImportError or a text; `requirements` are those of the extra, as "gdown>=6.3".
    """
    alone = " ".join(f'"{requirement}"' for requirement in requirements)
    return EnvironmentFault(
        f'{who} needs another package ({found}). Try: pip install "celeba-dialog[{extra}]", or in a clone that is not '
        f"installed: pip install {alone}"
    )
