"""A running program, and what counts as its failure."""

import os
import pathlib
import pty
import resource
import select
import signal
import socket
import subprocess
import time

# Address space is reserved freely; what counts is what is in memory.
MEMORY_LIMIT_BYTES = 1 << 30
# Words of Swift's runtime, and of a shell that saw the program die.
CRASH_WORDS = [b"Fatal error", b"Illegal instruction", b"Segmentation fault", b"Bus error", b"Crash: ", b"AddressSanitizer"]


class Finding(Exception):
    """A crash, a hang, or too much memory."""

    def __init__(self, kind, text, input=b"", log=b""):
        super().__init__(text)
        self.kind, self.text, self.input = kind, text, bytes(input)
        self.log = log.decode(errors="replace") if isinstance(log, bytes) else log


def limits():
    """Before the program begins: no core files, and a file that grows for ever ends it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 20, 256 << 20))
    os.setpgid(0, 0)


def environment(home):
    return {
        "HOME": str(home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TERM": "xterm",
        "SWIFT_BACKTRACE": "enable=no",
    }


def resident_bytes(pid):
    try:
        pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * resource.getpagesize()


def check_memory(pid, input, log=b""):
    size = resident_bytes(pid)
    if size > MEMORY_LIMIT_BYTES:
        raise Finding("memory", f"{size >> 20} MiB in use", input, log)


def check_end(status, input, log):
    """Whether an ended process ended as programs do. `status` is Popen's: below zero, a signal."""
    if status < 0 and -status not in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGHUP):
        raise Finding("crash", f"ended by signal {-status}", input, log)
    if any(word in log for word in CRASH_WORDS):
        raise Finding("crash", "it says so itself", input, log)


def run_to_end(command, scratch, input=b"", shown=b"", seconds=60):
    """Runs a program that is to end by itself, and returns its status and output."""
    with open(scratch / "output", "wb") as output:
        process = subprocess.Popen(
            command, cwd=scratch, env=environment(scratch), stdin=subprocess.PIPE, stdout=output,
            stderr=subprocess.STDOUT, preexec_fn=limits)
        try:
            if input:
                try:
                    process.stdin.write(input)
                except BrokenPipeError:
                    pass
            try:
                process.stdin.close()
            except BrokenPipeError:
                pass
            deadline = time.monotonic() + seconds
            while process.poll() is None:
                check_memory(process.pid, shown or input)
                if time.monotonic() > deadline:
                    raise Finding("hang", f"still runs after {seconds} s", shown or input)
                time.sleep(0.01)
        finally:
            kill(process)
    with open(scratch / "output", "rb") as output:
        text = output.read(1 << 20)
    check_end(process.returncode, shown or input, text)
    return process.returncode, text


def kill(process):
    if process.poll() is None:
        process.kill()
    process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Service:
    """A component as a process of its own, with whatever else it needs."""

    def __init__(self, program, words, scratch, port=None):
        self.log_path = scratch / f"{words[0]}-{time.monotonic_ns()}.log"
        self.sent = bytearray()
        self.port = port
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [program] + words + ["--drain-timeout", "2s"], cwd=scratch, env=environment(scratch), stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, preexec_fn=limits)
        deadline = time.monotonic() + 30
        while port and self.process.poll() is None and not self.accepts():
            if time.monotonic() > deadline:
                raise Finding("hang", f"{words[0]} does not listen", b"", self.log())
            time.sleep(0.02)
        if self.process.poll() is not None:
            raise Finding("crash", f"{words[0]} did not start", " ".join(words).encode(), self.log())

    def accepts(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def log(self):
        try:
            with open(self.log_path, "rb") as log:
                log.seek(max(0, self.log_path.stat().st_size - 20_000))
                return log.read()
        except OSError:
            return b""

    def note(self, data):
        """Keeps the end of what was sent, for a finding."""
        self.sent += data
        if len(self.sent) > 2 << 20:
            del self.sent[: len(self.sent) - (1 << 20)]

    def check(self, input=None):
        input = self.sent if input is None else input
        status = self.process.poll()
        if status is not None:
            check_end(status, input, self.log())
            raise Finding("crash", f"it ended with status {status}", input, self.log())
        check_memory(self.process.pid, input, self.log())

    def stop(self, input=None):
        """Asks it to stop, which it must do."""
        input = self.sent if input is None else input
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            raise Finding("hang", "SIGTERM does not end it", input, self.log()) from None
        check_end(self.process.returncode, input, self.log())

    def end(self):
        kill(self.process)


class Terminal:
    """The program on a terminal of its own."""

    def __init__(self, command, scratch):
        self.typed = bytearray()
        self.seen = bytearray()
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(scratch)
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                os.execve(command[0], command, environment(scratch))
            finally:
                os._exit(127)

    def read(self, seconds):
        """Reads what comes within so long; false once the terminal is closed."""
        while select.select([self.master], [], [], seconds)[0]:
            try:
                data = os.read(self.master, 65_536)
            except OSError:
                return False
            if not data:
                return False
            self.seen += data
            del self.seen[:-200_000]
            seconds = 0
        return True

    def type(self, data):
        self.typed += data
        view = memoryview(data)
        while view:
            # A terminal shows what it is sent while somebody types: one that does not would stop the program.
            readable, writable, _ = select.select([self.master], [self.master], [], 10)
            if readable and not self.read(0):
                return False
            if not writable:
                if not readable:
                    raise Finding("hang", "it reads no more", self.typed, self.seen)
                continue
            try:
                view = view[os.write(self.master, view[:4096]):]
            except OSError:
                return False
            if not self.read(0):
                return False
        check_memory(self.pid, self.typed, bytes(self.seen))
        return True

    def end(self, seconds):
        """Waits for the end, and judges it."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.read(0.02)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
                return check_end(code, self.typed, bytes(self.seen))
        raise Finding("hang", f"it does not end within {seconds} s", self.typed, self.seen)

    def close(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.master)
