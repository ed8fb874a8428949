"""What a pooled transaction costs: `sdlab pgbouncer` beside Debian's pgbouncer, in front of the same PostgreSQL 15.

Both poolers run at the same time and take turns (A B A B ...). Processor time is user and kernel time of the pooler's
process alone; the result is the median of the rounds' ratios. Prepared statements are pooled by session, since
pgbouncer 1.18 knows no other way.
"""

import argparse
import datetime
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from servers import DEADLINE_SECONDS, Failure, Server, die_with_parent, executable, free_port, version

BINARIES = pathlib.Path("/usr/lib/postgresql/15/bin")
ROWS = [("simple", "transaction"), ("extended", "transaction"), ("prepared", "session")]
CLIENTS = (1, 16, 64)


def as_owner():
    """PostgreSQL and pgbouncer refuse to run as root: Debian's packages have made a user for them."""
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []


def run(name, port, options):
    done = subprocess.run(
        [executable(name), "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", *options, "postgres"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        timeout=600, preexec_fn=die_with_parent, env={**os.environ, "PGSSLMODE": "disable"})
    if done.returncode != 0:
        raise Failure(f"{name} {' '.join(options)} failed:\n{done.stdout[-2000:]}")
    return done.stdout


def wait(server):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while subprocess.run([executable("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(server.port)],
                         check=False).returncode != 0:
        if server.process.poll() is not None or time.monotonic() > deadline:
            raise Failure(f"{server.name} does not answer:\n{server.log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)


def start_database(directory):
    data = directory / "postgresql"
    data.mkdir()
    if as_owner():
        shutil.chown(data, "postgres")
    subprocess.run([*as_owner(), str(BINARIES / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust",
                    "--no-sync"], check=True, capture_output=True, cwd="/")
    port = free_port()
    command = [*as_owner(), str(BINARIES / "postgres"), "-D", str(data), "-p", str(port), "-k", str(data),
               "-c", "max_connections=400", "-c", "fsync=off"]
    return Server("PostgreSQL", command, port, directory / "postgresql.log")


def start_poolers(program, directory, database, mode):
    ports = [free_port() for _ in range(2)]
    settings = (f"[databases]\n* = host=127.0.0.1 port={database.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
                f"auth_type = any\npool_mode = {mode}\ndefault_pool_size = 80\nmax_client_conn = 200\n"
                "log_connections = 0\nlog_disconnections = 0\nlog_stats = 0\nunix_socket_dir =\n")
    files = []
    for index, port in enumerate(ports):
        files.append(directory / f"{mode}-{index}.ini")
        text = settings.replace("* = host", "* = user=postgres host") if index else settings
        files[index].write_text(text + f"listen_port = {port}\n")
    return [
        Server("sdlab", [program, "pgbouncer", "--config", str(files[0]), "--port", str(ports[0])], ports[0],
               directory / f"sdlab-{mode}.log"),
        Server("pgbouncer", [*as_owner(), executable("pgbouncer"), str(files[1])], ports[1],
               directory / f"pgbouncer-{mode}.log"),
    ]


def measure(side, protocol, clients, seconds):
    """CPU microseconds a transaction, and transactions a second."""
    before = side.cpu_seconds()
    output = run("pgbench", side.port,
                 ["-S", "-M", protocol, "-n", "-c", str(clients), "-j", "1", "-T", str(seconds)])
    used = side.cpu_seconds() - before
    count = int(re.search(r"actually processed: (\d+)", output)[1])
    return {"cost": used / max(1, count) * 1e6, "rate": float(re.search(r"tps = ([\d.]+)", output)[1])}


def line(name, rounds):
    def middle(side, key):
        return statistics.median(round_[side][key] for round_ in rounds)

    def ratio(key):
        values = [round_[0][key] / max(0.01, round_[1][key]) for round_ in rounds]
        return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"

    cells = [f"{middle(s, 'cost'):.0f} ({middle(s, 'rate'):.0f})" for s in range(2)]
    return f"{name:<34} " + " ".join(f"{cell:>14}" for cell in cells) + f" {ratio('cost'):>18} {ratio('rate'):>18}"


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench pooler")
    parser.add_argument("program", help=argparse.SUPPRESS)
    parser.add_argument("--pairs", type=int, default=5, help="rounds (5)")
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement (3)")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    lines = [
        f"pooler: pgbench -S through a pooler; {arguments.pairs} rounds of {arguments.seconds} s",
        f"{datetime.datetime.now().astimezone().isoformat(timespec='seconds')}; {os.cpu_count()} processors",
        version([executable("pgbouncer"), "--version"]), "",
        "CPU us a transaction (transactions/s), medians; ratios of CPU and of rates (smallest, largest)",
        f"{'':<34} {'sdlab':>14} {'pgbouncer':>14} {'CPU':>18} {'rate':>18}",
    ]
    with tempfile.TemporaryDirectory(prefix="sdlab-bench-") as name:
        directory = pathlib.Path(name)
        directory.chmod(0o755)
        servers = []
        try:
            servers.append(start_database(directory))
            wait(servers[0])
            run("pgbench", servers[0].port, ["-i", "-s", "1", "-q"])
            for protocol, mode in ROWS:
                sides = start_poolers(arguments.program, directory, servers[0], mode)
                servers += sides
                for side in sides:
                    wait(side)
                for clients in CLIENTS:
                    rounds = [[measure(side, protocol, clients, arguments.seconds) for side in sides]
                              for _ in range(arguments.pairs)]
                    lines.append(line(f"{protocol}, by {mode}, {clients} clients", rounds))
                    print(lines[-1], file=sys.stderr, flush=True)
                for side in sides:
                    side.stop()
                    servers.remove(side)
        except Failure as failure:
            sys.exit(f"scripts/bench: {failure}")
        finally:
            for server in reversed(servers):
                server.stop()
    text = "\n".join(lines)
    print(text)
    results = pathlib.Path(__file__).resolve().parents[2] / "bench-results"
    results.mkdir(exist_ok=True)
    stamp = datetime.datetime.now().isoformat(timespec="seconds").replace(":", "")
    (results / f"{stamp}-pooler.txt").write_text(text + "\n")


main()
