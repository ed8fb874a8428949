"""What a transaction costs: `sdlab postgres` beside Debian's PostgreSQL 15, asked by pgbench.

Both run at the same time with their own defaults, which sync each commit, and take turns (A B A B ...). Processor time
is user and kernel time of the server's processes, those that have ended included, from /proc; the result is the median
of the rounds' ratios.
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

from servers import DEADLINE_SECONDS, TICKS_PER_SECOND, Failure, Server, die_with_parent, executable, free_port, version

BINARIES = pathlib.Path("/usr/lib/postgresql/15/bin")
COMMIT = "\\set a random(1, 100000)\nUPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :a;\n"

# Name, options of pgbench, clients.
ROWS = [
    *((f"-S -M {mode}, {clients} clients", ["-S", "-M", mode], clients)
      for mode in ("simple", "extended", "prepared") for clients in (1, 16, 64)),
    ("one commit, 1 client", ["-f", "commit.sql", "-M", "prepared"], 1),
    ("one commit, 50 clients", ["-f", "commit.sql", "-M", "prepared"], 50),
    ("-N, 16 clients", ["-N", "-M", "prepared"], 16),
]


def as_owner():
    """PostgreSQL refuses to run as root: Debian's package has made a user for it."""
    return ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []


class Database(Server):
    def wait(self):
        deadline = time.monotonic() + DEADLINE_SECONDS
        while subprocess.run([executable("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)],
                             check=False).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failure(f"{self.name} does not answer:\n{self.log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        self.pgbench(["-i", "-s", "1", "-q"])

    def pgbench(self, options):
        done = subprocess.run(
            [executable("pgbench"), "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", *options, "postgres"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            timeout=600, preexec_fn=die_with_parent, env={**os.environ, "PGSSLMODE": "disable"})
        if done.returncode != 0:
            raise Failure(f"pgbench {' '.join(options)} on {self.name} failed:\n{done.stdout[-2000:]}")
        return done.stdout

    def total_seconds(self):
        """With what children that have ended had used: PostgreSQL has a process for each client."""
        ticks = 0
        for process in self._processes():
            fields = pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += sum(int(field) for field in fields[11:15])
        return ticks / TICKS_PER_SECOND


def measure(side, row, seconds):
    """CPU microseconds a transaction, and transactions a second."""
    _, options, clients = row
    before = side.total_seconds()
    output = side.pgbench([*options, "-n", "-c", str(clients), "-j", "1", "-T", str(seconds)])
    time.sleep(0.3)
    used = side.total_seconds() - before
    count = int(re.search(r"actually processed: (\d+)", output)[1])
    return {"cost": used / max(1, count) * 1e6, "rate": float(re.search(r"tps = ([\d.]+)", output)[1])}


def start_sides(program, directory):
    ports = [free_port() for _ in range(2)]
    data = directory / "postgresql"
    directory.chmod(0o755)
    data.mkdir()
    owner = as_owner()
    if owner:
        shutil.chown(data, "postgres")
    subprocess.run([*owner, str(BINARIES / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8",
                    "--locale=C.UTF-8"], check=True, capture_output=True, cwd="/")
    postgres = [*owner, str(BINARIES / "postgres"), "-D", str(data), "-p", str(ports[1]), "-k", str(data),
                "-c", "max_connections=200"]
    return [
        Database("sdlab", [program, "postgres", "--data-dir", str(directory / "pg"), "--port", str(ports[0])],
                 ports[0], directory / "sdlab.log"),
        Database("PostgreSQL 15", postgres, ports[1], directory / "postgresql.log"),
    ]


def line(name, rounds):
    def middle(side, key):
        return statistics.median(round_[side][key] for round_ in rounds)

    def ratio(key):
        values = [round_[0][key] / max(0.01, round_[1][key]) for round_ in rounds]
        return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"

    cells = [f"{middle(s, 'cost'):.0f} ({middle(s, 'rate'):.0f})" for s in range(2)]
    return f"{name:<26} " + " ".join(f"{cell:>16}" for cell in cells) + f" {ratio('cost'):>18} {ratio('rate'):>18}"


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench db")
    parser.add_argument("program", help=argparse.SUPPRESS)
    parser.add_argument("--pairs", type=int, default=5, help="rounds (5)")
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement (3)")
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    lines = [
        f"db: transactions of pgbench, scale 1; {arguments.pairs} rounds of {arguments.seconds} s",
        f"{datetime.datetime.now().astimezone().isoformat(timespec='seconds')}; {os.cpu_count()} processors",
        version([str(BINARIES / "postgres"), "--version"]), "",
        "CPU us a transaction (transactions/s), medians; ratios of CPU and of rates (smallest, largest)",
        f"{'':<26} {'sdlab':>16} {'PostgreSQL 15':>16} {'CPU':>18} {'rate':>18}",
    ]
    with tempfile.TemporaryDirectory(prefix="sdlab-bench-") as name:
        directory = pathlib.Path(name)
        (directory / "commit.sql").write_text(COMMIT)
        os.chdir(directory)
        sides = []
        try:
            sides = start_sides(arguments.program, directory)
            for side in sides:
                side.wait()
            for row in (row for row in ROWS if arguments.only in row[0]):
                rounds = [[measure(side, row, arguments.seconds) for side in sides] for _ in range(arguments.pairs)]
                lines.append(line(row[0], rounds))
                print(lines[-1], file=sys.stderr, flush=True)
        except Failure as failure:
            sys.exit(f"scripts/bench: {failure}")
        finally:
            for side in sides:
                side.stop()
            os.chdir("/")
    text = "\n".join(lines)
    print(text)
    results = pathlib.Path(__file__).resolve().parents[2] / "bench-results"
    results.mkdir(exist_ok=True)
    stamp = datetime.datetime.now().isoformat(timespec="seconds").replace(":", "")
    (results / f"{stamp}-db.txt").write_text(text + "\n")


main()
