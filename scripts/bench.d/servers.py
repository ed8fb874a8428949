"""The programs that are measured, and those that they need: starting them, asking them, and what they used."""

import argparse
import ctypes
import datetime
import http.client
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
DEADLINE_SECONDS = 15
FLOOR_NAME = "bare C"


class Failure(Exception):
    """Something that makes the measurement worthless; the text is for the user."""


def options(name):
    """Of a measurement, the first word being the program, which scripts/bench adds. Ended from outside, it takes along
    what it started."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    parser = argparse.ArgumentParser(prog=f"scripts/bench {name}")
    parser.add_argument("program", help=argparse.SUPPRESS)
    return parser


def occasion():
    """When it was measured, and on how many processors."""
    return f"{datetime.datetime.now().astimezone().isoformat(timespec='seconds')}; {os.cpu_count()} processors"


def executable(name):
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not found:
        raise Failure(f"{name} is missing; scripts/setup bench installs it")
    return found


def version(command):
    """The first line of what a program says about its version."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False)
        return (done.stdout + done.stderr).strip().splitlines()[0]
    except (OSError, IndexError):
        return "unknown"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def die_with_parent():
    """For a child: if this program is killed the hard way, it goes, too."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


class Server:
    """A program under test or one that it needs: its process, those that this one started, and its port."""

    def __init__(self, name, command, port, log):
        self.name, self.port = name, port
        self.log = log
        with open(log, "wb") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                preexec_fn=die_with_parent)

    # What requests carry beyond what all do.
    fields = {}

    def wait_until_ready(self, bodies, refuses=False):
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            if self.process.poll() is not None:
                raise Failure(f"{self.name} ended at once:\n{self.log.read_text(errors='replace')}")
            try:
                return self.verify(bodies, refuses)
            except (OSError, http.client.HTTPException, Failure) as error:
                if time.monotonic() > deadline:
                    raise Failure(f"{self.name} does not answer as it should: {error}") from error
                time.sleep(0.02)

    def wait_for(self, question, answer):
        """Until it gives that answer to some bytes."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            if self.process.poll() is not None:
                raise Failure(f"{self.name} ended at once:\n{self.log.read_text(errors='replace')}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                    connection.sendall(question)
                    found = b""
                    while len(found) < len(answer):
                        found += connection.recv(100) or b"?" * len(answer)
                if found != answer:
                    raise Failure(f"{self.name} answered {found!r}")
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise Failure(f"{self.name} does not answer") from None
                time.sleep(0.02)

    def verify(self, bodies, refuses=False):
        """Asks on several connections; each of the expected bodies must come, and nothing else, with status 200.

        A limiter that refuses must do so, whatever body it gives.
        """
        seen = set()
        for _ in range(len(bodies)):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            try:
                for _ in range(2):
                    connection.request("GET", "/", headers=self.fields)
                    response = connection.getresponse()
                    body = response.read()
                    if refuses:
                        if response.status not in (200, 429):
                            raise Failure(f"{self.name} answered {response.status}")
                        seen = bodies
                        continue
                    if response.status != 200 or body not in bodies:
                        raise Failure(f"{self.name} answered {response.status} {body[:80]!r}")
                    seen.add(body)
            finally:
                connection.close()
        if seen != bodies:
            raise Failure(f"{self.name} never answered {bodies - seen}")

    def cpu_seconds(self):
        """In user mode and in the kernel."""
        ticks = [self._ticks(process) for process in self._processes()]
        return [sum(column) / TICKS_PER_SECOND for column in zip(*ticks)]

    def memory_bytes(self):
        """What its processes hold in memory now."""
        pages = (pathlib.Path(f"/proc/{process}/statm").read_text().split()[1] for process in self._processes())
        return sum(int(page) for page in pages) * os.sysconf("SC_PAGE_SIZE")

    def _processes(self):
        found = [self.process.pid]
        for process in found:
            for children in pathlib.Path(f"/proc/{process}/task").glob("*/children"):
                found += [int(child) for child in children.read_text().split()]
        return found

    @staticmethod
    def _ticks(process):
        # The second field is the name in parentheses and may hold blanks: count from the last parenthesis.
        fields = pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]), int(fields[12])

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(DEADLINE_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


class Farm:
    """All the servers of one measurement."""

    def __init__(self, program, floor, directory):
        self.program, self.bare_c, self.directory = program, floor, directory
        self.servers = []

    def start(self, name, command, port):
        server = Server(name, command, port, self.directory / f"{name.replace(' ', '-')}.log")
        self.servers.append(server)
        return server

    def stop(self):
        for server in reversed(self.servers):
            server.stop()

    def floor(self, origins, mode):
        """What is left of a server when only the answer must be right; `mode` as a balancer has it, or none."""
        port = free_port()
        verb = {None: "http", "http": "lb", "tcp": "tcp"}[mode]
        command = [self.bare_c, verb, str(port), *(str(origin.port) for origin in origins)]
        return self.start(FLOOR_NAME, command, port)

    # Servers of their own

    def nginx_origin(self, letter, name="nginx"):
        """nginx with a short answer at / and a file of 1 MiB at /1m."""
        (self.directory / f"files-{letter}").mkdir()
        (self.directory / f"files-{letter}" / "1m").write_bytes(b"x" * (1 << 20))
        port = free_port()
        return self._nginx(letter, name, port, f"""http {{
            {self._nginx_http(letter)} sendfile on; open_file_cache max=10;
            server {{
                listen 127.0.0.1:{port} backlog=4096; root {self.directory}/files-{letter};
                location = / {{ return 200 "Response from {letter}\\n"; }}
            }}
        }}""")

    def backend(self):
        port = free_port()
        return self.start("sdlab", [self.program, "backend", "--port", str(port), "--name", "A"], port)

    def redirector(self, target):
        """nginx, which sends everybody to one place."""
        port = free_port()
        return self._nginx("redirect", "nginx", port, f"""http {{
            {self._nginx_http("redirect")}
            server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 301 {target}; }} }}
        }}""")

    # Rate limiters

    def limiter(self, refuses, origin):
        port = free_port()
        rate = "1/minute" if refuses else "1000000"
        command = [self.program, "ratelimiter", "--algorithm", "gcra", "--rate", rate, "--port", str(port)]
        if origin:
            command += ["--upstream", f"127.0.0.1:{origin.port}"]
        return self.start("sdlab", command, port)

    def nginx_limiter(self, refuses, origin):
        """nginx with limit_req by address. `return` would answer before the limit is asked, so it serves a file."""
        port = free_port()
        files = self.directory / "files-limiter"
        files.mkdir()
        (files / "empty").write_bytes(b"")
        rate, burst = ("1r/m", 1) if refuses else ("1000000r/s", 1_000_000)
        content = (
            """proxy_pass http://back; proxy_http_version 1.1; proxy_set_header Connection "";
               proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_request_buffering off;"""
            if origin else "try_files /empty =500;")
        upstream = (
            f"upstream back {{ server 127.0.0.1:{origin.port}; keepalive 256; keepalive_requests 100000000; }}"
            if origin else "")
        return self._nginx("limiter", "nginx", port, f"""http {{
            {self._nginx_http("limiter")} open_file_cache max=10; {upstream} limit_req_log_level info;
            limit_req_zone $binary_remote_addr zone=all:10m rate={rate}; limit_req_status 429;
            server {{
                listen 127.0.0.1:{port}; root {files};
                location / {{ limit_req zone=all burst={burst} nodelay; {content} }}
            }}
        }}""")

    # Gateways

    def make_token(self, algorithm):
        """A token of RFC 7519 that is good for an hour, by a key whose public half both programs get."""
        key = self.directory / "key.pem"
        kind = {"RS256": ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "ES256": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]}
        subprocess.run(
            ["openssl", "genpkey", "-out", str(key), "-algorithm", *kind[algorithm]], check=True, capture_output=True)
        subprocess.run(
            ["openssl", "pkey", "-in", str(key), "-pubout", "-out", str(self.directory / "public.pem")], check=True,
            capture_output=True)
        issued = subprocess.run(
            [self.program, "jwt", "issue", "abc123", "--keys", str(key), "--alg", algorithm, "--expires", "1h"],
            check=True, capture_output=True, text=True)
        return issued.stdout.strip()

    def gateway(self, origin, token, uncached):
        port = free_port()
        configuration = self.directory / "gateway.yaml"
        configuration.write_text(f"""
log: none
jwt: {{keys: {self.directory}/public.pem{", cache: 0" if uncached else ""}}}
services: {{s: {{url: "http://127.0.0.1:{origin.port}", breaker: false, outlier_ejection: false}}}}
routes: [{{path: /*, service: s, auth: {"jwt" if token else "none"}}}]
""")
        return self.start(
            "sdlab", [self.program, "api-gateway", "--config", str(configuration), "--port", str(port)], port)

    def haproxy_gateway(self, origin, algorithm):
        port = free_port()
        check = f"""http-request set-var(txn.bearer) http_auth_bearer
    http-request set-var(txn.alg) http_auth_bearer,jwt_header_query('$.alg')
    http-request set-var(txn.end) http_auth_bearer,jwt_payload_query('$.exp','int')
    http-request set-var(txn.sub) http_auth_bearer,jwt_payload_query('$.sub')
    http-request deny deny_status 401 unless {{ var(txn.alg) -m str {algorithm} }}
    http-request deny deny_status 401 if {{ var(txn.end),sub(0) -m int lt 1 }}
    http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_verify(txn.alg,"{self.directory}/public.pem") 1 }}
    http-request del-header Authorization
    http-request set-header X-User-Id %[var(txn.sub)]""" if algorithm else "http-request del-header X-User-Id"
        configuration = self.directory / "haproxy-gateway.cfg"
        configuration.write_text(f"""
global
    nbthread 1
    maxconn 9500
defaults
    mode http
    timeout connect 5s
    timeout client 75s
    timeout server 60s
    option http-keep-alive
    option forwardfor
frontend front
    bind 127.0.0.1:{port}
    unique-id-format %[uuid()]
    unique-id-header X-Request-Id
    {check}
    acl api path_beg /
    use_backend back if api
backend back
    http-reuse always
    server s 127.0.0.1:{origin.port}
""")
        return self.start("haproxy", [executable("haproxy"), "-db", "-f", str(configuration)], port)

    # Balancers

    def balancer(self, backends, mode):
        port = free_port()
        ports = ",".join(str(backend.port) for backend in backends)
        command = [self.program, "loadbalancer", "--backends", ports, "--port", str(port), "--mode", mode]
        return self.start("sdlab", command, port)

    def haproxy(self, backends, mode):
        port = free_port()
        servers = "\n".join(
            f"    server s{number} 127.0.0.1:{backend.port} check inter 5s fall 3 rise 2"
            for number, backend in enumerate(backends))
        # What our balancer does at any rate, it does here, too: health checks, X-Forwarded-For, splice where it pays.
        http_options = "option http-keep-alive\n    option forwardfor" if mode == "http" else "option splice-auto"
        backend_options = "http-reuse always\n    option httpchk GET /" if mode == "http" else ""
        # In TCP mode it wants descriptors for its pipes, too.
        limit = 9500 if mode == "http" else 4000
        configuration = self.directory / "haproxy.cfg"
        configuration.write_text(f"""
global
    nbthread 1
    maxconn {limit}
defaults
    mode {mode}
    timeout connect 5s
    timeout client 75s
    timeout server 60s
    {http_options}
frontend front
    bind 127.0.0.1:{port}
    maxconn {limit}
    default_backend back
backend back
    balance roundrobin
    {backend_options}
{servers}
""")
        return self.start("haproxy", [executable("haproxy"), "-db", "-f", str(configuration)], port)

    def nginx_balancer(self, backends, mode):
        port = free_port()
        servers = " ".join(f"server 127.0.0.1:{backend.port};" for backend in backends)
        if mode == "tcp":
            block = f"""stream {{
                upstream back {{ {servers} }}
                server {{ listen 127.0.0.1:{port} backlog=4096; proxy_pass back; }}
            }}"""
        else:
            block = f"""http {{
                {self._nginx_http("proxy")}
                upstream back {{ {servers} keepalive 4000; keepalive_requests 100000000; }}
                server {{
                    listen 127.0.0.1:{port} backlog=4096;
                    location / {{
                        proxy_pass http://back; proxy_http_version 1.1; proxy_set_header Connection "";
                        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                        # Streamed, as the others do.
                        proxy_request_buffering off; proxy_max_temp_file_size 0;
                    }}
                }}
            }}"""
        return self._nginx("proxy", "nginx", port, block)

    def _nginx_http(self, letter):
        place = self.directory / f"nginx-{letter}"
        temporary = "".join(
            f"{kind}_temp_path {place}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        return f"access_log off; keepalive_requests 100000000; default_type text/plain; {temporary}"

    def _nginx(self, letter, name, port, block):
        place = self.directory / f"nginx-{letter}"
        place.mkdir()
        user = "user root;" if os.geteuid() == 0 else ""
        module = pathlib.Path("/usr/lib/nginx/modules/ngx_stream_module.so")
        load = f"load_module {module};" if block.startswith("stream") and module.exists() else ""
        (place / "nginx.conf").write_text(f"""
            {load} daemon off; worker_processes 1; pid {place}/pid; error_log {place}/error.log; {user}
            worker_rlimit_nofile 20000;
            events {{ worker_connections 19000; }}
            {block}
        """)
        command = [executable("nginx"), "-p", str(place), "-e", f"{place}/error.log", "-c", f"{place}/nginx.conf"]
        return self.start(name, command, port)


def middle(rounds, side, key):
    return statistics.median(round_[side][key] for round_ in rounds)


def ratio(rounds, key):
    """Ours to the peer's, over the rounds: the median, the smallest and the largest."""
    values = [round_[0][key] / max(0.01, round_[1][key]) for round_ in rounds]
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def pair_line(name, rounds, width):
    """A row of two sides: CPU and rate of each, and their ratios."""
    cells = [f"{middle(rounds, s, 'cost'):.0f} ({middle(rounds, s, 'rate'):.0f})" for s in range(2)]
    return (f"{name:<{width}} " + " ".join(f"{cell:>16}" for cell in cells)
            + f" {ratio(rounds, 'cost'):>18} {ratio(rounds, 'rate'):>18}")


def publish(lines, name):
    """Prints a bench's lines, and keeps them in bench-results/."""
    text = "\n".join(lines)
    print(text)
    results = pathlib.Path(__file__).resolve().parents[2] / "bench-results"
    results.mkdir(exist_ok=True)
    stamp = datetime.datetime.now().isoformat(timespec="seconds").replace(":", "")
    (results / f"{stamp}-{name}.txt").write_text(text + "\n")
