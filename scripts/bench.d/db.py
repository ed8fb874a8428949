"""What a transaction costs: `sdlab postgres` beside Debian's PostgreSQL 15, asked by pgbench.

Both run at the same time with their own defaults, which sync each commit, and take turns (A B A B ...). Processor time
is user and kernel time of the server's processes, those that have ended included, from /proc; the result is the median
of the rounds' ratios.
"""

import os
import pathlib
import re
import sys
import tempfile
import time

import postgresql
from servers import TICKS_PER_SECOND, Failure, Server, free_port, occasion, options, pair_line, publish, version

COMMIT = "\\set a random(1, 100000)\nUPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :a;\n"

# Name, options of pgbench, clients.
ROWS = [
    *((f"-S -M {mode}, {clients} clients", ["-S", "-M", mode], clients)
      for mode in ("simple", "extended", "prepared") for clients in (1, 16, 64)),
    ("one commit, 1 client", ["-f", "commit.sql", "-M", "prepared"], 1),
    ("one commit, 50 clients", ["-f", "commit.sql", "-M", "prepared"], 50),
    ("-N, 16 clients", ["-N", "-M", "prepared"], 16),
]


class Database(Server):
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
    output = postgresql.pgbench(side, [*options, "-n", "-c", str(clients), "-j", "1", "-T", str(seconds)])
    time.sleep(0.3)
    used = side.total_seconds() - before
    count = int(re.search(r"actually processed: (\d+)", output)[1])
    return {"cost": used / max(1, count) * 1e6, "rate": float(re.search(r"tps = ([\d.]+)", output)[1])}


def start_sides(program, directory):
    port = free_port()
    return [
        Database("sdlab", [program, "postgres", "--data-dir", str(directory / "pg"), "--port", str(port)], port,
                 directory / "sdlab.log"),
        postgresql.start(directory, "max_connections=200", name="PostgreSQL 15", kind=Database),
    ]


def main():
    parser = options("db")
    parser.add_argument("--pairs", type=int, default=5, help="rounds (5)")
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement (3)")
    parser.add_argument("--only", default="", help="rows whose name has this in it")
    arguments = parser.parse_args()
    lines = [
        f"db: transactions of pgbench, scale 1; {arguments.pairs} rounds of {arguments.seconds} s",
        occasion(),
        version([str(postgresql.BINARIES / "postgres"), "--version"]), "",
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
                postgresql.wait(side)
                postgresql.pgbench(side, ["-i", "-s", "1", "-q"])
            for row in (row for row in ROWS if arguments.only in row[0]):
                rounds = [[measure(side, row, arguments.seconds) for side in sides] for _ in range(arguments.pairs)]
                lines.append(pair_line(row[0], rounds, 26))
                print(lines[-1], file=sys.stderr, flush=True)
        except Failure as failure:
            sys.exit(f"scripts/bench: {failure}")
        finally:
            for side in sides:
                side.stop()
            os.chdir("/")
    publish(lines, "db")


main()
