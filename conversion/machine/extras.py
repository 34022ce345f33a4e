"""Packages that only some commands need: the extras of pyproject.toml."""

from celeba_dialog import EnvironmentFault


def missing(who, extra, requirement, found):
    """The EnvironmentFault of a command or option, `who`, without its package.

    Args:
        extra: the name in pyproject.toml.
        requirement: the same package for those who have only a clone, such as "gdown>=6.3".
        found: what there is instead, an ImportError or a text.
    """
    return EnvironmentFault(
        f'{who} needs {requirement} ({found}). Try: pip install "celeba-dialog[{extra}]", '
        f'or by itself: pip install "{requirement}"'
    )
