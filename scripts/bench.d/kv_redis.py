"""What a command over RESP costs: `sdlab lsm-kv` beside Debian's redis-server, asked by redis-benchmark. cache.py uses
its parts.

Redis runs twice: with its append-only file synced every second, which is what lsm-kv promises, too; and without any
persistence. All sides run at the same time and take turns (A B C A B C ...). Processor time is user and kernel time of
the server's process and its threads, from /proc; the result is the median of the rounds' ratios.
"""

import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

from servers import (
    Failure, Server, die_with_parent, executable, free_port, occasion, options, publish, version)

# Name, command, requests under way a connection, different keys (0: always the same), bytes of a value, requests.
ROWS = [
    ("SET P1, one key", "set", 1, 0, 3, 100_000),
    ("SET P16, one key", "set", 16, 0, 3, 500_000),
    ("GET P1, one key", "get", 1, 0, 3, 100_000),
    ("GET P16, one key", "get", 16, 0, 3, 500_000),
    ("SET P1, 100 k keys", "set", 1, 100_000, 64, 100_000),
    ("SET P16, 100 k keys", "set", 16, 100_000, 64, 500_000),
    ("GET P1, 100 k keys", "get", 1, 100_000, 64, 100_000),
    ("GET P16, 100 k keys", "get", 16, 100_000, 64, 500_000),
]
CACHE_ROWS = ROWS + [
    ("SET P16, 1 M keys", "set", 16, 1_000_000, 64, 2_000_000),
    ("GET P1, 1 M keys", "get", 1, 1_000_000, 64, 100_000),
    ("GET P16, 1 M keys", "get", 16, 1_000_000, 64, 500_000),
    ("INCR P16, 100 k keys", "incr", 16, 100_000, 3, 500_000),
    ("LPUSH P16", "lpush", 16, 0, 3, 500_000),
    ("ZADD P16, 100 k members", "zadd", 16, 100_000, 3, 500_000),
]


class RESPServer(Server):
    def wait(self):
        self.wait_for(b"SET check 1\r\nGET check\r\n", b"+OK\r\n$1\r\n1\r\n")


def measure(server, row, scale, flags=()):
    """CPU microseconds a request, all and in user mode; requests a second."""
    _, command, pipeline, keys, size, count = row
    count = max(1000, int(count * scale))
    words = [executable("redis-benchmark"), "-p", str(server.port), "-t", command, "-c", "50", "-P", str(pipeline),
             "-n", str(count), "-d", str(size), "-q", *flags] + (["-r", str(keys)] if keys else [])
    before = server.cpu_seconds()
    client = subprocess.run(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        timeout=600, preexec_fn=die_with_parent)
    user, system = (after - start for after, start in zip(server.cpu_seconds(), before))
    rates = re.findall(r"([\d.]+) requests per second", client.stdout)
    if client.returncode != 0 or not rates or "Error" in client.stdout:
        raise Failure(f"redis-benchmark on {server.name} failed:\n{client.stdout[-2000:]}")
    return {"cost": (user + system) / count * 1e6, "user": user / count * 1e6, "rate": float(rates[-1])}


def memory(server):
    """Bytes that it says it uses, bytes that the system says, and keys."""
    def info(section, name):
        words = [executable("redis-cli"), "-p", str(server.port), "INFO", section]
        text = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout
        return int(re.search(rf"{name}[:=](\d+)", text).group(1))

    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    resident = int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024
    return info("memory", "used_memory"), resident, info("keyspace", "db0:keys")


def start_sides(program, directory):
    def start(name, command, port):
        return RESPServer(name, command, port, directory / f"{name.replace(' ', '-')}.log")

    ports = [free_port() for _ in range(3)]
    for name in ("aof", "none"):
        (directory / name).mkdir()
    redis = [executable("redis-server"), "--save", "", "--auto-aof-rewrite-percentage", "0"]
    return [
        start("sdlab", [program, "lsm-kv", "--data-dir", str(directory / "kv"), "--port", str(ports[0])], ports[0]),
        start("redis everysec", [*redis, "--port", str(ports[1]), "--dir", str(directory / "aof"),
                                 "--appendonly", "yes", "--appendfsync", "everysec"], ports[1]),
        start("redis no log", [*redis, "--port", str(ports[2]), "--dir", str(directory / "none")], ports[2]),
    ]


def main():
    parser = options("kv-redis")
    parser.add_argument("--pairs", type=int, default=5, help="rounds (5)")
    parser.add_argument("--scale", type=float, default=1, help="of the numbers of requests (1)")
    arguments = parser.parse_args()
    peers = ["everysec", "no log"]
    lines = [
        f"kv-redis: commands over RESP; {arguments.pairs} rounds, 50 connections, appendfsync everysec",
        occasion(),
        version([executable("redis-server"), "--version"]), "",
        "CPU us a request (of that, user; thousand requests/s), medians; ratio of CPU to each redis (smallest, largest)",
        f"{'':<24} {'sdlab':>21} " + " ".join(f"{'redis ' + peer:>21}" for peer in peers) + " "
        + " ".join(f"{'/ ' + peer:>22}" for peer in peers),
    ]
    with tempfile.TemporaryDirectory(prefix="sdlab-bench-") as directory:
        sides = []
        try:
            sides = start_sides(arguments.program, pathlib.Path(directory))
            for side in sides:
                side.wait()
            for row in ROWS:
                rounds = [[measure(side, row, arguments.scale) for side in sides] for _ in range(arguments.pairs)]
                lines.append(line(row[0], rounds))
                print(lines[-1], file=sys.stderr, flush=True)
        except Failure as failure:
            sys.exit(f"scripts/bench: {failure}")
        finally:
            for side in sides:
                side.stop()
    publish(lines, "kv-redis")


def line(name, rounds):
    def middle(side, key):
        return statistics.median(round_[side][key] for round_ in rounds)

    cells = [f"{middle(s, 'cost'):.2f} ({middle(s, 'user'):.2f}; {middle(s, 'rate') / 1000:.0f})" for s in range(len(rounds[0]))]
    ratios = []
    for peer in range(1, len(rounds[0])):
        values = [round_[0]["cost"] / max(0.01, round_[peer]["cost"]) for round_ in rounds]
        ratios.append(f"{statistics.median(values):.3f} ({min(values):.2f}-{max(values):.2f})")
    return f"{name:<24} " + " ".join(f"{cell:>21}" for cell in cells) + " " + " ".join(f"{r:>22}" for r in ratios)


if __name__ == "__main__":
    main()
