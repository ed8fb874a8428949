"""What a message costs: `sdlab messageq` beside Debian's RabbitMQ 3.10, by the same client in one run.

A cycle is publish, confirm, deliver, acknowledge: each connection publishes on one channel and consumes from a queue of
its own on another, a hundred messages at a time. Both brokers run at the same time and take turns; processor time is
user and kernel time of all of a broker's processes, from /proc; the result is the median of the rounds' ratios. The
client builds its frames once and reads answers byte by byte, in Python: rates say more about it than about the brokers
where these are fast.
"""

import os
import pathlib
import socket
import struct
import sys
import tempfile
import threading
import time

import mq_waiting
from brokers import commands
from servers import DEADLINE_SECONDS, Failure, Server, occasion, options, pair_line, publish, version

BATCH = 100
ROWS = [(mode, size, connections) for mode in ("transient", "persistent") for size in (100, 10_000)
        for connections in (1, 20)]


def frame(kind, channel, payload):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def method(channel, class_id, method_id, arguments=b""):
    return frame(1, channel, struct.pack(">HH", class_id, method_id) + arguments)


def short(text):
    return bytes([len(text)]) + text.encode()


class Client:
    """A connection with a channel that publishes and one that consumes."""

    def __init__(self, port, queue, persistent, size, consumes=True):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.socket.sendall(b"AMQP\x00\x00\x09\x01")
        self.until(0, 10, 10)
        login = b"\0guest\0guest"
        self.say(method(0, 10, 11, b"\0\0\0\0" + short("PLAIN") + struct.pack(">I", len(login)) + login + short("en_US")))
        self.until(0, 10, 30)
        self.say(method(0, 10, 31, struct.pack(">HIH", 10, 131072, 0)) + method(0, 10, 40, short("/") + b"\0\0"))
        self.until(0, 10, 41)
        for channel in (1, 2):
            self.say(method(channel, 20, 10, b"\0"))
            self.until(channel, 20, 11)
        flags = 2 if persistent else 0
        self.say(method(1, 50, 10, struct.pack(">H", 0) + short(queue) + bytes([flags]) + b"\0\0\0\0"))
        declared = self.until(1, 50, 11)
        self.waiting_count = struct.unpack_from(">I", declared, 5 + declared[4])[0]
        self.say(method(1, 85, 10, b"\0"))
        self.until(1, 85, 11)
        if consumes:
            self.consume(queue)
        head = struct.pack(">HHQHB", 60, 0, size, 0x1000, 2 if persistent else 1)
        one = (method(1, 60, 40, struct.pack(">H", 0) + short("") + short(queue) + b"\0") + frame(2, 1, head)
               + frame(3, 1, b"x" * size))
        self.batch = one * BATCH
        self.published = self.confirmed = self.delivered = self.tag = 0

    def consume(self, queue):
        self.say(method(2, 60, 20, struct.pack(">H", 0) + short(queue) + short("c") + b"\0" + b"\0\0\0\0"))
        self.until(2, 60, 21)

    @staticmethod
    def acknowledge(tag):
        return method(2, 60, 80, struct.pack(">QB", tag, 1))

    def publish_only(self, count):
        """So many messages, all of them confirmed."""
        for _ in range(count // BATCH):
            self.say(self.batch)
        self.published += count
        while self.confirmed < self.published:
            for kind, _, payload, _ in self.frames():
                if kind == 1:
                    tag, multiple = struct.unpack_from(">QB", payload, 4)
                    self.confirmed = tag if multiple & 1 else self.confirmed + 1

    def say(self, data):
        self.socket.sendall(data)

    def frames(self):
        """What has come; waits for more if nothing has."""
        data = self.socket.recv(1 << 20)
        if not data:
            raise Failure("the broker hung up")
        self.buffer += data
        position, found, buffer = 0, [], self.buffer
        while len(buffer) - position >= 8:
            kind, channel, length = struct.unpack_from(">BHI", buffer, position)
            if len(buffer) - position < length + 8:
                break
            found.append((kind, channel, buffer[position + 7:position + 7 + min(length, 300)], length))
            position += length + 8
        self.buffer = buffer[position:]
        return found

    def until(self, channel, class_id, method_id):
        while True:
            for kind, number, payload, _ in self.frames():
                if kind == 1 and struct.unpack_from(">HH", payload) in ((10, 50), (20, 40)):
                    raise Failure(f"refused: {payload!r}")
                if kind == 1 and number == channel and struct.unpack_from(">HH", payload) == (class_id, method_id):
                    return payload

    def cycle(self):
        """A hundred messages there and back."""
        self.say(self.batch)
        self.published += BATCH
        while self.delivered < self.published or self.confirmed < self.published:
            for kind, channel, payload, _ in self.frames():
                if kind != 1:
                    continue
                if channel == 2:
                    tag_at = 5 + payload[4]
                    self.tag = struct.unpack_from(">Q", payload, tag_at)[0]
                    self.delivered += 1
                else:
                    tag, multiple = struct.unpack_from(">QB", payload, 4)
                    self.confirmed = tag if multiple & 1 else self.confirmed + 1
        self.say(self.acknowledge(self.tag))


def start(side, directory):
    name, command, port, place = side
    server = Server(name, command, port, directory / f"{name}.log")
    server.place = place
    return server


def wait(side):
    deadline = time.monotonic() + 60
    while True:
        try:
            return Client(side.port, "warm-up", False, 1).cycle()
        except (OSError, Failure) as error:
            if time.monotonic() > deadline or side.process.poll() is not None:
                raise Failure(f"{side.name} does not answer: {error}") from error
            time.sleep(0.2)


def measure(side, mode, size, connections, seconds):
    """CPU microseconds a message, and messages a second."""
    clients = [Client(side.port, f"{mode}-{size}-{number}", mode == "persistent", size)
               for number in range(connections)]
    for client in clients:
        client.cycle()
    counts = [0] * connections
    before, start = sum(side.cpu_seconds()), time.monotonic()

    def work(index):
        while time.monotonic() - start < seconds:
            clients[index].cycle()
            counts[index] += BATCH

    threads = [threading.Thread(target=work, args=(index,)) for index in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed, used = time.monotonic() - start, sum(side.cpu_seconds()) - before
    for client in clients:
        client.socket.close()
    return {"cost": used / max(1, sum(counts)) * 1e6, "rate": sum(counts) / elapsed}


def main():
    parser = options("mq")
    parser.add_argument("--pairs", type=int, default=5, help="rounds (5)")
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement (3)")
    parser.add_argument("--only", choices=["cycle", "waiting"], help="one of both halves")
    parser.add_argument("--alone", action="store_true", help="what waits, without RabbitMQ, which needs 2 KB for each")
    parser.add_argument("--rate", type=int, default=1000, help="messages a second, for latency (1000)")
    parser.add_argument("--waiting", type=int, default=10_000_000 if os.environ.get("SDLAB_LONG") else 1_000_000,
                        help="messages of the backlog (1000000; with SDLAB_LONG 10000000)")
    arguments = parser.parse_args()
    lines = [
        f"message queue: publish, confirm, deliver, acknowledge; {arguments.pairs} rounds of {arguments.seconds} s",
        occasion(),
        "RabbitMQ " + version(["dpkg-query", "-W", "-f", "${Version}", "rabbitmq-server"]), "",
        "CPU us a message (messages/s), medians; ratios of CPU and of rates (smallest, largest)",
        f"{'':<34} {'sdlab':>16} {'rabbitmq':>16} {'CPU':>18} {'rate':>18}",
    ]
    with tempfile.TemporaryDirectory(prefix="sdlab-bench-") as name:
        sides = []
        try:
            directory = pathlib.Path(name)
            ways = commands(arguments.program, directory)[:1 if arguments.alone else 2]
            for way in ways:
                sides.append(start(way, directory))
            for side in sides:
                wait(side)
            for mode, size, connections in [] if arguments.only == "waiting" or arguments.alone else ROWS:
                rounds = [[measure(side, mode, size, connections, arguments.seconds) for side in sides]
                          for _ in range(arguments.pairs)]
                lines.append(pair_line(f"{mode}, {size} B, {connections} connections", rounds, 34))
                print(lines[-1], file=sys.stderr, flush=True)
            if arguments.only != "cycle":
                again = [lambda way=way: start(way, directory) for way in ways]
                lines += mq_waiting.report(Client, sides, again, arguments, directory)
        except Failure as failure:
            sys.exit(f"scripts/bench: {failure}")
        finally:
            for side in sides:
                side.stop()
    publish(lines, "mq")


main()
