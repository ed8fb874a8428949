"""Debian's PostgreSQL 15 for benches: a server of one's own, and its clients."""

import os
import pathlib
import shutil
import subprocess
import time

from servers import DEADLINE_SECONDS, Failure, Server, die_with_parent, executable, free_port

BINARIES = pathlib.Path("/usr/lib/postgresql/15/bin")


def as_owner():
    """PostgreSQL and pgbouncer refuse to run as root: Debian's packages have made a user for them."""
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []


def start(directory, *settings, name="PostgreSQL", kind=Server):
    """A server on a new directory; a setting is `name=value`."""
    directory.chmod(0o755)
    data = directory / "postgresql"
    data.mkdir()
    if as_owner():
        shutil.chown(data, "postgres")
    subprocess.run([*as_owner(), str(BINARIES / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8",
                    "--locale=C.UTF-8"], check=True, capture_output=True, cwd="/")
    port = free_port()
    command = [*as_owner(), str(BINARIES / "postgres"), "-D", str(data), "-p", str(port), "-k", str(data)]
    for setting in settings:
        command += ["-c", setting]
    return kind(name, command, port, directory / "postgresql.log")


def wait(server):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while subprocess.run([executable("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(server.port)],
                         check=False).returncode != 0:
        if server.process.poll() is not None or time.monotonic() > deadline:
            raise Failure(f"{server.name} does not answer:\n{server.log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)


def pgbench(server, options):
    done = subprocess.run(
        [executable("pgbench"), "-h", "127.0.0.1", "-p", str(server.port), "-U", "postgres", *options, "postgres"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        timeout=600, preexec_fn=die_with_parent, env={**os.environ, "PGSSLMODE": "disable"})
    if done.returncode != 0:
        raise Failure(f"pgbench {' '.join(options)} on {server.name} failed:\n{done.stdout[-2000:]}")
    return done.stdout
