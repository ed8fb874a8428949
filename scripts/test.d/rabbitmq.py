#!/usr/bin/env python3
"""The lab's broker beside RabbitMQ 3.10: the same random methods to both, and after each of them the same answers,
deliveries, returns, confirms, close codes and texts, and the same numbers of messages and consumers in each queue.

    scripts/test.d/rabbitmq.py PROGRAM [--seed N] [--seconds N] [--steps N] [--shrink]

Each round has a seed, some connections with some channels, and names of its own. After each step both brokers are
waited for until they have nothing more to say. A difference is shown with the seed and all steps that led to it;
`--shrink` leaves out those that do not matter. Status 0: no difference.

What is not compared: `connection.start` (it describes the broker), tags and names that a broker makes up, the time in
`x-death`, how confirms are put together, and the order of deliveries from different queues to one channel, which is by
chance in RabbitMQ. What the lab has beyond RabbitMQ 3.10's classic queues (limits of deliveries, consumers' timeouts,
groups) is left out.
"""

import argparse
import collections
import pathlib
import random
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "bench.d"))
from amqp import Connection, PATIENCE, content, method  # noqa: E402
from brokers import commands  # noqa: E402
from servers import Failure, Server  # noqa: E402

CONNECTIONS, CHANNELS, HIDDEN = 3, 2, 99
QUEUES = ["q0", "q1", "q2", "q3"]
EXCHANGES = ["e0", "e1", "e2"]
KEYS = ["a", "a.b", "b.a.c", "#", "a.*", "q0", "q1", ""]
SHORT_TTL = 40
NO_WAIT = {"exchange.declare": 16, "queue.declare": 16, "queue.bind": 1, "queue.purge": 1, "queue.delete": 4,
           "exchange.delete": 2, "exchange.bind": 1, "exchange.unbind": 1, "basic.consume": 8, "basic.cancel": 1,
           "confirm.select": 1}
BITS_AT = {"exchange.declare": 3, "queue.declare": 2, "queue.bind": 4, "queue.purge": 2, "queue.delete": 2,
           "exchange.delete": 2, "exchange.bind": 4, "exchange.unbind": 4, "basic.consume": 3, "basic.cancel": 1,
           "confirm.select": 0}


class Difference(Exception):
    """The brokers do not agree; the text says in what."""


class Side:
    """One broker, and the clients that it has in this round."""

    def __init__(self, name, port, prefix):
        self.name, self.port, self.prefix = name, port, prefix
        self.connections = [self.connect(CHANNELS) for _ in range(CONNECTIONS)]
        self.control = self.connect()
        self.unacked = collections.defaultdict(dict)
        self.given_back = collections.defaultdict(dict)
        self.seen = collections.Counter()
        self.silent = {}
        self.published, self.confirmed = collections.Counter(), collections.defaultdict(set)

    def connect(self, channels=0):
        connection = Connection(self.port)
        for number in [*range(1, channels + 1), HIDDEN]:
            connection.open_channel(number)
            connection.until(number, "channel.open-ok")
        connection.take()
        return connection

    def forget(self, index, channel=None):
        for table in (self.unacked, self.given_back, self.published, self.confirmed):
            for place in [place for place in table if place[0] == index and channel in (None, place[1])]:
                del table[place]

    def close(self):
        for connection in [*self.connections, self.control]:
            connection.end()

    def names(self, values):
        return [self.name_of(value) for value in values]

    def name_of(self, value):
        if isinstance(value, dict):
            return {key: self.name_of(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.name_of(item) for item in value]
        return self.prefix + value if value in QUEUES or value in EXCHANGES else value

    def plain(self, value):
        """Without what is this round's."""
        if isinstance(value, str):
            return value.replace(self.prefix, "")
        if isinstance(value, bytes):
            return value.replace(self.prefix.encode(), b"")
        if isinstance(value, dict):
            return {key: self.plain(item) for key, item in value.items() if key != "time"}
        if isinstance(value, (list, tuple)):
            return [self.plain(item) for item in value]
        return value

    def counts(self, queues):
        """Messages and consumers of each queue, asked by somebody who may; asking waits for what is under way."""
        found = {}
        for queue, owner in sorted(queues.items()):
            connection = self.control if owner is None else self.connections[owner]
            if connection.is_over:
                continue
            kept, connection.events[HIDDEN] = connection.events.get(HIDDEN, []), []
            connection.say(HIDDEN, "queue.declare", 0, self.prefix + queue, 1, {})
            connection.until(HIDDEN, "queue.declare-ok")
            for name, values in connection.events.pop(HIDDEN, []):
                if name == "queue.declare-ok":
                    found[queue] = values[1:]
                elif name == "channel.close":
                    found[queue] = self.plain(values[:2])
                    connection.open_channel(HIDDEN)
                    connection.until(HIDDEN, "channel.open-ok")
            connection.events[HIDDEN] = [event for event in kept if event[0] != "channel.open-ok"]
        return found

    def settle(self, queues, place, answer):
        """Waits until nothing more comes, and says what has."""
        for _ in range(3):
            for connection in self.connections:
                connection.barrier()
            counts = self.counts(queues)
        for connection in self.connections:
            connection.barrier()
        if answer:
            # A commit is answered when its messages are safe, whatever else is said meanwhile.
            connection = self.connections[place[0]]
            deadline = time.monotonic() + PATIENCE
            while (not connection.is_over and place[1] in connection.channels and time.monotonic() < deadline
                    and not any(connection.has(place[1], name) for name in answer)):
                connection.receive(0.1)
        for (index, channel), count in list(self.published.items()):
            self.await_confirms(index, channel, count)
        return counts, [self.describe(index, channel, events) for index, connection in enumerate(self.connections)
                        for channel, events in sorted(connection.take().items())]

    def await_confirms(self, index, channel, count):
        connection = self.connections[index]
        deadline = time.monotonic() + PATIENCE
        while channel in connection.channels and time.monotonic() < deadline:
            open_tags = set(range(1, count + 1)) - self.confirmed[index, channel]
            for event in connection.events.get(channel, []):
                if event[0] in ("basic.ack", "basic.nack"):
                    tag, multiple = event[1][0], event[1][1] & 1
                    open_tags -= {tag} if not multiple else {other for other in open_tags if other <= tag}
            if not open_tags:
                return
            connection.receive(0.1)

    def describe(self, index, channel, events):
        """What came on a channel, put so that it can be compared."""
        said = {"at": (index, channel), "answers": [], "returns": [], "acks": set(), "nacks": set(), "deliveries": {}}
        place = (index, channel)
        for name, values, *rest in events:
            if name in ("basic.ack", "basic.nack"):
                tag, multiple = values[0], values[1] & 1
                tags = {tag} if not multiple else set(range(1, tag + 1)) - self.confirmed[place]
                self.confirmed[place] |= tags
                said["acks" if name == "basic.ack" else "nacks"] |= tags
            elif name == "basic.deliver":
                source, tag = values[0], values[1]
                said["deliveries"].setdefault(source, []).append(self.plain([values[2:], *rest]))
                if not self.silent.get((place, source)):
                    self.hold(place, source, tag, rest[1])
            elif name == "basic.return":
                said["returns"].append(self.plain([values, *rest]))
            elif name == "basic.get-ok":
                said["answers"].append(self.plain([name, values[1:], *rest]))
                if not self.silent.get((place, "get")):
                    self.hold(place, "get", values[0], rest[1])
            else:
                said["answers"].append(self.plain([name, values, *rest]))
        if any(event[0] in ("channel.close", "channel.close-ok") for event in events):
            self.forget(index, channel)
        return said

    def hold(self, place, source, tag, body):
        self.seen[place, source, body] += 1
        self.unacked[place][tag] = (source, body, self.seen[place, source, body])


class Round:
    """A seed's steps on both sides."""

    def __init__(self, ports, seed, tries=0):
        self.random, self.seed = random.Random(seed), seed
        self.sides = [Side(name, port, f"r{seed}.{tries}.") for name, port in ports]
        self.queues, self.has_short_ttl, self.steps, self.number = {}, False, [], 0
        self.modes = {}

    def close(self):
        for side in self.sides:
            for queue in QUEUES:
                side.control.say(HIDDEN, "queue.delete", 0, side.prefix + queue, 0)
            for exchange in EXCHANGES:
                side.control.say(HIDDEN, "exchange.delete", 0, side.prefix + exchange, 0)
            try:
                side.control.barrier()
            except TimeoutError:
                pass
            side.close()

    # Steps: a word, the connection, the channel, and what the word needs.

    def choose(self):
        pick = self.random.choice
        index, channel = self.random.randrange(CONNECTIONS), 1 + self.random.randrange(CHANNELS)
        if channel not in self.sides[0].connections[index].channels:
            return ("open", index, channel)
        chance = self.random.random()
        place = (index, channel)
        if chance < 0.30:
            return ("publish", *place, *self.message())
        if chance < 0.55 and self.sides[0].unacked[place]:
            keys = list(self.sides[0].unacked[place].values())
            return ("settle", *place, pick(keys), pick(["ack", "ack", "nack", "reject"]), pick([0, 0, 1]), pick([0, 1]))
        if chance < 0.58:
            return pick([("drop", index, 0), ("goodbye", index, 0), ("say", *place, "channel.close", [200, "", 0, 0])])
        return ("say", *place, *self.method())

    def message(self):
        pick = self.random.choice
        properties = {"delivery-mode": pick([1, 2])} if self.random.random() < 0.6 else {}
        if self.random.random() < 0.15:
            properties["expiration"] = pick(["0", str(SHORT_TTL), "60000", "x", "-1"])
        if self.random.random() < 0.2:
            properties["priority"] = pick([0, 1, 3, 200])
        if self.random.random() < 0.3:
            properties["headers"] = pick([{"k": 1}, {"k": "x", "l": True}, {"CC": ["q1"]}, {"BCC": ["q2", "a"]}, {"CC": "q1"}, {}])
        if self.random.random() < 0.02:
            properties["user-id"] = pick(["guest", "eve"])
        self.number += 1
        exchange = pick(["", "", *EXCHANGES, *EXCHANGES, "amq.default"] if self.random.random() < 0.2 else ["", *EXCHANGES])
        key = pick(QUEUES) if exchange == "" else pick(KEYS)
        return exchange, key, pick([0, 0, 1]) if self.random.random() < 0.99 else 2, properties, f"m{self.number}" + "x" * pick([0, 3, 20])

    def queue_arguments(self):
        pick = self.random.choice
        if self.random.random() < 0.4:
            return {}
        arguments = {}
        for _ in range(pick([1, 1, 2])):
            arguments |= pick([
                {"x-max-length": pick([0, 1, 2, 4])}, {"x-max-length": 2, "x-overflow": "reject-publish"},
                {"x-max-length": 1, "x-overflow": "reject-publish-dlx", "x-dead-letter-exchange": ""},
                {"x-max-length-bytes": pick([0, 8, 40])}, {"x-message-ttl": pick([0, SHORT_TTL, 60000])},
                {"x-dead-letter-exchange": pick(["", *EXCHANGES])},
                {"x-dead-letter-exchange": pick(["", *EXCHANGES]), "x-dead-letter-routing-key": pick([*QUEUES, "a.b"])},
                {"x-max-priority": pick([1, 3, 5])}, {"x-single-active-consumer": True}, {"x-expires": 60000},
                {"x-queue-mode": "lazy"}, {"x-queue-type": "classic"},
                pick([{"x-message-ttl": -1}, {"x-max-length": "a"}, {"x-unknown": 1}, {"x-max-priority": 300}, {"x-expires": 0},
                      {"x-max-length": -1}, {"x-overflow": "sideways"}, {"x-queue-type": "strange"}, {"x-max-priority": -1},
                      {"x-dead-letter-exchange": 5}, {"x-dead-letter-routing-key": "a"}, {"x-single-active-consumer": 1},
                      {"x-message-ttl": "soon"}, {"x-expires": "a"}, {"x-queue-mode": "fast"}, {"x-max-length-bytes": True}])])
        return arguments

    def method(self):
        pick, some = self.random.choice, self.random.random
        queue, exchange = pick(QUEUES), pick(EXCHANGES)
        wait = 0 if some() < 0.9 else 1
        near = pick([exchange] * 12 + ["", "amq.topic", "nowhere"])
        arguments = pick([{}, {}, {"x-match": "any", "k": 1}, {"x-match": "all", "k": 1, "l": True}, {"x-match": "most"}, {"k": "x"}])
        kinds = [
            (5, "queue.declare", [0, queue, pick([0, 0, 2, 2, 8, 10, 4, 6, 1]) | 16 * wait, self.queue_arguments()]),
            (4, "queue.bind", [0, queue, near, pick(KEYS), wait, arguments]),
            (1, "queue.unbind", [0, queue, near, pick(KEYS), arguments]),
            (1, "queue.purge", [0, queue, wait]), (1, "queue.delete", [0, queue, pick([0, 1, 2, 3]) | 4 * wait]),
            (4, "exchange.declare", [0, pick([exchange] * 9 + ["amq.fanout", "amq.mine", ""]), pick(
                ["direct", "fanout", "topic", "headers"] * 4 + ["foo"]), pick([0, 0, 2, 4, 8, 1]) | 16 * wait, pick(
                    [{}, {}, {}, {"alternate-exchange": pick(EXCHANGES)}, {"alternate-exchange": 1}])]),
            (1, "exchange.delete", [0, near, pick([0, 1]) | 2 * wait]),
            (2, "exchange.bind", [0, pick(EXCHANGES), near, pick(KEYS), wait, arguments]),
            (1, "exchange.unbind", [0, pick(EXCHANGES), near, pick(KEYS), wait, arguments]),
            (6, "basic.consume", [0, queue, pick(["c0", "c1", "c2"]), pick([0, 0, 0, 2, 4]) | 8 * wait, pick(
                [{}, {}, {}, {"x-priority": pick([1, 5, -1])}, {"x-priority": "high"}])]),
            (3, "basic.cancel", [pick(["c0", "c1", "c2"]), wait]), (4, "basic.get", [0, queue, pick([0, 0, 1])]),
            (2, "basic.qos", [pick([0] * 9 + [5]), pick([0, 1, 2, 5]), pick([0, 0, 1])]),
            (1, "confirm.select", [wait]), (0.4, "tx.select", []), (2, "tx.commit", []), (1, "tx.rollback", []),
            (1, "basic.recover", [pick([1] * 9 + [0])]), (0.1, "basic.recover-async", [1]),
            (0.1, "channel.flow", [0]), (0.1, "channel.open", [""]),
            (0.3, "basic.ack", [pick([0, 77]), pick([0, 1])]), (0.2, "basic.nack", [pick([0, 77]), pick([0, 1, 2, 3])]),
        ]
        _, name, values = self.random.choices(kinds, [kind[0] for kind in kinds])[0]
        return name, values

    def do(self, step):
        """Carries a step out on both sides, and compares."""
        self.steps.append(step)
        word, index, channel, *rest = step
        answer = []
        for side in self.sides:
            connection = side.connections[index]
            if word == "open":
                if channel in connection.channels:
                    return
                side.forget(index, channel)
                connection.open_channel(channel)
                answer = ["channel.open-ok"]
            elif word in ("drop", "goodbye"):
                if word == "goodbye":
                    connection.say(0, "connection.close", 200, "", 0, 0)
                    connection.until(0, "connection.close-ok")
                connection.end()
            elif channel not in connection.channels:
                return
            elif word == "publish":
                exchange, key, bits, properties, body = rest
                if self.modes.get((index, channel)) == "confirm":
                    side.published[index, channel] += 1
                connection.send(
                    method(channel, "basic.publish", 0, side.name_of(exchange), side.name_of(key), bits)
                    + content(channel, side.name_of(properties), body.encode()))
            elif word == "settle":
                if not self.settle_one(side, connection, (index, channel), *rest):
                    return
            else:
                name, values = rest
                answer = self.say(side, connection, (index, channel), name, values)
        if word in ("open", "drop", "goodbye"):
            for place in [place for place in self.modes if place[0] == index and channel in (0, place[1])]:
                del self.modes[place]
        self.note_names(step)
        self.compare(step, answer)

    def say(self, side, connection, place, name, values):
        side.silent.update({} if name != "basic.consume" else {(place, values[2]): values[3] & 2})
        if name == "basic.get":
            side.silent[place, "get"] = values[2]
        if name in ("basic.recover", "basic.recover-async") and values[0]:
            side.unacked[place].clear()
        if name == "tx.rollback":
            side.unacked[place] = dict(sorted((side.unacked[place] | side.given_back[place]).items()))
        if name in ("tx.rollback", "tx.commit"):
            side.given_back[place].clear()
        connection.say(place[1], name, *side.names(values))
        if name == "channel.close":
            connection.until(place[1], "channel.close-ok")
        if name in ("basic.ack", "basic.nack", "basic.recover-async"):
            if values[1:] and values[1] & 1 and values[0] == 0:
                self.take_out(side, place, list(side.unacked[place]))
            return []
        if name in NO_WAIT and values[BITS_AT[name]] & NO_WAIT[name]:
            return []
        return ["basic.get-ok", "basic.get-empty"] if name == "basic.get" else [name + "-ok"]

    def take_out(self, side, place, tags):
        for tag in tags:
            key = side.unacked[place].pop(tag)
            if self.modes.get(place) == "tx":
                side.given_back[place][tag] = key

    def settle_one(self, side, connection, place, key, verb, multiple, requeue):
        """Acknowledges or gives back the delivery that has this key, by the number that this side gave it."""
        both = [list(other.unacked[place].values()) for other in self.sides]
        if side is self.sides[0] and (key not in both[0] or sorted(both[0]) != sorted(both[1])):
            if key not in both[0]:
                return False
            raise Difference(f"unacknowledged: {both[0]} and {both[1]}")
        # The numbers of deliveries from different queues may differ: then one at a time.
        if side is self.sides[0]:
            self.is_multiple = multiple and both[0] == both[1]
        tag = next(tag for tag, other in side.unacked[place].items() if other == key)
        gone = [other for other in side.unacked[place] if other <= tag] if self.is_multiple and verb != "reject" else [tag]
        self.take_out(side, place, gone)
        if verb == "ack":
            connection.say(place[1], "basic.ack", tag, self.is_multiple)
        elif verb == "nack":
            connection.say(place[1], "basic.nack", tag, self.is_multiple | requeue << 1)
        else:
            connection.say(place[1], "basic.reject", tag, requeue)
        return True

    def note_names(self, step):
        word, index, channel, *rest = step
        if word == "say" and rest[0] == "queue.declare":
            _, queue, bits, arguments = rest[1]
            if queue not in self.queues:
                self.queues[queue] = index if bits & 4 and not bits & 1 else None
            self.has_short_ttl |= arguments.get("x-message-ttl") == SHORT_TTL
        if word == "publish" and rest[3].get("expiration") == str(SHORT_TTL):
            self.has_short_ttl = True

    def compare(self, step, answer):
        if self.has_short_ttl:
            time.sleep(2.5 * SHORT_TTL / 1000)
        place = step[1:3]
        found = []
        for side in self.sides:
            counts, said = side.settle(self.queues, place, answer)
            found.append({"counts": counts, "said": said})
        one, two = found
        for index in range(CONNECTIONS):
            over = [side.connections[index].is_over or any(
                event["at"] == (index, 0) for event in saying["said"]) for side, saying in zip(self.sides, found)]
            if any(over):
                for side in self.sides:
                    side.connections[index].end()
                    side.connections[index] = side.connect(CHANNELS)
                    side.forget(index)
                for number in range(1, CHANNELS + 1):
                    self.modes.pop((index, number), None)
                self.queues = {queue: owner for queue, owner in self.queues.items() if owner != index}
        if one != two:
            lines = [f"{name}: {saying}" for name, saying in zip([side.name for side in self.sides], found)]
            raise Difference("\n".join(lines))
        # A queue that was asked for and is not there is not asked for again; one whose owner is another has its counts.
        for queue, count in one["counts"].items():
            if count[0] == 404:
                del self.queues[queue]
        self.note_answers(one["said"])

    def note_answers(self, said):
        for saying in said:
            place = saying["at"]
            for answer in saying["answers"]:
                if answer[0] == "confirm.select-ok":
                    self.modes[place] = "confirm"
                elif answer[0] == "tx.select-ok":
                    self.modes[place] = "tx"
                elif answer[0] in ("channel.close", "channel.close-ok"):
                    self.modes.pop(place, None)


def play(ports, seed, steps=None, count=150, tries=0):
    """A round; returns the difference, and its steps."""
    game = Round(ports, seed, tries)
    try:
        for step in steps if steps is not None else range(count):
            game.do(step if steps is not None else game.choose())
    except (Difference, TimeoutError) as difference:
        return str(difference) or "a time-out", game.steps
    finally:
        game.close()
    return None, game.steps


def shrink(ports, seed, steps):
    """Leaves out what does not matter."""
    tries, size = 0, len(steps) // 2
    while size > 0:
        place = 0
        while place < len(steps):
            tries += 1
            fewer = steps[:place] + steps[place + size:]
            text, done = play(ports, seed, fewer, tries=tries)
            if text:
                steps = done
            else:
                place += size
        size //= 2
    return play(ports, seed, steps, tries=tries + 1)


def wait(server):
    deadline = time.monotonic() + 90
    while True:
        try:
            return Connection(server.port).end()
        except (OSError, KeyError) as error:
            if time.monotonic() > deadline or server.process.poll() is not None:
                raise Failure(f"{server.name} does not answer: {error}") from error
            time.sleep(0.2)


def main():
    parser = argparse.ArgumentParser(prog="scripts/test.d/rabbitmq.py")
    parser.add_argument("program")
    parser.add_argument("--seed", type=int, default=1, help="of the first round (1)")
    parser.add_argument("--seconds", type=float, default=60, help="after which no more rounds begin (60)")
    parser.add_argument("--steps", type=int, default=150, help="of a round (150)")
    parser.add_argument("--differences", type=int, default=1, help="after which it ends (1)")
    parser.add_argument("--shrink", action="store_true", help="show only the steps that matter")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sdlab-rabbitmq-") as name:
        directory, servers = pathlib.Path(name), []
        try:
            for side, command, port, _ in commands(arguments.program, directory):
                servers.append(Server(side, command, port, directory / f"{side}.log"))
            for server in servers:
                wait(server)
            ports = [(server.name, server.port) for server in servers]
            seed, began, total, differences = arguments.seed, time.monotonic(), 0, 0
            while time.monotonic() - began < arguments.seconds or seed == arguments.seed:
                text, steps = play(ports, seed, count=arguments.steps)
                if text:
                    if arguments.shrink:
                        text, steps = shrink(ports, seed, steps)
                    print(f"seed {seed}: they differ after {len(steps)} steps:\n"
                          + "\n".join(map(str, steps)) + f"\n{text}", flush=True)
                    differences += 1
                    if differences == arguments.differences:
                        break
                seed, total = seed + 1, total + len(steps)
            if differences:
                sys.exit(1)
            print(f"seeds {arguments.seed} to {seed - 1}, {total} steps: no difference")
        finally:
            for server in servers:
                server.stop()


main()
