"""What a command to `sdlab cache-node` costs: beside Debian's redis-server, asked by redis-benchmark; beside memcached, over
its text protocol; and three nodes as a cluster beside three of Redis's.

All sides of a part run at the same time and take turns (A B A B ...). Processor time is user and kernel time of the
servers' processes, from /proc, for a cluster of all three; the result is the median of the rounds' ratios.
"""

import os
import pathlib
import random
import re
import select
import socket
import subprocess
import sys
import tempfile
import time

from kv_redis import CACHE_ROWS, RESPServer, line, measure, memory
from servers import Failure, Server, executable, free_port, occasion, options, publish, version

PARTS = ("node", "memcached", "cluster")
CLUSTER_ROWS = [
    ("cluster: SET P1", "set", 1, 100_000, 64, 100_000),
    ("cluster: SET P16", "set", 16, 100_000, 64, 500_000),
    ("cluster: GET P1", "get", 1, 100_000, 64, 100_000),
    ("cluster: GET P16", "get", 16, 100_000, 64, 500_000),
]
# Name, command, requests under way a connection, different keys, bytes of a value, requests.
MEMCACHED_ROWS = [
    ("memcached: set P1", "set", 1, 100_000, 64, 100_000),
    ("memcached: set P16", "set", 16, 100_000, 64, 300_000),
    ("memcached: get P1", "get", 1, 100_000, 64, 100_000),
    ("memcached: get P16", "get", 16, 100_000, 64, 300_000),
    ("memcached: mg P16", "mg", 16, 100_000, 64, 300_000),
]
CONNECTIONS = 50


class MemcachedServer(Server):
    def wait(self):
        self.wait_for(b"set check 0 0 1\r\n1\r\n", b"STORED\r\n")


class Cluster:
    """Three nodes, asked as one."""

    def __init__(self, name, nodes):
        self.name, self.nodes, self.port = name, nodes, nodes[0].port

    def cpu_seconds(self):
        return [sum(column) for column in zip(*(node.cpu_seconds() for node in self.nodes))]

    def wait(self):
        deadline = time.monotonic() + 60
        places = [f"127.0.0.1:{node.port}" for node in self.nodes]
        while not all(answers(node.port) for node in self.nodes):
            if time.monotonic() > deadline:
                raise Failure(f"{self.name}: a node does not answer")
            time.sleep(0.05)
        words = [executable("redis-cli"), "--cluster", "create", *places, "--cluster-yes"]
        made = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        if "All 16384 slots covered" not in made.stdout:
            raise Failure(f"{self.name}: redis-cli makes no cluster of them:\n{made.stdout[-2000:]}{made.stderr[-500:]}")

    def stop(self):
        for node in self.nodes:
            node.stop()


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(100) == b"+PONG\r\n"
    except OSError:
        return False


def cluster_ports(count):
    """Ports whose neighbours 10,000 above are free, too: redis-server takes those for itself."""
    found = []
    for port in random.sample(range(30_001, 32_700), 2_000):
        try:
            for number in (port, port + 10_000):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", number))
            found.append(port)
        except OSError:
            continue
        if len(found) == count:
            return found
    raise Failure("no free ports from 30001 to 32699")


def start_sides(part, program, directory):
    def log(name):
        return directory / f"{part}-{name.replace(' ', '-')}.log"

    def folder(name):
        (directory / name).mkdir()
        return str(directory / name)

    redis = [executable("redis-server"), "--save", ""]
    if part == "node":
        ports = [free_port() for _ in range(2)]
        return [
            RESPServer("sdlab", [program, "cache-node", "--port", str(ports[0])], ports[0], log("sdlab")),
            RESPServer(
                "redis", [*redis, "--port", str(ports[1]), "--dir", folder("redis")], ports[1], log("redis"))]
    if part == "memcached":
        ports = [free_port() for _ in range(3)]
        ours = [program, "cache-node", "--port", str(ports[0]), "--memcached-port", str(ports[1])]
        theirs = [executable("memcached"), "-l", "127.0.0.1", "-p", str(ports[2]), "-U", "0", "-m", "1024", "-t", "1"]
        return [
            MemcachedServer("sdlab", ours, ports[1], log("sdlab")),
            MemcachedServer(
                "memcached", theirs + (["-u", "nobody"] if os.geteuid() == 0 else []), ports[2], log("memcached"))]
    ports = cluster_ports(6)
    nodes = []
    for index, port in enumerate(ports):
        place = folder(str(port))
        if index < 3:
            words = [program, "cache-node", "--port", str(port), "--cluster-port", str(port + 10_000),
                     "--cluster-state", f"{place}/nodes.conf"]
        else:
            words = [*redis, "--port", str(port), "--dir", place, "--cluster-enabled", "yes", "--bind", "127.0.0.1"]
        nodes.append(Server(f"node {index}", words, port, log(str(port))))
    return [Cluster("sdlab", nodes[:3]), Cluster("redis", nodes[3:])]


def memcached_batch(command, pipeline, keys, size):
    """Requests, and by how many lines of that ending they are answered."""
    names = [b"key:%012d" % random.randrange(keys) for _ in range(pipeline)]
    if command == "set":
        return b"".join(b"set %b 0 0 %d\r\n%b\r\n" % (name, size, b"x" * size) for name in names), b"STORED\r\n"
    if command == "get":
        return b"".join(b"get %b\r\n" % name for name in names), b"END\r\n"
    return b"".join(b"mg %b v\r\n" % name for name in names) + b"mn\r\n", b"MN\r\n"


def measure_memcached(server, row, scale):
    """CPU microseconds a request, all and in user mode; requests a second (a slow client's: for itself only)."""
    _, command, pipeline, keys, size, count = row
    rounds = max(1, int(count * scale) // (pipeline * CONNECTIONS))
    batches = [memcached_batch(command, pipeline, keys, size) for _ in range(400)]
    connections = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(CONNECTIONS)]
    before, start, number = server.cpu_seconds(), time.monotonic(), 0
    poll = select.epoll()
    by_descriptor = {connection.fileno(): connection for connection in connections}
    for descriptor in by_descriptor:
        poll.register(descriptor, select.EPOLLIN)
    try:
        for _ in range(rounds):
            open_answers = {}
            for descriptor, connection in by_descriptor.items():
                request, ending = batches[number % len(batches)]
                number += 1
                connection.sendall(request)
                open_answers[descriptor] = [ending, 1 if command == "mg" else pipeline, b""]
            while open_answers:
                for descriptor, _ in poll.poll(30):
                    answer = open_answers.get(descriptor)
                    data = by_descriptor[descriptor].recv(1 << 16)
                    if not data or answer is None:
                        raise Failure(f"{server.name} ended a connection, or said too much: {data[:80]!r}")
                    answer[2] += data
                    if answer[2].endswith(answer[0]) and answer[2].count(answer[0]) >= answer[1]:
                        if b"ERROR" in answer[2]:
                            raise Failure(f"{server.name} answered {answer[2][:80]!r}")
                        del open_answers[descriptor]
    finally:
        poll.close()
        for connection in connections:
            connection.close()
    done = rounds * pipeline * CONNECTIONS
    user, system = (after - begin for after, begin in zip(server.cpu_seconds(), before))
    return {"cost": (user + system) / done * 1e6, "user": user / done * 1e6, "rate": done / (time.monotonic() - start)}


def run(part, arguments, lines):
    rows = {"node": CACHE_ROWS, "memcached": MEMCACHED_ROWS, "cluster": CLUSTER_ROWS}[part]
    with tempfile.TemporaryDirectory(prefix="sdlab-bench-") as directory:
        # memcached changes to a user of its own.
        os.chmod(directory, 0o755)
        sides = start_sides(part, arguments.program, pathlib.Path(directory))
        try:
            for side in sides:
                side.wait()
            peer = sides[1].name
            lines += ["", f"{'':<24} {'sdlab':>21} {peer:>21} {'/ ' + peer:>22}"]
            if part == "memcached":
                for side in sides:
                    fill(side)
            for row in rows:
                def once(side, row=row):
                    if part == "memcached":
                        return measure_memcached(side, row, arguments.scale)
                    return measure(side, row, arguments.scale, ["--cluster"] if part == "cluster" else [])

                rounds = [[once(side) for side in sides] for _ in range(arguments.pairs)]
                lines.append(line(row[0], rounds))
                print(lines[-1], file=sys.stderr, flush=True)
            if part == "node":
                for side in sides:
                    used, resident, keys = memory(side)
                    lines.append(
                        f"{side.name}: {keys} keys, used_memory {used >> 20} MiB, resident {resident >> 20} MiB "
                        f"({used / resident:.2f}), {used / max(1, keys):.0f} bytes a key")
        finally:
            for side in sides:
                side.stop()


def fill(side):
    """Every key is there, so that reads are hits."""
    with socket.create_connection(("127.0.0.1", side.port), timeout=30) as connection:
        for begin in range(0, 100_000, 1_000):
            names = [b"key:%012d" % number for number in range(begin, begin + 1_000)]
            connection.sendall(b"".join(b"set %b 0 0 64\r\n%b\r\n" % (name, b"x" * 64) for name in names))
            answer = b""
            while len(answer) < 8 * len(names):
                answer += connection.recv(1 << 16) or b"?" * 8_000
            if not re.fullmatch(rb"(STORED\r\n)+", answer):
                raise Failure(f"{side.name} answered {answer[:80]!r}")


def main():
    parser = options("cache")
    parser.add_argument("--pairs", type=int, default=5, help="rounds (5)")
    parser.add_argument("--scale", type=float, default=1, help="of the numbers of requests (1)")
    parser.add_argument("--only", choices=PARTS, help="one part of it")
    arguments = parser.parse_args()
    try:
        lines = [
            f"cache: commands to a cache node and a cluster; {arguments.pairs} rounds, {CONNECTIONS} connections",
            occasion(),
            version([executable("redis-server"), "--version"]), version([executable("memcached"), "-V"]), "",
            "CPU us a request (of that, user; thousand requests/s), medians; ratio of CPU (smallest, largest)",
        ]
        for part in [arguments.only] if arguments.only else PARTS:
            run(part, arguments, lines)
    except Failure as failure:
        sys.exit(f"scripts/bench: {failure}")
    publish(lines, "cache")


main()
