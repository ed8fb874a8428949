"""What a lock costs: three `sdlab lockserver` beside three of Debian's etcd, over the same JSON gateway, synced.

A cycle is a lock and its unlock under a lease that exists already. Both groups run at the same time and take turns; each
client has a connection of its own to the first member. Processor time is user and kernel time of all three members,
from /proc; the result is the median of the rounds' ratios. Fail-over is the time from `kill -9` of the leader to the
first lock that another member grants.
"""

import base64
import http.client
import json
import os
import pathlib
import signal
import sys
import tempfile
import threading
import time

from servers import (
    DEADLINE_SECONDS, Failure, Server, executable, free_port, middle, occasion, options, publish, ratio, version)


def ask(connection, path, message):
    connection.request("POST", path, json.dumps(message), {"Content-Type": "application/json"})
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:
        raise Failure(f"{path}: {response.status} {body[:200]!r}")
    return json.loads(body)


class Group:
    def __init__(self, name, servers):
        self.name, self.servers = name, servers

    def wait(self):
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            try:
                self.lease = self.grant()
                return
            except (OSError, http.client.HTTPException, Failure) as error:
                if time.monotonic() > deadline:
                    raise Failure(f"{self.name} does not answer: {error}") from error
                time.sleep(0.1)

    def connect(self, index=0):
        return http.client.HTTPConnection("127.0.0.1", self.servers[index].port, timeout=30)

    def grant(self, index=0):
        return ask(self.connect(index), "/v3/lease/grant", {"TTL": "3600"})["ID"]

    def leader(self):
        for index, server in enumerate(self.servers):
            status = ask(self.connect(index), "/v3/maintenance/status", {})
            if status["leader"] == status["header"]["member_id"]:
                return index
        raise Failure(f"{self.name} has no leader")

    def cpu_seconds(self):
        return sum(sum(server.cpu_seconds()) for server in self.servers if server.process.poll() is None)

    def measure(self, clients, seconds):
        times = []
        end = time.monotonic() + seconds

        def work(number):
            connection = self.connect()
            lease = self.grant()
            name = base64.b64encode(f"lock-{number}".encode()).decode()
            own = []
            while time.monotonic() < end:
                began = time.monotonic()
                key = ask(connection, "/v3/lock/lock", {"name": name, "lease": lease})["key"]
                ask(connection, "/v3/lock/unlock", {"key": key})
                own.append(time.monotonic() - began)
            times.extend(own)

        before = self.cpu_seconds()
        began = time.monotonic()
        threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        elapsed = time.monotonic() - began
        if not times:
            raise Failure(f"{self.name}: no cycle came to its end")
        times.sort()
        return {
            "cost": (self.cpu_seconds() - before) / len(times) * 1e6, "rate": len(times) / elapsed,
            "p99": times[int(len(times) * 0.99)] * 1e3,
        }

    def fail_over(self):
        """Seconds from the leader's death to a lock granted by another member."""
        leader = self.leader()
        other = (leader + 1) % 3
        os.kill(self.servers[leader].process.pid, signal.SIGKILL)
        began = time.monotonic()
        while time.monotonic() - began < DEADLINE_SECONDS:
            try:
                ask(self.connect(other), "/v3/lock/lock", {"name": "ZmFpbG92ZXI=", "lease": self.lease})
                return time.monotonic() - began
            except (OSError, http.client.HTTPException, Failure):
                time.sleep(0.005)
        raise Failure(f"{self.name} did not recover")


def start(program, directory):
    ports = [free_port() for _ in range(9)]
    members = ",".join(f"localhost:{port}" for port in ports[:3])
    ours = [
        Server(f"sdlab {i + 1}", [program, "lockserver", "--id", str(i + 1), "--peers", members, "--port", str(ports[i]),
                                  "--data-dir", str(directory / f"sdlab{i}")], ports[i], directory / f"sdlab{i}.log")
        for i in range(3)
    ]
    cluster = ",".join(f"n{i}=http://127.0.0.1:{ports[6 + i]}" for i in range(3))
    etcd = []
    for i in range(3):
        client, peer = f"http://127.0.0.1:{ports[3 + i]}", f"http://127.0.0.1:{ports[6 + i]}"
        etcd.append(Server(f"etcd {i + 1}", [
            executable("etcd"), "--name", f"n{i}", "--data-dir", str(directory / f"etcd{i}"), "--log-level", "error",
            "--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer,
            "--initial-advertise-peer-urls", peer, "--initial-cluster", cluster], ports[3 + i], directory / f"etcd{i}.log"))
    return [Group("sdlab", ours), Group("etcd", etcd)]


def main():
    parser = options("lock")
    parser.add_argument("--pairs", type=int, default=5, help="rounds (5)")
    parser.add_argument("--seconds", type=float, default=3, help="of a round (3)")
    arguments = parser.parse_args()
    lines = [
        f"lock: cycles of lock and unlock on three members each; {arguments.pairs} rounds",
        occasion(),
        version([executable("etcd"), "--version"]), "",
        "CPU us a cycle of all members (cycles/s; p99 ms), medians; ratios to etcd (smallest-largest)",
        f"{'clients':<8} {'sdlab':>24} {'etcd':>24} {'CPU':>18} {'rate':>6}",
    ]
    groups = []
    with tempfile.TemporaryDirectory(prefix="sdlab-bench-") as directory:
        try:
            groups = start(arguments.program, pathlib.Path(directory))
            for group in groups:
                group.wait()
            for clients in (1, 16, 64):
                rounds = [[group.measure(clients, arguments.seconds) for group in groups]
                          for _ in range(arguments.pairs)]
                lines.append(line(clients, rounds))
                print(lines[-1], file=sys.stderr, flush=True)
            lines.append("fail-over: " + ", ".join(f"{group.name} {group.fail_over():.2f} s" for group in groups))
        except Failure as failure:
            sys.exit(f"scripts/bench: {failure}")
        finally:
            for group in groups:
                for server in group.servers:
                    server.stop()
    publish(lines, "lock")


def line(clients, rounds):
    cells = [f"{middle(rounds, s, 'cost'):.0f} ({middle(rounds, s, 'rate'):.0f}; {middle(rounds, s, 'p99'):.1f})"
             for s in (0, 1)]
    return (f"{clients:<8} {cells[0]:>24} {cells[1]:>24} {ratio(rounds, 'cost'):>18}"
            f" {middle(rounds, 0, 'rate') / middle(rounds, 1, 'rate'):>6.2f}")


main()
