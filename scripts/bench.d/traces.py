"""What a span costs: over OTLP/HTTP as collectors send them, until it is on the disk; and how long Jaeger's API takes to
answer when there are a million."""

import http.client
import pathlib
import random
import sys
import tempfile
import time

from servers import DEADLINE_SECONDS, Failure, Farm, free_port, occasion, options, publish

SERVICES = ["gateway", "orders", "payment", "stock", "users"]
SPANS_OF_TRACE = 10


def varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def attribute(number, key, text):
    return field(number, field(1, key.encode()) + field(2, field(1, text.encode())))


def body(chance, traces, start):
    """A request with so many traces; each is one request through all services."""
    spans = {service: [] for service in SERVICES}
    identities = []
    for trace in range(traces):
        identity = chance.randbytes(16)
        identities.append(identity.hex())
        begin = start + trace * 1_000_000
        parent = b""
        for number in range(SPANS_OF_TRACE):
            service = SERVICES[number % len(SERVICES)]
            own = chance.randbytes(8)
            end = begin + chance.randrange(1, 400) * 1_000_000
            span = field(1, identity) + field(2, own) + (field(4, parent) if parent else b"")
            span += field(5, f"operation-{number}".encode()) + b"\x30" + varint(2 + number % 2)
            span += b"\x39" + (begin + number * 1000).to_bytes(8, "little") + b"\x41" + end.to_bytes(8, "little")
            span += attribute(9, "http.method", "GET") + attribute(9, "user", f"u{chance.randrange(100_000)}")
            spans[service].append(field(2, span))
            parent = own
    out = b""
    for service, own in spans.items():
        resource = field(1, attribute(1, "service.name", service))
        out += field(1, resource + field(2, b"".join(own)))
    return out, identities


def ask(connection, method, path, data=None):
    connection.request(method, path, data, {"Content-Type": "application/x-protobuf"} if data else {})
    response = connection.getresponse()
    answer = response.read()
    if response.status != 200:
        raise Failure(f"{path}: {response.status} {answer[:200]!r}")
    return answer


def main():
    parser = options("traces")
    parser.add_argument("--spans", type=int, default=1_000_000, help="(1000000)")
    arguments = parser.parse_args()
    lines = [f"traces: {arguments.spans} spans",
             occasion(), ""]
    chance = random.Random(5)
    with tempfile.TemporaryDirectory(prefix="sdlab-bench-") as name:
        directory = pathlib.Path(name)
        farm = Farm(arguments.program, None, directory)
        try:
            query, otlp = free_port(), free_port()
            server = farm.start("sdlab", [
                farm.program, "jaeger", "--port", str(query), "--otlp-port", str(otlp), "--storage",
                str(directory / "traces"), "--max-spans", str(max(1000, 2 * arguments.spans))], query)
            deadline = time.monotonic() + DEADLINE_SECONDS
            while True:
                try:
                    asking = http.client.HTTPConnection("127.0.0.1", query, timeout=60)
                    ask(asking, "GET", "/api/services")
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        raise Failure("jaeger does not answer")
                    time.sleep(0.05)
            sending = http.client.HTTPConnection("127.0.0.1", otlp, timeout=60)
            start = time.time_ns() - 3600 * 10**9
            identities, sent, used = [], 0, 0.0
            while sent < arguments.spans:
                data, own = body(chance, 100, start + sent * 100_000)
                before = sum(server.cpu_seconds())
                ask(sending, "POST", "/v1/traces", data)
                used += sum(server.cpu_seconds()) - before
                identities += own
                sent += 100 * SPANS_OF_TRACE
            time.sleep(2)
            stored = sum(file.stat().st_size for file in (directory / "traces").rglob("*") if file.is_file())
            lines.append(f"spans: {sent / max(0.01, used):,.0f} a second of processor time; {stored / sent:.0f} bytes each; "
                         f"memory {server.memory_bytes() / 1e6:.0f} MB")
            now = time.time_ns() // 1000
            questions = {
                "/api/traces?service": lambda: f"/api/traces?service={chance.choice(SERVICES)}&limit=20&lookback=2h"
                                               f"&start={now - 7_200_000_000}&end={now}",
                "/api/traces?tags": lambda: f"/api/traces?service=users&limit=20&start={now - 7_200_000_000}&end={now}"
                                            f"&tags=%7B%22user%22%3A%22u{chance.randrange(100_000)}%22%7D",
                "/api/traces?minDuration": lambda: f"/api/traces?service=orders&minDuration=390ms&limit=20"
                                                   f"&start={now - 7_200_000_000}&end={now}",
                "/api/traces/{id}": lambda: f"/api/traces/{chance.choice(identities)}",
                "/api/services": lambda: "/api/services",
                "/api/dependencies": lambda: f"/api/dependencies?endTs={now // 1000}"
                                             f"&lookback={7_200_000 - chance.randrange(3_600_000)}",
            }
            for title, question in questions.items():
                times = []
                for _ in range(200):
                    began = time.monotonic()
                    ask(asking, "GET", question())
                    times.append(time.monotonic() - began)
                times.sort()
                lines.append(f"{title}: p50 {times[100] * 1e3:.1f} ms, p99 {times[197] * 1e3:.1f} ms")
        except Failure as failure:
            sys.exit(f"scripts/bench: {failure}")
        finally:
            farm.stop()
    publish(lines, "traces")


main()
