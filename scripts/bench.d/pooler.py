"""What a pooled transaction costs: `sdlab pgbouncer` beside Debian's pgbouncer, in front of the same PostgreSQL 15.

Both poolers run at the same time and take turns (A B A B ...). Processor time is user and kernel time of the pooler's
process alone; the result is the median of the rounds' ratios. Prepared statements are pooled by session, since
pgbouncer 1.18 knows no other way.
"""

import pathlib
import re
import sys
import tempfile

import postgresql
from servers import Failure, Server, executable, free_port, occasion, options, pair_line, publish, version

ROWS = [("simple", "transaction"), ("extended", "transaction"), ("prepared", "session")]
CLIENTS = (1, 16, 64)


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
        Server("pgbouncer", [*postgresql.as_owner(), executable("pgbouncer"), str(files[1])], ports[1],
               directory / f"pgbouncer-{mode}.log"),
    ]


def measure(side, protocol, clients, seconds):
    """CPU microseconds a transaction, and transactions a second."""
    before = sum(side.cpu_seconds())
    output = postgresql.pgbench(
        side, ["-S", "-M", protocol, "-n", "-c", str(clients), "-j", "1", "-T", str(seconds)])
    used = sum(side.cpu_seconds()) - before
    count = int(re.search(r"actually processed: (\d+)", output)[1])
    return {"cost": used / max(1, count) * 1e6, "rate": float(re.search(r"tps = ([\d.]+)", output)[1])}


def main():
    parser = options("pooler")
    parser.add_argument("--pairs", type=int, default=5, help="rounds (5)")
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement (3)")
    arguments = parser.parse_args()
    lines = [
        f"pooler: pgbench -S through a pooler; {arguments.pairs} rounds of {arguments.seconds} s",
        occasion(),
        version([executable("pgbouncer"), "--version"]), "",
        "CPU us a transaction (transactions/s), medians; ratios of CPU and of rates (smallest, largest)",
        f"{'':<34} {'sdlab':>16} {'pgbouncer':>16} {'CPU':>18} {'rate':>18}",
    ]
    with tempfile.TemporaryDirectory(prefix="sdlab-bench-") as name:
        directory = pathlib.Path(name)
        servers = []
        try:
            servers.append(postgresql.start(directory, "max_connections=400", "fsync=off"))
            postgresql.wait(servers[0])
            postgresql.pgbench(servers[0], ["-i", "-s", "1", "-q"])
            for protocol, mode in ROWS:
                sides = start_poolers(arguments.program, directory, servers[0], mode)
                servers += sides
                for side in sides:
                    postgresql.wait(side)
                for clients in CLIENTS:
                    rounds = [[measure(side, protocol, clients, arguments.seconds) for side in sides]
                              for _ in range(arguments.pairs)]
                    lines.append(pair_line(f"{protocol}, by {mode}, {clients} clients", rounds, 34))
                    print(lines[-1], file=sys.stderr, flush=True)
                for side in sides:
                    side.stop()
                    servers.remove(side)
        except Failure as failure:
            sys.exit(f"scripts/bench: {failure}")
        finally:
            for server in reversed(servers):
                server.stop()
    publish(lines, "pooler")


main()
