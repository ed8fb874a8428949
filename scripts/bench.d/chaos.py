"""What Toxiproxy's own figures are here: the time that a proxy without toxics adds to a request, how many bytes a
second it passes, and what a minute of an experiment takes of the host's time.

The same client asks the same server directly, through the lab's proxy and through HAProxy in TCP mode, in turn
(A B C A B C ...); what is added is the difference of medians within a round."""

import http.client
import json
import os
import pathlib
import re
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

from servers import DEADLINE_SECONDS, Failure, Farm, die_with_parent, executable, free_port, occasion, options, publish

EXPERIMENT = """backend --port 8080 --name payment-service --latency 120ms &
backend --port 80 --name api --calls http://payment-service:8080/ --within 2300ms &
chaos-runner --config minute.yaml
"""
MINUTE = """experiment:
  name: a minute
  steady_state:
    - {probe: http, url: "http://api/", expect: status == 200, degraded: status < 600}
  method:
    - {action: network-latency, target: payment-service, latency: 2s, duration: 60s}
"""


def post(port, path, body):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        return connection.getresponse().status
    finally:
        connection.close()


class Source:
    """Sends as much as it can to whoever connects; the client says when it has enough."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.child = os.fork()
        if self.child == 0:
            die_with_parent()
            self.serve()
            os._exit(0)

    def serve(self):
        memory = os.memfd_create("bytes")
        os.truncate(memory, 64 << 20)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            peer, _ = self.listener.accept()
            if os.fork() != 0:
                peer.close()
                continue
            die_with_parent()
            try:
                offset = 0
                while True:
                    offset = (offset + os.sendfile(peer.fileno(), memory, offset, 16 << 20)) % (48 << 20)
            except OSError:
                os._exit(0)

    def stop(self):
        os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)


def gigabytes(port, seconds):
    """Bytes a second, received and thrown away."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as peer:
        # A reset at the end: nobody goes on sending to a client that has enough.
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        count, start = 0, time.monotonic()
        while time.monotonic() - start < seconds:
            got = len(peer.recv(1 << 20, socket.MSG_TRUNC))
            if got == 0:
                raise Failure("the stream ended")
            count += got
        return count / (time.monotonic() - start) / 1e9


def median_microseconds(port, seconds):
    """Of requests one after the other on one connection."""
    done = subprocess.run(
        [executable("wrk"), "-t1", "-c1", f"-d{seconds}s", "--latency", f"http://127.0.0.1:{port}/"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=seconds + DEADLINE_SECONDS,
        preexec_fn=die_with_parent)
    found = re.search(r"50%\s+([\d.]+)(us|ms)", done.stdout)
    if not found or re.search(r"Socket errors|Non-2xx", done.stdout):
        raise Failure(f"wrk failed:\n{done.stdout}")
    return float(found[1]) * (1000 if found[2] == "ms" else 1)


def haproxy(farm, fronts):
    lines = ["global", "  nbthread 1", "defaults", "  mode tcp", "  timeout connect 5s", "  timeout client 60s",
             "  timeout server 60s", "  option splice-auto"]
    for front, back in fronts:
        lines += [f"listen p{front}", f"  bind 127.0.0.1:{front}", f"  server s 127.0.0.1:{back}"]
    file = farm.directory / "haproxy.cfg"
    file.write_text("\n".join(lines) + "\n")
    farm.start("haproxy", [executable("haproxy"), "-db", "-f", str(file)], fronts[0][0])


def wait(port):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise Failure(f"nobody listens on port {port}") from None
            time.sleep(0.02)


def minute(program, directory):
    """Milliseconds of a process that carries out a minute's experiment, and of one that does nothing."""
    (directory / "minute.yaml").write_text(MINUTE)
    (directory / "minute.sh").write_text(EXPERIMENT)
    (directory / "nothing.sh").write_text("true\n")
    times = []
    for script in ("minute.sh", "nothing.sh"):
        start = time.monotonic()
        done = subprocess.run(
            [program, "--root", str(directory), "run", script], cwd=directory, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=60, preexec_fn=die_with_parent)
        times.append((time.monotonic() - start) * 1000)
        if done.returncode != 0:
            raise Failure(f"{script}: {done.stdout}{done.stderr}")
    return times


def main():
    parser = options("chaos")
    parser.add_argument("--pairs", type=int, default=5, help="rounds (5)")
    parser.add_argument("--seconds", type=int, default=2, help="of each measurement (2)")
    arguments = parser.parse_args()
    lines = [
        f"chaos: a proxy without toxics; {arguments.pairs} rounds of {arguments.seconds} s",
        occasion(), "",
        f"{'':<28} {'direct':>12} {'sdlab':>22} {'HAProxy (TCP)':>22}",
    ]
    source = Source()
    with tempfile.TemporaryDirectory(prefix="sdlab-bench-") as name:
        farm = Farm(arguments.program, None, pathlib.Path(name))
        try:
            web, api = free_port(), free_port()
            ours, theirs, ours_bytes, theirs_bytes = (free_port() for _ in range(4))
            farm.start("web", [farm.program, "backend", "--port", str(web)], web)
            farm.start("toxiproxy", [farm.program, "toxiproxy", "--port", str(api)], api)
            haproxy(farm, [(theirs, web), (theirs_bytes, source.port)])
            for port in (web, api, theirs):
                wait(port)
            for front, back in ((ours, web), (ours_bytes, source.port)):
                body = {"name": f"p{front}", "listen": f"127.0.0.1:{front}", "upstream": f"127.0.0.1:{back}"}
                if post(api, "/proxies", body) != 201:
                    raise Failure("the proxy was not made")
            sides = [(web, source.port), (ours, ours_bytes), (theirs, theirs_bytes)]
            median_microseconds(ours, 1)
            times = [[median_microseconds(port, arguments.seconds) for port, _ in sides]
                     for _ in range(arguments.pairs)]
            middle = [statistics.median(round_[side] for round_ in times) for side in range(3)]
            added = [[round_[side] - round_[0] for round_ in times] for side in (1, 2)]
            lines.append(
                f"{'median of a request, us':<28} {middle[0]:>12.0f} "
                + " ".join(f"{f'{middle[side]:.0f} (+{statistics.median(added[side - 1]):.0f})':>22}"
                           for side in (1, 2)))
            rates = [[gigabytes(port, arguments.seconds) for _, port in sides] for _ in range(arguments.pairs)]
            middle = [statistics.median(round_[side] for round_ in rates) for side in range(3)]
            lines.append(f"{'one stream, GB/s':<28} {middle[0]:>12.2f} {middle[1]:>22.2f} {middle[2]:>22.2f}")
            runs = [minute(farm.program, farm.directory) for _ in range(arguments.pairs)]
            whole, nothing = (statistics.median(run[index] for run in runs) for index in (0, 1))
            lines.append(f"a minute's experiment in virtual time: {whole:.0f} ms of the host, of which the start of "
                         f"the process {nothing:.0f} ms")
        except Failure as failure:
            sys.exit(f"scripts/bench: {failure}")
        finally:
            farm.stop()
            source.stop()
    publish(lines, "chaos")


main()
