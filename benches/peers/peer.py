"""What a peer does in a second with tasks that do nothing: `peer.py NAME MODE COUNT`.

NAME: `dask`, `huey` (each write synced) or `hyperqueue`; MODE: `noop` (in a process that is
there) or `spawn` (a process each). Two workers of one slot on this machine, as for ours. Prints
one JSON line: {"version", "rate"}, or {"absent": why}. Standard library, and the peer."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

WARM = 200


def timed(submit_and_wait, count):
    submit_and_wait(WARM)
    started = time.monotonic()
    submit_and_wait(count)
    return count / (time.monotonic() - started)


def nothing(_):
    return None


def spawn(_):
    subprocess.run(["true"], check=True)


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the peer does not answer")
        time.sleep(0.01)


def dask(folder, mode, count):
    import distributed

    task = spawn if mode == "spawn" else nothing
    options = dict(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)
    with distributed.LocalCluster(local_directory=folder, **options) as cluster:
        with distributed.Client(cluster) as client:
            # The workers find the functions in this file by its module's name.
            client.upload_file(os.path.abspath(__file__))
            import peer

            work = getattr(peer, task.__name__)
            rate = timed(lambda n: distributed.wait(client.map(work, range(n), pure=False)), count)
    return "distributed " + distributed.__version__, rate


HUEY = """
import os, subprocess
from huey import SqliteHuey
queue = SqliteHuey(filename=os.environ["PEER_DB"], fsync=True, results=True)
@queue.task()
def nothing(i):
    return i
@queue.task()
def spawn(i):
    subprocess.run(["true"], check=True)
    return i
"""


def huey(folder, mode, count):
    from importlib.metadata import version

    import huey as _  # noqa: F401  (absent: said so)

    with open(os.path.join(folder, "peer_app.py"), "w") as file:
        file.write(HUEY)
    os.environ["PEER_DB"] = os.path.join(folder, "queue.db")
    environment = dict(os.environ, PYTHONPATH=folder)
    sys.path.insert(0, folder)
    import peer_app

    consumer = [sys.executable, "-m", "huey.bin.huey_consumer", "peer_app.queue"]
    consumer += ["-w", "1", "-k", "thread", "-n", "-d", "0.01", "-b", "1", "-q"]
    workers = [subprocess.Popen(consumer, cwd=folder, env=environment) for _ in range(2)]
    task = peer_app.spawn if mode == "spawn" else peer_app.nothing

    def go(n):
        before = peer_app.queue.result_count()
        for i in range(n):
            task(i)
        until(lambda: peer_app.queue.result_count() - before >= n, 300)

    try:
        return "huey " + version("huey") + ", SQLite, synced", timed(go, count)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def hyperqueue(folder, mode, count):
    if mode != "spawn":
        raise ImportError("HyperQueue starts a process for each task")
    program = os.environ.get("HQ_BIN") or shutil.which("hq")
    if not program:
        raise ImportError("no `hq` on PATH, and HQ_BIN is not set")
    base = [program, "--server-dir", os.path.join(folder, "server")]
    silent = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def run(*words):
        return subprocess.run([*base, *words], cwd=folder, **silent).returncode == 0

    journal = ["--journal", os.path.join(folder, "journal")]
    start = [*base, "server", "start", "--host", "127.0.0.1", *journal]
    processes = [subprocess.Popen(start, cwd=folder, **silent)]
    try:
        until(lambda: run("server", "info"))
        for _ in range(2):
            worker = [*base, "worker", "start", "--cpus", "1", "--detect-resources", "none"]
            processes.append(subprocess.Popen(worker, cwd=folder, **silent))
        time.sleep(1)

        def go(n):
            array = ["--array", f"0-{n - 1}", "--stdout", "none", "--stderr", "none", "--wait"]
            if not run("submit", *array, "--", shutil.which("true")):
                raise RuntimeError("hq submit failed")

        version = subprocess.run([program, "--version"], capture_output=True, text=True)
        return version.stdout.strip(), timed(go, count)
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()


def main():
    name, mode, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            peers = {"dask": dask, "huey": huey, "hyperqueue": hyperqueue}
            version, rate = peers[name](folder, mode, count)
            line = {"version": version, "rate": rate}
        except ImportError as error:
            line = {"absent": str(error)}
    print(json.dumps(line))


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    main()
