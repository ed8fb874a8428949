"""How long a lock server takes to know again what it knew: a store of so many revisions, all of which can be looked
back at, killed and started again. Once all of them are in the log, once in a snapshot that the server made of them.
"""

import http.client
import json
import pathlib
import select
import socket
import sys
import tempfile
import time

from servers import Failure, Server, free_port, occasion, options, publish

# Requests that are sent before their answers are read.
BATCH = 50
CLIENTS = 200
DEADLINE_SECONDS = 300


def ask(port, path, message):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", path, json.dumps(message))
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:
        raise Failure(f"{path}: {response.status} {body[:200]!r}")
    return json.loads(body)


def revision(port):
    return int(ask(port, "/v3/kv/range", {"key": "YQ=="})["header"]["revision"])


def wait_until_it_knows(server, wanted, began):
    """Seconds until it answers with that revision."""
    while True:
        try:
            if revision(server.port) >= wanted:
                return time.monotonic() - began
        except (OSError, http.client.HTTPException, Failure):
            pass
        if server.process.poll() is not None or time.monotonic() - began > DEADLINE_SECONDS:
            raise Failure(f"{server.name} does not come up:\n{server.log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.01)


def put_many(port, count, keys):
    """So many changes, by many clients at once, so that many share a sync.

    Small ones: a million that can all be looked back at just fit into a store.
    """
    waiting = select.epoll()
    clients = {}
    sent = 0

    def send(client):
        nonlocal sent
        batch = min(BATCH, count - sent)
        requests = []
        for number in range(sent, sent + batch):
            body = b'{"key": "a2V5%04d", "value": "MQ=="}' % (number % keys)
            requests.append(b"POST /v3/kv/put HTTP/1.1\r\nHost: l\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        sent += batch
        client.open = batch
        if batch:
            client.socket.sendall(b"".join(requests))

    for _ in range(CLIENTS):
        client = Client(socket.create_connection(("127.0.0.1", port)))
        clients[client.socket.fileno()] = client
        waiting.register(client.socket.fileno(), select.EPOLLIN)
        send(client)
    while any(client.open for client in clients.values()):
        for descriptor, _ in waiting.poll(DEADLINE_SECONDS):
            client = clients[descriptor]
            client.read()
            if client.open == 0:
                send(client)
    for client in clients.values():
        client.socket.close()


class Client:
    """A connection with some requests on their way."""

    STATUS = b"HTTP/1.1 "

    def __init__(self, connection):
        self.socket, self.open, self.rest = connection, 0, b""

    def read(self):
        data = self.socket.recv(1 << 18)
        if not data:
            raise Failure("the server hung up")
        data = self.rest + data
        good, all_of_them = data.count(self.STATUS + b"200"), data.count(self.STATUS)
        # A status may be cut off at the end: it is counted with what follows.
        place = data.rfind(self.STATUS)
        if place >= 0 and len(data) - place < len(self.STATUS) + 3:
            self.rest, all_of_them = data[place:], all_of_them - 1
        else:
            self.rest = data[-len(self.STATUS) + 1:] if place < len(data) - len(self.STATUS) + 1 else b""
        if good != all_of_them:
            raise Failure(f"a change was refused: {data[:300]!r}")
        self.open -= good


def measure(program, directory, arguments, name, entries, servers):
    port = free_port()

    def start(snapshot_entries):
        server = Server(
            "sdlab", [program, "lockserver", "--port", str(port), "--data-dir", str(directory / name),
                      "--keep-revisions", "0", "--snapshot-entries", str(snapshot_entries)],
            port, directory / f"{name}.log")
        servers.append(server)
        return server

    server = start(10_000_000)
    wait_until_it_knows(server, 0, time.monotonic())
    put_many(port, arguments.revisions, arguments.keys)
    wanted = revision(port)
    if entries:
        # It makes a snapshot of all of it after a few more changes.
        server.process.kill()
        server.process.wait()
        server = start(entries)
        wait_until_it_knows(server, wanted, time.monotonic())
        put_many(port, 2 * entries, arguments.keys)
        wanted = revision(port)
    server.process.kill()
    server.process.wait()
    server = start(10_000_000)
    seconds = wait_until_it_knows(server, wanted, time.monotonic())
    size = sum(file.stat().st_size for file in (directory / name).rglob("*") if file.is_file())
    cost = sum(server.cpu_seconds())
    memory = server.memory_bytes() / 2**20
    server.stop()
    return (f"{name:<12} {wanted:>10} revisions, {size / 2**20:>5.0f} MiB on disk: {seconds:.2f} s until it answers"
            f" ({cost:.2f} s of processor time), {memory:.0f} MiB")


def main():
    parser = options("lock-recovery")
    parser.add_argument("--revisions", type=int, default=1_000_000, help="of the store (1000000)")
    parser.add_argument("--keys", type=int, default=10_000, help="that they are of, at most 10000 (10000)")
    arguments = parser.parse_args()
    lines = [
        "lock server: killed and started again",
        occasion(), "",
    ]
    servers = []
    with tempfile.TemporaryDirectory(prefix="sdlab-bench-") as place:
        try:
            for name, entries in (("log", 0), ("snapshot", 1000)):
                lines.append(measure(arguments.program, pathlib.Path(place), arguments, name, entries, servers))
                print(lines[-1], file=sys.stderr, flush=True)
        except Failure as failure:
            sys.exit(f"scripts/bench: {failure}")
        finally:
            for server in servers:
                server.stop()
    publish(lines, "lock-recovery")


main()
