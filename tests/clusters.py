"""A Dask cluster on this machine, of whatever environment."""

import contextlib
import subprocess

PROGRAM = """
import sys
from distributed import LocalCluster
sys.modules |= dict.fromkeys(sys.argv[3:])  # as if they were not installed; a worker that is spawned comes here too
if __name__ == "__main__":
    options = {"threads_per_worker": 1, "dashboard_address": None, "memory_limit": 0, "local_directory": sys.argv[2]}
    with LocalCluster(int(sys.argv[1]), processes=True, host="127.0.0.1", **options) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


@contextlib.contextmanager
def cluster(python, folder, environment, workers=1, lacking=()):
    """The address of a scheduler with some workers, processes that end with the block.

    They have the interpreter `python` and the variables `environment`, write to `folder`, and cannot import the modules
    in `lacking`.
    """
    (folder / "cluster.py").write_text(PROGRAM)
    with subprocess.Popen(  # noqa: S603
        [str(python), "cluster.py", str(workers), str(folder), *lacking],
        env=environment,
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        yield process.stdout.readline().strip()
        process.stdin.close()
