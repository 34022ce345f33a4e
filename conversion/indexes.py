"""The indexes of several families of configs, for the commands: read side by side where that takes long."""

import contextlib
from collections.abc import Iterable

from .release.errors import CelebADialogError, EnvironmentFault
from .release.finding import Release
from .release.index import IndexKey, index_key, open_index
from .release.index import indexes as opened
from .release.official import roles_of
from .release.storage import file_status
from .release.table import Index
from .runtime import pool

Family = tuple[str, bool]  # subset, and whether with the part masks
_LARGE = 32 << 20  # bytes of texts: reading so many takes longer than starting processes


def open_indexes(
    release: Release, families: Iterable[Family], fresh: bool = False, workers: int | None = None
) -> dict[Family, Index]:
    """{family: Index}, see `try_indexes`. Raises the CelebADialogError for which one has none."""
    indexes, faults = try_indexes(release, families, fresh, workers)
    for fault in faults.values():
        raise fault
    return indexes


def try_indexes(
    release: Release, families: Iterable[Family], fresh: bool = False, workers: int | None = None
) -> tuple[dict[Family, Index], dict[Family, CelebADialogError]]:
    """({family: Index}, {family: the CelebADialogError for which it has none}), held against all files.

    `fresh` ones are read anew, whatever is in the cache. With two `workers` or more, by default one per CPU, several
    are read at once.
    """
    keys = {family: index_key(release, *family) for family in dict.fromkeys(families)}
    before = {family: _kept(key) for family, key in keys.items()}
    todo = [family for family in keys if fresh or not before[family]]
    faults: dict[Family, CelebADialogError] = {}
    if len(todo) > 1 and pool.count(workers) > 1 and _is_large(release, todo):
        # Where no process can be started or one dies, as for want of memory, they are read one after the other.
        with contextlib.suppress(EnvironmentFault), pool.executor(len(todo), patience=0) as executor:
            jobs = [(family, keys[family], release, fresh) for family in todo]
            faults = {family: error for family, error in pool.results(pool.submit(executor, _read, jobs)) if error}
    indexes = {}
    for family in [family for family in keys if family not in faults]:
        key = keys[family]
        if fresh:
            opened.pop(key, None)
        # What another process has just read and kept is as good as read here.
        anew = fresh and _kept(key) == before[family]
        try:
            indexes[family] = open_index(key, release, fresh=anew, compare=True)
        except CelebADialogError as error:
            faults[family] = error
    return indexes, faults


def _read(family: Family, key: IndexKey, release: Release, fresh: bool) -> tuple[Family, CelebADialogError | None]:
    """The job of a process: reads the index of a family, which is kept in the cache. Returns why it cannot."""
    try:
        open_index(key, release, fresh=fresh, compare=True)
    except CelebADialogError as error:
        return family, error
    return family, None


def _kept(key: IndexKey) -> object:
    """What tells one kept index of a key from another; None where there is none."""
    with contextlib.suppress(CelebADialogError):
        return file_status(key.path)
    return None


def _is_large(release: Release, families: Iterable[Family]) -> bool:
    roles = {role for family in families for role in roles_of(*family)}
    texts = (
        source for role in roles for source in release.sources.get(role, []) if not source.path.endswith(("/", "zip"))
    )
    return sum(source.size for source in texts) > _LARGE
