import TestSupport
import Testing

/// What this machine allows.
private enum HostAbilities {
    private static func succeeds(_ script: String) -> Bool {
        (try? TestPython.run("import subprocess; print(subprocess.run(['sh', '-c', '''\(script)''']).returncode)"))
            == "0\n"
    }

    static let hasNamespaces = succeeds("unshare --net --mount ip link set lo up 2>/dev/null")
    static let hasNetem = succeeds(
        "unshare --net sh -c 'ip link set lo up && tc qdisc add dev lo root netem delay 1ms' 2>/dev/null")
    static let hasGroups = succeeds(
        "d=/sys/fs/cgroup; [ -e $d/cgroup.controllers ] || d=/sys/fs/cgroup/memory; "
            + "mkdir $d/sdlab-test 2>/dev/null && rmdir $d/sdlab-test")
}

/// Experiments with programs of the machine, in namespaces of their own: what the kernel does to them, and that nothing
/// of it is left whoever dies. What this machine does not have is skipped by name.
@Suite(
    .enabled(if: HostAbilities.hasNamespaces, "unshare --net --mount is not allowed here"),
    .enabled(if: TestPython.canRun, "there is no Python for tests"), .serialized)
struct HostNamespaceTests {
    /// Runs an experiment with one program, a web server of Python's, whose name no other test's has.
    ///
    /// - Parameter then: Python that may look at `runner` (a process), `lines()` (what it has said), `alive()` (whether
    ///   the program is), `wait(condition)` and `groups()` (control groups that are left).
    private static func run(_ method: String, flags: [String] = [], then: String) throws -> String {
        let directory = try ProgramDirectory()
        defer { withExtendedLifetime(directory) {} }
        let body = then.split(separator: "\n", omittingEmptySubsequences: false).map { "    " + $0 }
            .joined(separator: "\n")
        return try TestPython.run(
            "DIR, SDLAB, FLAGS = '\(directory.path)', '\(ProgramPlace.program)', \(flags)\n" + """
                import glob, os, signal, subprocess, time
                mark = 'sdlab-host-%d' % os.getpid()
                open(DIR + '/server.py', 'w').write('''
                import http.server, socketserver
                class Handler(http.server.BaseHTTPRequestHandler):
                    def do_GET(self):
                        n = int(self.path.split('=')[1]) if '=' in self.path else 0
                        if n: self.server.kept.append(b'x' * n)
                        try:
                            with open('/mnt/file', 'ab') as file: file.write(b'x' * 100000)
                            full = b''
                        except OSError as error: full = str(error).encode()
                        body = b'here ' + full
                        self.send_response(200); self.send_header('Content-Length', str(len(body)))
                        self.end_headers(); self.wfile.write(body)
                    def log_message(self, *_): pass
                server = socketserver.TCPServer(('0.0.0.0', 8080), Handler, bind_and_activate=False)
                server.allow_reuse_address, server.kept = True, []
                server.server_bind(); server.server_activate(); server.serve_forever()
                ''')
                open(DIR + '/e.yaml', 'w').write('''
                experiment:
                  name: a program of this machine
                  strategy: default
                  programs:
                    - {name: web, command: exec python3 %s/server.py %s, port: 8080, memory: 64MB,
                       disk: {path: /mnt, size: 8MB}}
                  steady_state:
                    - {probe: http, url: "http://web:8080/", expect: status == 200 AND body contains "here"}
                  method:
                \(method)
                  rollback:
                    - {action: restore}
                ''' % (DIR, mark))
                runner = subprocess.Popen([SDLAB, 'chaos-runner', '--config', 'e.yaml', '--host', '--journal', 'j.json',
                    *FLAGS], cwd=DIR, stdout=open(DIR + '/out', 'w'), stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL)
                def lines(): return open(DIR + '/out').read()
                def pids():
                    found = []
                    for path in glob.glob('/proc/[0-9]*/cmdline'):
                        try: words = open(path).read().split('\\0')
                        except OSError: continue
                        if words[0].endswith('python3') and mark in words: found.append(int(path.split('/')[2]))
                    return found
                def alive(): return bool(pids())
                def groups():
                    root = '/sys/fs/cgroup/'
                    return glob.glob(root + 'sdlab-chaos-*') + glob.glob(root + '*/sdlab-chaos-*')
                def wait(condition, seconds=20):
                    end = time.time() + seconds
                    while not condition():
                        assert time.time() < end, lines()
                        time.sleep(0.05)
                try:
                \(body)
                finally:
                    if runner.poll() is None: runner.kill(); runner.wait()
                print('ok')
                """)
    }

    // @covers CHAOS-B1 CHAOS-H1
    @Test("a network that is late: by tc or by the proxy in user space, and the line says which; then nothing is left")
    func network() throws {
        let output = try Self.run(
            """
                - {action: network-latency, target: web, latency: 400ms, duration: 30s, background: true}
                - {probe: http, url: "http://web:8080/", expect: status == 200 AND latency >= 400ms AND latency < 3s}
                - {action: network-restore, target: web}
                - {action: network-throttle, target: web, rate: 64KB/s, duration: 30s, background: true}
                - {probe: http, url: "http://web:8080/", expect: status == 200}
            """,
            then: """
                assert runner.wait(40) == 0, lines()
                said = lines()
                netem = 'Using: tc qdisc replace dev eth0 root netem delay 400ms' in said
                assert netem == \(HostAbilities.hasNetem ? "True" : "False"), said
                assert netem or 'Using: a proxy in user space, toxic latency (this machine has no netem:' in said, said
                assert 'Using: tc qdisc replace dev eth0 root ' in said and 'EXPERIMENT PASSED' in said, said
                wait(lambda: not alive() and not groups())
                """)
        #expect(output == "ok\n")
    }

    @Test("netem itself", .enabled(if: HostAbilities.hasNetem, "this kernel has no netem"))
    func netem() throws {
        let output = try Self.run(
            """
                - {action: network-latency, target: web, latency: 300ms, duration: 30s, background: true}
                - {action: network-loss, target: web, loss: 1, duration: 30s, background: true}
                - {probe: http, url: "http://web:8080/", expect: latency >= 600ms}
            """,
            then: """
                assert runner.wait(40) == 0, lines()
                assert 'netem delay 300ms loss 1%' in lines(), lines()
                """)
        #expect(output == "ok\n")
    }

    // @covers CHAOS-H2 CHAOS-H3 CHAOS-M2
    @Test("a full disk is a tmpfs of its own; signals reach the program alone")
    func diskAndSignals() throws {
        let output = try Self.run(
            """
                - {action: disk-full, target: web, duration: 30s, background: true}
                - {probe: http, url: "http://web:8080/", expect: body contains "No space left"}
                - {action: restore, target: web}
                - {probe: http, url: "http://web:8080/", expect: NOT body contains "No space left"}
                - {action: process-pause, target: "w*", duration: 1s}
                - {probe: http, url: "http://web:8080/", expect: status == 200}
                - {action: process-kill, target: web, duration: 1s, wait: 4s}
                - {probe: http, url: "http://web:8080/", expect: status == 200}
            """,
            then: """
                assert runner.wait(60) == 0, lines()
                assert 'Using: fallocate -l ' in lines() and 'Using: kill -s KILL for web' in lines(), lines()
                assert not os.path.exists('/mnt/file'), 'the machine has the file: the program wrote to its own /mnt'
                wait(lambda: not alive())
                """)
        #expect(output == "ok\n")
    }

    // @covers CHAOS-H4
    @Test(
        "a control group's memory: what asks for more is killed",
        .enabled(if: HostAbilities.hasGroups, "no control groups here"))
    func memory() throws {
        let output = try Self.run(
            """
                - {action: cpu-hog, target: web, share: 50, duration: 10s, background: true}
                - {action: memory-exhaustion, target: web, duration: 30s, background: true}
                - {probe: http, url: "http://web:8080/?n=50000000", timeout: 5s, name: more}
                - {action: restore, target: web}
                - {action: process-restart, target: web}
            """,
            then: """
                wait(lambda: 'more: ' in lines())
                assert runner.wait(60) == 0, lines()
                assert 'a memory limit of ' in lines() and 'cfs_quota_us' in lines() or 'cpu.max' in lines(), lines()
                assert 'more: 200' not in lines(), lines()
                wait(lambda: not alive() and not groups())
                """)
        #expect(output == "ok\n")
    }

    // @covers CHAOS-H5 CHAOS-C3
    @Test("kill -9 of the runner at every step ends the program, its namespaces and its groups")
    func killed() throws {
        for step in ["runs in namespaces", "Checking steady", "fallocate", "kill -s STOP", "rolling back"] {
            let output = try Self.run(
                """
                    - {action: disk-full, target: web, duration: 30s, background: true}
                    - {action: network-throttle, target: web, rate: 64KB/s, duration: 30s, background: true}
                    - {action: process-pause, target: web, duration: 1s}
                """,
                then: """
                    wait(lambda: '\(step)' in lines())
                    runner.kill(); runner.wait()
                    wait(lambda: not alive() and not groups(), 10)
                    """)
            #expect(output == "ok\n", "\(step)")
        }
    }

    // @covers CHAOS-H5
    @Test("a runner that hangs: the watch beside it undoes what was done when the lease has run out")
    func hangs() throws {
        let output = try Self.run(
            """
                - {action: disk-full, target: web, duration: 60s, background: true}
                - {action: process-pause, target: web, duration: 60s}
            """,
            flags: ["--lease", "6s"],
            then: """
                wait(lambda: 'kill -s STOP' in lines())
                inside = '/proc/%d/root/mnt/.sdlab-full' % pids()[0]
                state = lambda: open('/proc/%d/stat' % pids()[0]).read().rsplit(') ', 1)[1][0]
                wait(lambda: state() == 'T' and os.path.exists(inside))
                os.kill(runner.pid, signal.SIGSTOP)
                wait(lambda: state() != 'T' and not os.path.exists(inside), 30)
                os.kill(runner.pid, signal.SIGCONT)
                runner.terminate()
                wait(lambda: runner.poll() is not None and not alive())
                """)
        #expect(output == "ok\n")
    }

    @Test("without --host nothing of the machine is touched, and a program that does not come up is said")
    func refused() throws {
        let directory = try ProgramDirectory()
        let output = try TestPython.run(
            "DIR, SDLAB = '\(directory.path)', '\(ProgramPlace.program)'\n" + """
                import subprocess
                def run(program, *flags):
                    open(DIR + '/e.yaml', 'w').write('experiment: {name: t, method: [], steady_state: '
                        '[{probe: http, url: "http://web:8080/", expect: status == 200}], programs: [%s]}' % program)
                    done = subprocess.run([SDLAB, 'chaos-runner', '--config', 'e.yaml', *flags], cwd=DIR,
                        capture_output=True, text=True, timeout=30)
                    return done.returncode, done.stderr
                status, text = run('{name: web, command: touch %s/touched, port: 8080}' % DIR)
                assert status == 1 and 'add --host' in text, text
                status, text = run('{name: web, command: exit 3, port: 8080}', '--host')
                assert status == 1 and 'web: it does not listen on port 8080' in text, text
                disk = 'disk: {path: /nowhere, size: 1MB}'
                status, text = run('{name: web, command: sleep 9, port: 8080, %s}' % disk, '--host')
                assert status == 1 and 'web: no disk at /nowhere' in text, text
                import os
                assert not os.path.exists(DIR + '/touched')
                print('ok')
                """)
        #expect(output == "ok\n")
        withExtendedLifetime(directory) {}
    }
}
