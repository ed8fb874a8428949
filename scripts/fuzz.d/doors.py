"""The doors of the program. Each function is one round: it makes its input from the seed, and raises a `Finding`."""

import os
import random as chance
import signal
import socket
import time

import components
import mutate
from process import Finding, Service, Terminal, free_port, run_to_end

LB = """\
algorithm: round-robin
health_check: {interval: 1s, path: /, unhealthy_after: 3, healthy_after: 2}
backends:
  - {address: "localhost:8081", weight: 3, name: a}
  - {address: "localhost:8082", max_connections: 5, backup: true}
sticky: {by: source, expire: 30m}
retries: 3
retry_budget: {percent: 20}
outlier_ejection: {consecutive_5xx: 5, base_time: 30s}
timeouts: {connect: 1s, response: 5s}
queue: {timeout: 1s}
slow_start: 10s
"""
RL = """\
rules:
  - {name: k, algorithm: token-bucket, rate: 1000/minute, burst: 20, key: [ip, header X-API-Key], path: /api, cost: 1}
  - {name: busy, algorithm: concurrency, rate: 10, key: global, shadow: true}
  - {name: log, algorithm: sliding-log, rate: 100/15s, log_size: 128, method: [GET, POST]}
  - {name: leak, algorithm: leaky-bucket, rate: 500, burst: 10, delay: true}
trusted_proxies: [10.0.0.0/8, "::1"]
ipv6_prefix: 64
exempt: [/health]
headers: both
timeouts: {connect: 1s, response: 5s, idle: 10s}
"""
CB = "failureRateThreshold: 50\nslidingWindowType: TIME_BASED\nslidingWindowSize: 60\nwaitDurationInOpenState: 30s\n"


def prompt(program, source, seed, scratch):
    """Keys, lines and pastes at the prompt, then a way out."""
    random = chance.Random(seed)
    terminal = Terminal([program, "--no-rc"], scratch)
    try:
        terminal.read(1)
        for _ in range(random.randrange(5, 40)):
            kind = random.randrange(10)
            if kind < 5:
                data = mutate.command(random, source).encode(errors="surrogatepass") + b"\r"
            elif kind == 5:
                data = b"\x1b[200~" + mutate.script(random, source, 5).encode(errors="surrogatepass") + b"\x1b[201~\r"
            elif kind == 6:
                keys = [b"\t", b"\x1b[A", b"\x1b[B", b"\x1b[C", b"\x1b[D", b"\x01", b"\x05", b"\x0b", b"\x15", b"\x17", b"\x12", b"\x19", b"\x7f", b"\x1b[3~"]
                data = b"".join(random.choice(keys) for _ in range(random.randrange(1, 30)))
            elif kind == 7:
                data = random.choice([b"\x03", b"\x1a", b"\x0c", b"\x04" if random.random() < 0.2 else b"\x03", b"\x1b", b"\x1b[200~"])
            else:
                data = bytes(random.randrange(256) for _ in range(random.randrange(1, 60))).replace(b"!", b"")
            # The terminal's own key for ending what runs in it.
            if not terminal.type(data.replace(b"\x1c", b"")):
                break
            terminal.read(random.choice([0, 0, 0.01, 0.1]))
        for _ in range(3):
            # Ctrl-Q, in case that Ctrl-S has stopped the terminal.
            terminal.type(b"\x11\x1b[201~\x03\x03\x15")
            terminal.read(0.2)
        terminal.type(b"\x15exit 0\r")
        try:
            terminal.end(5)
        except Finding as finding:
            if finding.kind != "hang":
                raise
            # Something that reads its terminal has taken the word, or a Ctrl-C that was still to be heard.
            for data in [b"\x04", b"\x03\x15", b"\x15\r", b"\x15exit 0\r"]:
                terminal.type(data)
                terminal.read(1)
            terminal.end(40)
    finally:
        terminal.close()


def scripts(program, source, seed, scratch):
    """A script, as a file, a line or standard input; or a transcript, run or tested."""
    random = chance.Random(seed)
    net = random.choice([[], [], ["--net", "loopback"]])
    kind = random.randrange(5)
    if kind < 2:
        text = mutate.script(random, source, random.randrange(1, 12))
    else:
        text = mutate.transcript(random, source)
    data = text.encode(errors="surrogatepass")
    if random.random() < 0.1:
        data = mutate.change_bytes(random, data, 5)
    (scratch / "x.sdl").write_bytes(data)
    command = {
        0: [program] + net + ["run", "x.sdl"], 1: [program], 2: [program, "run"] + net + ["x.sdl"],
        3: [program, "test"] + net + ["x.sdl"], 4: [program, "test", "-u", "--format", random.choice(["json", "tap", "junit"]), "x.sdl"],
    }[kind]
    run_to_end(command, scratch, input=data if kind == 1 else b"", shown=data)


def exchange(service, port, pieces, udp=False):
    """Sends pieces on one connection, and reads as long as something comes at once."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM) as connection:
            connection.settimeout(2)
            connection.connect(("127.0.0.1", port))
            for piece in pieces:
                service.note(piece)
                connection.sendall(piece[:60_000] if udp else piece)
                connection.settimeout(0.02)
                try:
                    connection.recv(1 << 20)
                except socket.timeout:
                    pass
                connection.settimeout(2)
    except OSError:
        pass


def asks(port, request, expected, seconds=20):
    """Whether a plain request still gets a plain answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), 2) as connection:
                connection.settimeout(5)
                connection.sendall(request)
                if connection.recv(65_536).startswith(expected):
                    return True
        except OSError:
            pass
        time.sleep(0.2)
    return False


GET = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


def drive(random, service, port, make, count=40):
    for _ in range(count):
        exchange(service, port, [make() for _ in range(random.randrange(1, 6))])
        service.check()


def http(program, source, seed, scratch):
    """Requests to each component that speaks HTTP."""
    random = chance.Random(seed)
    back = Service(program, ["backend", "--port", str(port := free_port())], scratch, port)
    services = [back]
    try:
        front = free_port()
        extra = []
        words = random.choice([
            ["loadbalancer", "--backends", f"{port},{free_port()}"], ["loadbalancer", "--mode", "tcp", "--backends", str(port)],
            ["ratelimiter", "--rate", "1000000", "--upstream", f"localhost:{port}"], ["ratelimiter", "--rate", "5", "--envoy", str(extra_port := free_port())],
            ["hash-ring-viz", "--nodes", "a,b,c"], ["backend"]])
        if "--envoy" in words:
            extra = [extra_port]
        under = Service(program, words + ["--port", str(front)], scratch, front)
        services.append(under)
        for place in [front] + extra:
            drive(random, under, place, lambda: mutate.http(random))
        back.check(under.sent)
        if not asks(front, GET, b"HTTP/1.1 "):
            raise Finding("hang", f"{words[0]} answers no more", under.sent, under.log())
        for service in reversed(services):
            service.stop(under.sent)
    finally:
        for service in services:
            service.end()


def resp(program, source, seed, scratch):
    """Commands to the store, to a limiter's RESP port and to the pool's database."""
    random = chance.Random(seed)
    port = free_port()
    words = random.choice([
        ["lsm-kv", "--port", str(port), "--data-dir", str(scratch / "data")], ["lsm-kv", "--port", str(port), "--data-dir", str(scratch / "data")],
        ["ratelimiter", "--rate", "10", "--port", str(free_port()), "--throttle", str(port)], ["pool-db", "--port", str(port)]])
    service = Service(program, words, scratch, port)
    try:
        drive(random, service, port, lambda: mutate.resp(random), 60)
        if not asks(port, b"PING\r\n", b"+PONG"):
            raise Finding("hang", "PING is not answered any more", service.sent, service.log())
        service.stop()
        if words[0] == "lsm-kv":
            # What it has written it can read again.
            again = Service(program, words, scratch, port)
            try:
                again.check(service.sent)
                again.stop(service.sent)
            finally:
                again.end()
    finally:
        service.end()


def runtime(program, source, seed, scratch):
    """HAProxy's language at the balancer's runtime socket, with requests meanwhile."""
    random = chance.Random(seed)
    front, port, back = free_port(), free_port(), free_port()
    (scratch / "lb.yaml").write_text(LB.replace("8081", str(back)))
    backend = Service(program, ["backend", "--port", str(back)], scratch, back)
    service = None
    try:
        service = Service(
            program, ["loadbalancer", "--config", "lb.yaml", "--port", str(front), "--runtime", str(port)], scratch, port)
        for _ in range(60):
            exchange(service, port, [b"".join(mutate.runtime(random, "lb", ["a", "8082"]) for _ in range(random.randrange(1, 4)))])
            if random.random() < 0.3:
                exchange(service, front, [GET])
            service.check()
        if not asks(port, b"show version\n", b"2.6"):
            raise Finding("hang", "the runtime socket answers no more", service.sent, service.log())
        service.stop()
    finally:
        for one in [service, backend]:
            if one:
                one.end()


def udp(program, source, seed, scratch):
    """Datagrams of all sizes to the echo."""
    random = chance.Random(seed)
    port = free_port()
    service = Service(program, ["udp-echo", "--port", str(port)], scratch)
    try:
        time.sleep(0.3)
        for _ in range(50):
            size = random.choice([0, 1, 10, 1472, 9000, 60_000])
            exchange(service, port, [os.urandom(size) if random.random() < 0.5 else mutate.http(random)[:size]], udp=True)
        service.check()
        service.stop()
    finally:
        service.end()


def configuration(program, source, seed, scratch):
    """Configuration files, checked and reloaded."""
    random = chance.Random(seed)
    kind, text = random.choice([("loadbalancer", LB), ("ratelimiter", RL), ("circuit-test", CB)])

    def changed():
        data = mutate.change_text(random, text, random.randrange(1, 6)).encode(errors="surrogatepass")
        return mutate.change_bytes(random, data, 3) if random.random() < 0.2 else data

    for _ in range(10):
        data = changed()
        (scratch / "c.yaml").write_bytes(data)
        if kind == "circuit-test":
            words = ["circuit-test", "--url", f"http://localhost:{free_port()}", "--requests", "3", "--interval", "0", "--config", "c.yaml"]
        else:
            words = [kind, "--config", "c.yaml", "--port", str(free_port()), "--check"]
        run_to_end([program] + words, scratch, shown=data, seconds=30)
    if kind == "circuit-test":
        return
    (scratch / "c.yaml").write_text(text)
    port = free_port()
    service = Service(program, [kind, "--config", "c.yaml", "--port", str(port)], scratch, port)
    try:
        for _ in range(15):
            data = changed()
            (scratch / "c.yaml").write_bytes(data)
            service.process.send_signal(signal.SIGHUP)
            exchange(service, port, [GET])
            service.check(data)
        (scratch / "c.yaml").write_text(text)
        service.process.send_signal(signal.SIGHUP)
        if not asks(port, GET, b"HTTP/1.1 "):
            raise Finding("hang", f"{kind} answers no more", data, service.log())
        service.stop(data)
    finally:
        service.end()


def signals(program, source, seed, scratch):
    """Signals while requests are under way."""
    random = chance.Random(seed)
    port, back = free_port(), free_port()
    kind = random.choice(["loadbalancer", "ratelimiter", "lsm-kv", "backend"])
    words = {
        "loadbalancer": ["--config", "c.yaml"], "ratelimiter": ["--config", "c.yaml", "--upstream", f"localhost:{back}"],
        "lsm-kv": ["--data-dir", str(scratch / "data")], "backend": [],
    }[kind]
    (scratch / "c.yaml").write_text(LB.replace("8081", str(back)) if kind == "loadbalancer" else RL)
    # Who has no configuration to read again ends with a hang-up, as programs do.
    harmless = [signal.SIGSTOP, signal.SIGCONT, signal.SIGCHLD, signal.SIGWINCH, signal.SIGPIPE, signal.SIGURG]
    if "--config" in words:
        harmless += [signal.SIGHUP] * 3
    backend = Service(program, ["backend", "--port", str(back)], scratch, back)
    service = None
    sent = []
    try:
        service = Service(program, [kind] + words + ["--port", str(port)], scratch, port)
        for _ in range(60):
            one = random.choice(harmless)
            sent.append(one.name)
            service.process.send_signal(one)
            if one != signal.SIGSTOP:
                service.process.send_signal(signal.SIGCONT)
            exchange(service, port, [mutate.resp(random) if kind == "lsm-kv" else mutate.http(random)])
            service.process.send_signal(signal.SIGCONT)
            service.check(" ".join(sent).encode() + b"\n" + service.sent)
        for one in random.choice([[signal.SIGTERM], [signal.SIGINT], [signal.SIGTERM, signal.SIGTERM], [signal.SIGHUP, signal.SIGTERM]]):
            if service.process.poll() is None:
                service.process.send_signal(one)
        service.stop(" ".join(sent).encode())
    finally:
        for one in [service, backend]:
            if one:
                one.end()


ALL = {
    "prompt": prompt, "scripts": scripts, "http": http, "resp": resp, "runtime": runtime, "udp": udp,
    "configuration": configuration, "signals": signals, **components.make(exchange, asks),
}
