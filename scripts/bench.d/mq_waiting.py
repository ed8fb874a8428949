"""What waits: latency at a fixed rate, a backlog's bytes on the disk and in memory, and the start after a crash.

Beside RabbitMQ 3.10, one broker after the other, so that neither disturbs the other.
"""

import os
import signal
import statistics
import struct
import threading
import time

from servers import Failure

SIZE = 100


def latency(make_client, side, rate, seconds, turn):
    """End to end, persistent: from the moment when a message is written to the moment when it is read (ms)."""
    client = make_client(side.port, f"latency-{turn}", True, SIZE)
    pause, times, sent = 10 / rate, [], []
    one = client.batch[:len(client.batch) // 100]
    count = int(rate * seconds / 10) * 10

    def publish():
        start = time.monotonic()
        for number in range(count // 10):
            wait = start + number * pause - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            now = time.monotonic()
            sent.extend([now] * 10)
            client.say(one * 10)

    thread = threading.Thread(target=publish)
    thread.start()
    while len(times) < count:
        tag = 0
        for kind, channel, payload, _ in client.frames():
            if kind != 1 or channel != 2:
                continue
            tag = struct.unpack_from(">Q", payload, 5 + payload[4])[0]
            times.append((time.monotonic() - sent[len(times)]) * 1000)
        if tag:
            client.say(client.acknowledge(tag))
    thread.join()
    client.socket.close()
    times.sort()
    return [times[int(len(times) * share)] for share in (0.5, 0.99)]


def directory_bytes(path):
    """What its files take, sparse parts not counted."""
    return sum(file.stat().st_blocks * 512 for file in path.rglob("*") if file.is_file())


def fill(make_client, side, count, persistent=True):
    """So many confirmed messages that nobody consumes."""
    client = make_client(side.port, "backlog", persistent, SIZE, consumes=False)
    for begin in range(0, count, 10_000):
        batch = min(10_000, count - begin)
        client.publish_only(batch)
    client.socket.close()


def waiting(side, make_client, count, directory, restart):
    """Bytes a message on the disk and in memory, and seconds until a killed broker has all of them again."""
    before = side.memory_bytes()
    start = time.monotonic()
    fill(make_client, side, count)
    filled = time.monotonic() - start
    memory, disk = side.memory_bytes(), directory_bytes(directory)
    os.killpg(side.process.pid, signal.SIGKILL)
    side.process.wait()
    start = time.monotonic()
    again = restart()
    try:
        while True:
            if time.monotonic() - start > 300:
                raise Failure(f"{side.name} has not come back within 300 s")
            try:
                client = make_client(side.port, "backlog", True, SIZE, consumes=False)
            except (OSError, Failure):
                time.sleep(0.01)
                continue
            if client.waiting_count != count:
                raise Failure(f"{side.name} has {client.waiting_count} messages of {count} after the crash")
            return {
                "fill": filled, "disk": disk / count, "memory": (memory - before) / count, "total": memory,
                "start": time.monotonic() - start, "again": again.memory_bytes(),
            }
    finally:
        again.stop()


def report(make_client, sides, starts, arguments, directory):
    """The lines of the report."""
    lines = []
    for side in sides:
        rows = [latency(make_client, side, arguments.rate, arguments.seconds, turn)
                for turn in range(3)]
        half, most = (statistics.median(column) for column in zip(*rows))
        lines.append(f"latency at {arguments.rate}/s, persistent, {SIZE} B: {side.name} p50 {half:.2f} ms, p99 {most:.2f} ms")
        print(lines[-1], flush=True)
    for side, start in zip(sides, starts):
        found = waiting(side, make_client, arguments.waiting, directory / side.place, start)
        lines.append(
            f"{arguments.waiting} waiting, persistent, {SIZE} B: {side.name} {found['disk']:.0f} B on the disk each, "
            f"{found['total'] / 1e6:.0f} MB in memory ({found['memory']:.0f} B each), killed and back after "
            f"{found['start']:.2f} s with {found['again'] / 1e6:.0f} MB; filled in {found['fill']:.0f} s")
        print(lines[-1], flush=True)
    return lines
