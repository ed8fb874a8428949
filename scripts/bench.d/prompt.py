"""What a person at the prompt waits for, measured from outside through a pseudo terminal.

  echo      from a key to its echo, with 20 nodes busy and 10,000 lines a second above the line
  complete  from Tab to the first page of 10,000 keys
  paste     from the first byte of a paste to its last line on the screen, and until it has run
  top       processor time of one repaint of `top` with 1,000 nodes
  export    100,000 events of the journal as a page
"""

import fcntl
import os
import pathlib
import pty
import re
import select
import signal
import statistics
import struct
import sys
import tempfile
import termios
import time

from servers import Failure, die_with_parent, occasion, options, publish

DEADLINE_SECONDS = 60
CONTROL_C, CONTROL_U, CONTROL_D = b"\x03", b"\x15", b"\x04"
PASTE_BEGIN, PASTE_END = b"\x1b[200~", b"\x1b[201~"
PROMPT = re.compile(rb"sdlab(\x1b\[0m)?\[[^\]]*\]> (\x1b\[K)?$")


class Terminal:
    """The program on a terminal of its own."""

    def __init__(self, program, *arguments):
        self.home = tempfile.TemporaryDirectory(prefix="sdlab-bench-")
        self.process, self.master = pty.fork()
        if self.process == 0:
            die_with_parent()
            environment = {"HOME": self.home.name, "TERM": "xterm", "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"}
            os.execve(program, [program, *arguments], environment)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        os.set_blocking(self.master, False)
        self.received = bytearray()
        self.wait_for_prompt()

    def close(self):
        try:
            os.kill(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)
        except OSError:
            pass
        os.close(self.master)
        self.home.cleanup()

    def receive(self, seconds):
        if not select.select([self.master], [], [], max(0, seconds))[0]:
            return False
        try:
            data = os.read(self.master, 1 << 16)
        except OSError as error:
            raise Failure(f"the program has ended: {self.tail()}") from error
        self.received += data
        return True

    def tail(self):
        return bytes(self.received[-2000:]).decode(errors="replace")

    def type(self, data):
        """Writes all of it, and reads meanwhile: the terminal's buffers are small."""
        rest = memoryview(data)
        while rest:
            readable, writable, _ = select.select([self.master], [self.master], [], DEADLINE_SECONDS)
            if readable:
                self.receive(0)
            if writable:
                try:
                    rest = rest[os.write(self.master, rest[:4096]):]
                except BlockingIOError:
                    pass

    def wait(self, found, what):
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not found(self.received):
            if not self.receive(deadline - time.monotonic()):
                raise Failure(f"{what} never came: {self.tail()}")

    def wait_for(self, text, what=None):
        self.wait(lambda received: text in received, what or text.decode(errors="replace"))

    def wait_for_prompt(self):
        self.wait(lambda received: PROMPT.search(bytes(received[-200:])), "the prompt")

    def drain(self, seconds):
        """Reads what comes in that time, and forgets it."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.receive(deadline - time.monotonic())
        self.received.clear()

    def run(self, line):
        self.received.clear()
        self.type(line.encode() + b"\r")
        self.wait(lambda received: b"\n" in received, "the echo")
        self.wait_for_prompt()

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def milliseconds(values):
    return f"p50 {percentile(values, 0.5) * 1e3:.2f}, p95 {percentile(values, 0.95) * 1e3:.2f}, " \
        f"worst {max(values) * 1e3:.2f} ms"


def echo(program, keys):
    """Each key is a character that stands nowhere else, so that its first appearance is its echo."""
    terminal = Terminal(program, "--net", "memory")
    try:
        terminal.run("spawn 20 backend --port 8081")
        for number in range(20):
            terminal.run(f"while true; do curl -s http://localhost:{8081 + number}/ > /dev/null; sleep 20ms; done &")
        terminal.run("while true; do seq 100; sleep 10ms; done &")
        before = time.monotonic()
        lines = 0
        terminal.received.clear()
        while time.monotonic() - before < 2:
            terminal.receive(0.1)
            lines += terminal.received.count(b"\n")
            terminal.received.clear()
        rate = lines / (time.monotonic() - before)
        times = []
        for number in range(keys):
            if number % 30 == 0:
                terminal.type(CONTROL_U + b"echo ")
                terminal.drain(0.1)
            character = chr(0x4E00 + number).encode()
            begin = time.monotonic()
            terminal.type(character)
            terminal.wait_for(character)
            times.append(time.monotonic() - begin)
            terminal.drain(0.02)
        return [f"echo      {milliseconds(times)} of {keys} keys, 20 nodes busy, {rate:,.0f} lines/s (p95 < 5 ms)"]
    finally:
        terminal.close()


def complete(program, rounds):
    terminal = Terminal(program, "--net", "memory")
    try:
        terminal.run("lsm-kv --data-dir d --port 6379")
        terminal.run("kv-bench --writes 10000 --sequential > /dev/null")
        times = []
        for _ in range(rounds):
            terminal.type(CONTROL_U + b"kv-cli GET key:00000000")
            terminal.drain(0.1)
            begin = time.monotonic()
            terminal.type(b"\t")
            terminal.wait_for(b" of 10000; Tab", "a page of 10,000 keys")
            times.append(time.monotonic() - begin)
            # Another word between, or the next Tab would show the next page.
            terminal.type(b"x")
            terminal.drain(0.05)
        return [f"complete  {milliseconds(times)} of {rounds} times, 10,000 keys (< 20 ms)"]
    finally:
        terminal.close()


def paste(program, size, rounds, goal):
    shown, ran = [], []
    for _ in range(rounds):
        terminal = Terminal(program, "--net", "memory")
        try:
            line = b"# " + b"x" * 97 + b"\r"
            last = b"echo the-$((1+1))nd-of-it"
            text = (line * (size // len(line) + 1))[: size - len(last) - 1]
            text = text[: text.rindex(b"\r") + 1] + last
            terminal.received.clear()
            begin = time.monotonic()
            terminal.type(PASTE_BEGIN + text + PASTE_END)
            terminal.wait_for(b"nd-of-it", "the last line of the paste")
            shown.append(time.monotonic() - begin)
            begin = time.monotonic()
            terminal.type(b"\r")
            terminal.wait_for(b"the-2nd-of-it", "what the paste prints")
            ran.append(time.monotonic() - begin)
        finally:
            terminal.close()
    return [
        f"paste     {size:,} bytes: shown after {statistics.median(shown) * 1e3:.0f} ms, run in "
        f"{statistics.median(ran) * 1e3:.0f} ms more (together < {goal} ms)"]


def top(program, repaints):
    terminal = Terminal(program, "--net", "memory", "--clock", "virtual")
    try:
        terminal.run("spawn 1000 backend --port 20000")
        before = terminal.cpu_seconds()
        terminal.run(f"watch {repaints} 1s top")
        used = terminal.cpu_seconds() - before
        return [f"top       {used / repaints * 1e3:.1f} ms of processor time a repaint with 1,000 nodes (< 16 ms)"]
    finally:
        terminal.close()


def export(program, events):
    """From the command to the prompt; the page has to be there."""
    terminal = Terminal(program, "--net", "memory", "--clock", "virtual")
    try:
        terminal.run("backend --port 8081 &")
        # A request is about ten events: connections, messages, what the command is and how it ends.
        terminal.run(f"for i in {{1..{events // 10}}}; do curl -s http://localhost:8081/ > /dev/null; done")
        page = pathlib.Path(terminal.home.name) / "run.html"
        begin = time.monotonic()
        terminal.run(f"export {page}")
        took = time.monotonic() - begin
        if not page.exists():
            return [f"export    there is no page: {terminal.tail().strip().splitlines()[0]}"]
        return [f"export    {took:.2f} s, {page.stat().st_size / 1e6:.2f} MB, about {events:,} events (< 2 s, < 2 MB)"]
    finally:
        terminal.close()


def main():
    parser = options("prompt")
    parser.add_argument("--only", choices=["echo", "complete", "paste", "top", "export"], action="append")
    parser.add_argument("--keys", type=int, default=300, help="keys to type (300)")
    parser.add_argument("--rounds", type=int, default=5, help="of completions and pastes (5)")
    arguments = parser.parse_args()
    measures = {
        "echo": lambda: echo(arguments.program, arguments.keys),
        "complete": lambda: complete(arguments.program, max(10, arguments.rounds)),
        "paste": lambda: paste(arguments.program, 100_000, arguments.rounds, 100)
        + paste(arguments.program, 1_000_000, arguments.rounds, 1000),
        "top": lambda: top(arguments.program, 20),
        "export": lambda: export(arguments.program, 100_000),
    }
    lines = [
        "prompt: what a person at it waits for",
        occasion(), "",
    ]
    try:
        for name, measure in measures.items():
            if not arguments.only or name in arguments.only:
                lines += measure()
    except Failure as error:
        sys.exit(f"scripts/bench prompt: {error}")
    publish(lines, "prompt")


main()
