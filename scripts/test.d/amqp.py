"""AMQP 0-9-1 as it goes over the wire, for tests that compare brokers: every frame that comes is seen as it is.

    peer = Connection(port)
    peer.open_channel(1)
    peer.say(1, queue_declare('q'))
    peer.settle()
    peer.take()          # {1: [('queue.declare-ok', {...})]}

Nothing is checked on the way out, so that a test may say what a client's library would refuse to say.
"""

import socket
import struct
import time

PATIENCE = 5.0
# Class and method: its name, and its arguments: s short text, l long text, o octet, h two bytes, w four, q eight,
# b a byte of bits, t a table.
METHODS = {
    (10, 10): ("connection.start", "ootll"), (10, 11): ("connection.start-ok", "tsls"),
    (10, 30): ("connection.tune", "hwh"), (10, 31): ("connection.tune-ok", "hwh"),
    (10, 40): ("connection.open", "ssb"), (10, 41): ("connection.open-ok", "s"),
    (10, 50): ("connection.close", "hshh"), (10, 51): ("connection.close-ok", ""),
    (10, 60): ("connection.blocked", "s"), (10, 61): ("connection.unblocked", ""),
    (20, 10): ("channel.open", "s"), (20, 11): ("channel.open-ok", "l"), (20, 20): ("channel.flow", "b"),
    (20, 21): ("channel.flow-ok", "b"), (20, 40): ("channel.close", "hshh"), (20, 41): ("channel.close-ok", ""),
    (40, 10): ("exchange.declare", "hssbt"), (40, 11): ("exchange.declare-ok", ""),
    (40, 20): ("exchange.delete", "hsb"), (40, 21): ("exchange.delete-ok", ""),
    (40, 30): ("exchange.bind", "hsssbt"), (40, 31): ("exchange.bind-ok", ""),
    (40, 40): ("exchange.unbind", "hsssbt"), (40, 51): ("exchange.unbind-ok", ""),
    (50, 10): ("queue.declare", "hsbt"), (50, 11): ("queue.declare-ok", "sww"),
    (50, 20): ("queue.bind", "hsssbt"), (50, 21): ("queue.bind-ok", ""),
    (50, 30): ("queue.purge", "hsb"), (50, 31): ("queue.purge-ok", "w"),
    (50, 40): ("queue.delete", "hsb"), (50, 41): ("queue.delete-ok", "w"),
    (50, 50): ("queue.unbind", "hssst"), (50, 51): ("queue.unbind-ok", ""),
    (60, 10): ("basic.qos", "whb"), (60, 11): ("basic.qos-ok", ""),
    (60, 20): ("basic.consume", "hssbt"), (60, 21): ("basic.consume-ok", "s"),
    (60, 30): ("basic.cancel", "sb"), (60, 31): ("basic.cancel-ok", "s"),
    (60, 40): ("basic.publish", "hssb"), (60, 50): ("basic.return", "hsss"), (60, 60): ("basic.deliver", "sqbss"),
    (60, 70): ("basic.get", "hsb"), (60, 71): ("basic.get-ok", "qbssw"), (60, 72): ("basic.get-empty", "s"),
    (60, 80): ("basic.ack", "qb"), (60, 90): ("basic.reject", "qb"), (60, 120): ("basic.nack", "qb"),
    (60, 100): ("basic.recover-async", "b"), (60, 110): ("basic.recover", "b"), (60, 111): ("basic.recover-ok", ""),
    (85, 10): ("confirm.select", "b"), (85, 11): ("confirm.select-ok", ""),
    (90, 10): ("tx.select", ""), (90, 11): ("tx.select-ok", ""), (90, 20): ("tx.commit", ""),
    (90, 21): ("tx.commit-ok", ""), (90, 30): ("tx.rollback", ""), (90, 31): ("tx.rollback-ok", ""),
}
NUMBERS = {name: (number, arguments) for number, (name, arguments) in METHODS.items()}
FORMS = {"o": ">B", "b": ">B", "h": ">H", "w": ">I", "q": ">Q"}
PROPERTIES = [("content-type", "s"), ("content-encoding", "s"), ("headers", "t"), ("delivery-mode", "o"),
              ("priority", "o"), ("correlation-id", "s"), ("reply-to", "s"), ("expiration", "s"), ("message-id", "s"),
              ("timestamp", "q"), ("type", "s"), ("user-id", "s"), ("app-id", "s"), ("cluster-id", "s")]
VALUES = {"t": ">?", "b": ">b", "B": ">B", "s": ">h", "u": ">H", "I": ">i", "i": ">I", "l": ">q", "f": ">f", "d": ">d",
          "T": ">Q"}


def encode_value(value):
    if isinstance(value, bool):
        return b"t" + bytes([value])
    if isinstance(value, int):
        return b"I" + struct.pack(">i", value) if abs(value) < 1 << 31 else b"l" + struct.pack(">q", value)
    if isinstance(value, str):
        return b"S" + struct.pack(">I", len(value.encode())) + value.encode()
    if isinstance(value, list):
        body = b"".join(encode_value(item) for item in value)
        return b"A" + struct.pack(">I", len(body)) + body
    if isinstance(value, dict):
        return b"F" + encode_table(value)
    return b"V"


def encode_table(table):
    body = b"".join(bytes([len(name.encode())]) + name.encode() + encode_value(value) for name, value in table.items())
    return struct.pack(">I", len(body)) + body


def encode(arguments, values):
    out = b""
    for kind, value in zip(arguments, values):
        if kind == "s":
            out += bytes([len(value.encode())]) + value.encode()
        elif kind == "l":
            out += struct.pack(">I", len(value)) + value
        elif kind == "t":
            out += encode_table(value)
        else:
            out += struct.pack(FORMS[kind], value)
    return out


class Reader:
    """Values one after the other; those of tables with the letter of their type, since that is to be the same, too."""

    def __init__(self, data):
        self.data, self.place = data, 0

    def number(self, form):
        value, = struct.unpack_from(form, self.data, self.place)
        self.place += struct.calcsize(form)
        return value

    def bytes(self, form):
        count = self.number(form)
        self.place += count
        return self.data[self.place - count:self.place]

    def table(self):
        inner, fields = Reader(self.bytes(">I")), {}
        while inner.place < len(inner.data):
            name = inner.bytes(">B").decode()
            fields[name] = inner.value()
        return fields

    def value(self):
        kind = chr(self.number(">B"))
        if kind in VALUES:
            return (kind, self.number(VALUES[kind]))
        if kind in "Sx":
            return (kind, self.bytes(">I"))
        if kind == "F":
            return (kind, self.table())
        if kind == "A":
            inner, items = Reader(self.bytes(">I")), []
            while inner.place < len(inner.data):
                items.append(inner.value())
            return (kind, items)
        return (kind, None)

    def arguments(self, kinds):
        for kind in kinds:
            if kind == "s":
                yield self.bytes(">B").decode()
            elif kind == "l":
                yield self.bytes(">I")
            elif kind == "t":
                yield self.table()
            else:
                yield self.number(FORMS[kind])

    def properties(self):
        flags, found = self.number(">H"), {}
        for index, (name, kind) in enumerate(PROPERTIES):
            if flags & (1 << (15 - index)):
                found[name], = self.arguments(kind)
        return found


def frame(kind, channel, payload):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def method(channel, name, *values):
    number, arguments = NUMBERS[name]
    return frame(1, channel, struct.pack(">HH", *number) + encode(arguments, values))


def content(channel, properties, body):
    flags, out = 0, b""
    for index, (name, kind) in enumerate(PROPERTIES):
        if name in properties:
            flags |= 1 << (15 - index)
            out += encode(kind, [properties[name]])
    data = frame(2, channel, struct.pack(">HHQH", 60, 0, len(body), flags) + out)
    return data + (frame(3, channel, body) if body else b"")


class Connection:
    """A client's connection. Channels that the broker closes are closed here as well, as every client does it."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer, self.events, self.partial = b"", {}, {}
        self.channels, self.is_over = set(), False
        self.socket.sendall(b"AMQP\x00\x00\x09\x01")
        self.until(0, "connection.start")
        can = {"capabilities": {"consumer_cancel_notify": True, "basic.nack": True, "authentication_failure_close": True}}
        self.say(0, "connection.start-ok", can, "PLAIN", b"\0guest\0guest", "en_US")
        self.until(0, "connection.tune")
        self.say(0, "connection.tune-ok", 2047, 131072, 0)
        self.say(0, "connection.open", "/", "", 0)
        self.until(0, "connection.open-ok")
        self.take()

    def open_channel(self, number):
        self.say(number, "channel.open", "")
        self.channels.add(number)

    def say(self, channel, name, *values):
        self.send(method(channel, name, *values))

    def send(self, data):
        if not self.is_over:
            try:
                self.socket.sendall(data)
            except OSError:
                self.end()

    def end(self):
        self.is_over = True
        self.channels.clear()
        self.socket.close()

    def note(self, channel, *event):
        self.events.setdefault(channel, []).append(event)

    def receive(self, patience=PATIENCE):
        """Takes in what comes next; False if nothing does."""
        if self.is_over:
            return False
        self.socket.settimeout(patience)
        try:
            data = self.socket.recv(1 << 20)
        except TimeoutError:
            return False
        except OSError:
            data = b""
        if not data:
            self.note(0, "end of stream", {})
            self.end()
            return False
        self.buffer += data
        place = 0
        while len(self.buffer) - place >= 7:
            kind, channel, size = struct.unpack_from(">BHI", self.buffer, place)
            if len(self.buffer) - place < size + 8:
                break
            self.frame(kind, channel, self.buffer[place + 7:place + 7 + size])
            place += size + 8
        self.buffer = self.buffer[place:]
        return True

    def frame(self, kind, channel, payload):
        if kind == 1:
            number = struct.unpack_from(">HH", payload)
            name, arguments = METHODS[number]
            values = list(Reader(payload[4:]).arguments(arguments))
            if name in ("basic.deliver", "basic.get-ok", "basic.return"):
                self.partial[channel] = [name, values, None, None, b""]
                return
            self.note(channel, name, values)
            if name == "channel.close":
                self.channels.discard(channel)
                self.say(channel, "channel.close-ok")
            elif name == "channel.close-ok":
                self.channels.discard(channel)
            elif name == "connection.close":
                self.say(0, "connection.close-ok")
        elif kind in (2, 3):
            message = self.partial[channel]
            if kind == 2:
                message[2], = struct.unpack_from(">Q", payload, 4)
                message[3] = Reader(payload[12:]).properties()
            else:
                message[4] += payload
            if len(message[4]) == message[2]:
                name, values, _, properties, body = self.partial.pop(channel)
                self.note(channel, name, values, properties, body)

    def has(self, channel, name):
        return any(event[0] == name for event in self.events.get(channel, []))

    def until(self, channel, name, patience=PATIENCE):
        """Waits for such an answer; False if the channel or the connection ends before."""
        deadline = time.monotonic() + patience
        while not self.has(channel, name):
            if self.is_over or time.monotonic() > deadline:
                return False
            if channel and channel not in self.channels:
                return False
            self.receive(max(0.01, deadline - time.monotonic()))
        return True

    def barrier(self):
        """Waits until every channel has dealt with all that was said on it."""
        before = {number: self.count(number, "channel.flow-ok") for number in self.channels}
        for number in before:
            self.say(number, "channel.flow", 1)
        for number, count in before.items():
            deadline = time.monotonic() + PATIENCE
            while number in self.channels and self.count(number, "channel.flow-ok") == count:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"channel {number} says nothing any more")
                self.receive(max(0.01, deadline - time.monotonic()))

    def count(self, channel, name):
        return sum(event[0] == name for event in self.events.get(channel, []))

    def take(self):
        """What has come since the last time, by channel."""
        events, self.events = self.events, {}
        return {number: kept for number, list_ in events.items()
                if (kept := [event for event in list_ if event[0] != "channel.flow-ok"])}
