"""What finding a service costs, and how soon a change is known.

DNS: processor time of a query, A and SRV, beside unbound with the same records as local data; dnsperf asks both in turn
over UDP, the same queries for the same time. Watches: clients that wait for a change of one of many services
(`?index=N&wait=10m`), a few of each; how long after a registration was sent those that wait for it have their answer.
A group of three: how long after a registration was answered by one member it stands in the DNS of another.
"""

import http.client
import json
import pathlib
import re
import resource
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time

from servers import (
    DEADLINE_SECONDS, Failure, Server, executable, free_port, occasion, options, pair_line, publish, version)

INSTANCES = 3
WATCHERS_OF_EACH = 10


def put(port, path, message=None, connection=None):
    connection = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("PUT", path, None if message is None else json.dumps(message))
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:
        raise Failure(f"{path}: {response.status} {body[:200]!r}")


def instance(name, number):
    return {"Name": name, "ID": f"{name}-{number}", "Address": f"10.0.0.{number}", "Port": 8000 + number}


def wait_until(what, condition):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            if condition():
                return
        except (OSError, http.client.HTTPException, Failure):
            pass
        if time.monotonic() > deadline:
            raise Failure(f"{what} did not come up")
        time.sleep(0.02)


def question(name, kind):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)


class Resolver:
    """Asks one server over UDP."""

    def __init__(self, port):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(("127.0.0.1", port))
        self.socket.settimeout(1)

    def answers(self, name, kind=1):
        """How many records come back."""
        self.socket.send(question(name, kind))
        return struct.unpack(">H", self.socket.recv(4096)[6:8])[0]


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


# DNS beside unbound


def unbound(directory):
    port = free_port()
    data = []
    for number in range(1, INSTANCES + 1):
        data += [f'local-data: "api.service.consul. 0 IN A 10.0.0.{number}"',
                 f'local-data: "api.service.consul. 0 IN SRV 1 1 {8000 + number} 0a00000{number}.addr.dc1.consul."']
    configuration = directory / "unbound.conf"
    configuration.write_text("\n  ".join([
        "server:", f"interface: 127.0.0.1@{port}", 'username: ""', 'chroot: ""', f'directory: "{directory}"',
        'pidfile: ""', "use-syslog: no", "do-daemonize: no", "num-threads: 1", 'module-config: "iterator"',
        'local-zone: "consul." static', *data]) + "\nremote-control:\n  control-enable: no\n")
    return Server("unbound", [executable("unbound"), "-d", "-c", str(configuration)], port, directory / "unbound.log")


def ask_many(server, queries, seconds):
    before = sum(server.cpu_seconds())
    done = subprocess.run(
        [executable("dnsperf"), "-s", "127.0.0.1", "-p", str(server.port), "-d", str(queries), "-l", str(seconds),
         "-c", "8", "-q", "64"], capture_output=True, text=True, check=False)
    found = re.search(r"Queries completed: +(\d+)", done.stdout)
    good = re.search(r"NOERROR (\d+)", done.stdout)
    lost = re.search(r"Queries lost: +(\d+)", done.stdout)
    if not found or not good or int(found[1]) == 0 or found[1] != good[1] or not lost or int(lost[1]) > 0:
        raise Failure(f"{server.name}: dnsperf says\n{done.stdout}{done.stderr}")
    count = int(found[1])
    return {"cost": (sum(server.cpu_seconds()) - before) / count * 1e6, "rate": count / seconds}


def measure_dns(program, directory, arguments, servers, lines):
    port, dns = free_port(), free_port()
    registry = Server(
        "sdlab", [program, "registry", "--port", str(port), "--dns-port", str(dns)], dns, directory / "registry.log")
    theirs = unbound(directory)
    servers += [registry, theirs]
    wait_until("the registry", lambda: put(port, "/v1/agent/service/register", instance("api", 1)) is None)
    for number in range(2, INSTANCES + 1):
        put(port, "/v1/agent/service/register", instance("api", number))
    for server in (registry, theirs):
        wait_until(server.name, lambda: Resolver(server.port).answers("api.service.consul") == INSTANCES)
    lines += [f"DNS: CPU us a query (queries/s), {INSTANCES} instances; ratios to unbound (smallest-largest)",
              f"{'':<8} {'sdlab':>16} {'unbound':>16} {'CPU':>18} {'rate':>18}"]
    for name, kinds in (("A", ["A"]), ("SRV", ["SRV"]), ("A + SRV", ["A", "SRV"])):
        queries = directory / "queries"
        queries.write_text("".join(f"api.service.consul {kind}\n" for kind in kinds))
        rounds = [[ask_many(server, queries, arguments.seconds) for server in (registry, theirs)]
                  for _ in range(arguments.pairs)]
        lines.append(pair_line(name, rounds, 8))
        print(lines[-1], file=sys.stderr, flush=True)
    for server in (registry, theirs):
        server.stop()


# Watchers


class Watchers:
    """Connections that wait for changes of services, and one way to hear of all of them."""

    def __init__(self, port):
        self.port = port
        self.poll = select.epoll()
        self.sockets, self.services, self.index = {}, {}, {}

    def connect(self, service):
        connection = socket.create_connection(("127.0.0.1", self.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sockets[connection.fileno()] = connection
        self.services[connection.fileno()] = service
        self.poll.register(connection.fileno(), select.EPOLLIN)
        return connection.fileno()

    def ask(self, descriptor):
        service = self.services[descriptor]
        index = self.index.get(service)
        query = "" if index is None else f"?index={index}&wait=10m"
        self.sockets[descriptor].sendall(
            f"GET /v1/health/service/{service}{query} HTTP/1.1\r\nHost: l\r\n\r\n".encode())

    def read(self, descriptor):
        """A whole answer; keeps its index."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.sockets[descriptor].recv(65536)
        head, body = data.split(b"\r\n\r\n", 1)
        length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
        while len(body) < length:
            body += self.sockets[descriptor].recv(65536)
        self.index[self.services[descriptor]] = int(re.search(rb"(?i)x-consul-index: (\d+)", head)[1])


def measure_watchers(program, directory, arguments, servers, lines):
    port = free_port()
    registry = Server(
        "sdlab", [program, "registry", "--port", str(port), "--no-dns"], port, directory / "watched.log")
    servers.append(registry)
    services = max(1, arguments.watchers // WATCHERS_OF_EACH)
    wait_until("the registry", lambda: put(port, "/v1/agent/service/register", instance("s0", 1)) is None)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for number in range(1, services):
        put(port, "/v1/agent/service/register", instance(f"s{number}", 1), connection)
    watchers = Watchers(port)
    for number in range(services):
        for _ in range(WATCHERS_OF_EACH):
            descriptor = watchers.connect(f"s{number}")
            if f"s{number}" not in watchers.index:
                watchers.ask(descriptor)
                watchers.read(descriptor)
            watchers.ask(descriptor)
    time.sleep(0.5)
    first, last = [], []
    for change in range(arguments.changes):
        service = f"s{change * 7919 % services}"
        message = instance(service, 1) | {"Tags": [str(change)]}
        began = time.monotonic()
        put(port, "/v1/agent/service/register", message, connection)
        woken = []
        while len(woken) < WATCHERS_OF_EACH:
            events = watchers.poll.poll(DEADLINE_SECONDS)
            if not events:
                raise Failure(f"only {len(woken)} of {WATCHERS_OF_EACH} that watch {service} were woken")
            for descriptor, _ in events:
                if watchers.services[descriptor] != service:
                    raise Failure(f"a change of {service} woke who watches {watchers.services[descriptor]}")
                watchers.read(descriptor)
                woken.append(time.monotonic() - began)
                # Those that come later in this turn are not to be heard twice.
                watchers.poll.modify(descriptor, 0)
        first.append(woken[0])
        last.append(woken[-1])
        for descriptor, name in watchers.services.items():
            if name == service:
                watchers.poll.modify(descriptor, select.EPOLLIN)
                watchers.ask(descriptor)
    lines.append(
        f"watches: {services * WATCHERS_OF_EACH} wait on {services} services; {arguments.changes} changes wake "
        f"{WATCHERS_OF_EACH} each: from the registration sent to the first answer "
        f"p50 {percentile(first, 0.5) * 1e3:.2f} ms, p99 {percentile(first, 0.99) * 1e3:.2f}; to the last "
        f"p50 {percentile(last, 0.5) * 1e3:.2f}, p99 {percentile(last, 0.99) * 1e3:.2f}; "
        f"{registry.memory_bytes() / 2**20:.0f} MiB")
    print(lines[-1], file=sys.stderr, flush=True)
    registry.stop()
    for connection in watchers.sockets.values():
        connection.close()


# A group


def measure_group(program, directory, arguments, servers, lines):
    ports = [(free_port(), free_port()) for _ in range(3)]
    peers = ",".join(f"localhost:{port}" for port, _ in ports)
    for number, (port, dns) in enumerate(ports, 1):
        servers.append(Server(
            f"member {number}",
            [program, "registry", "--peers", peers, "--id", str(number), "--port", str(port), "--dns-port", str(dns),
             "--data-dir", str(directory / f"member{number}")], port, directory / f"member{number}.log"))
    wait_until("the group", lambda: put(ports[0][0], "/v1/agent/service/register", instance("first", 1)) is None)
    resolver = Resolver(ports[1][1])
    connection = http.client.HTTPConnection("127.0.0.1", ports[0][0], timeout=30)
    visible, whole, trips = [], [], []
    for number in range(arguments.changes):
        name = f"new{number}"
        began = time.monotonic()
        put(ports[0][0], "/v1/agent/service/register", instance(name, 1), connection)
        answered = time.monotonic()
        while True:
            asked = time.monotonic()
            found = resolver.answers(f"{name}.service.consul")
            ended = time.monotonic()
            trips.append(ended - asked)
            if found:
                break
            if ended - began > DEADLINE_SECONDS:
                raise Failure(f"{name} is not in the DNS of another member")
        visible.append(ended - answered)
        whole.append(ended - began)
    lines.append(
        f"group of three: {arguments.changes} registrations at one, in the DNS of another "
        f"p50 {percentile(visible, 0.5) * 1e3:.2f} ms, p99 {percentile(visible, 0.99) * 1e3:.2f} after the answer "
        f"(a DNS question: p50 {percentile(trips, 0.5) * 1e3:.2f}, p99 {percentile(trips, 0.99) * 1e3:.2f}); "
        f"p50 {percentile(whole, 0.5) * 1e3:.2f}, p99 {percentile(whole, 0.99) * 1e3:.2f} after it was sent")
    print(lines[-1], file=sys.stderr, flush=True)


def main():
    parser = options("registry")
    parser.add_argument("--pairs", type=int, default=5, help="rounds of DNS (5)")
    parser.add_argument("--seconds", type=int, default=3, help="of a round (3)")
    parser.add_argument("--watchers", type=int, default=10_000, help="that wait (10000)")
    parser.add_argument("--changes", type=int, default=500, help="of services (500)")
    arguments = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    lines = [
        f"registry: {arguments.pairs} rounds of {arguments.seconds} s, {arguments.watchers} watchers",
        occasion(),
        version([executable("unbound"), "-V"]), "",
    ]
    servers = []
    with tempfile.TemporaryDirectory(prefix="sdlab-bench-") as place:
        directory = pathlib.Path(place)
        try:
            measure_dns(arguments.program, directory, arguments, servers, lines)
            measure_watchers(arguments.program, directory, arguments, servers, lines)
            measure_group(arguments.program, directory, arguments, servers, lines)
        except Failure as failure:
            sys.exit(f"scripts/bench: {failure}")
        finally:
            for server in servers:
                server.stop()
    publish(lines, "registry")


main()
