import TestSupport

/// Runs of other monitoring systems beside our collector, driven by a Python program that asks each of them over HTTP.
enum MonitoringBench {
    /// What every such program begins with: ports, servers that end with it, and questions to whoever speaks
    /// Prometheus's API.
    private static let prelude = #"""
        import atexit, json, os, shutil, socket, subprocess, time, urllib.parse, urllib.request
        def free():
            with socket.socket() as one:
                one.bind(('127.0.0.1', 0))
                return one.getsockname()[1]
        def get(port, path, headers={}, data=None):
            request = urllib.request.Request('http://127.0.0.1:%d%s' % (port, path), data, headers)
            return urllib.request.urlopen(request, timeout=10).read().decode()
        def data(port, path, **parameters):
            return json.loads(get(port, path + '?' + urllib.parse.urlencode(parameters, doseq=True)))['data']
        def ask(port, query, **parameters):
            try: return data(port, '/api/v1/query', query=query, **parameters)['result']
            except OSError: return []
        def value(port, query):
            found = ask(port, query)
            return float(found[0]['value'][1]) if found else 0
        def key(labels, **more): return tuple(sorted(dict(labels, **more).items()))
        def wait(condition, seconds=60):
            end = time.time() + seconds
            while True:
                found = condition()
                if found: return found
                assert time.time() < end, 'in vain: line %d' % condition.__code__.co_firstlineno
                time.sleep(0.2)
        running = []
        def start(*command):
            log = open(os.path.join(DIR, 'log%d' % len(running)), 'wb')
            running.append(subprocess.Popen(command, cwd=DIR, stdout=log, stderr=log))
            return running[-1]
        def stop(one):
            one.terminate()
            assert one.wait(30) == 0, one.returncode
        @atexit.register
        def end():
            for one in running:
                if one.poll() is None:
                    one.kill()
                    one.wait()
        def write(name, text):
            with open(os.path.join(DIR, name), 'w') as file: file.write(text)
            return name
        def collector(port, text, *more):
            return start(SDLAB, 'metrics-collector', '--config', write('c%d.yaml' % port, text), '--port', str(port),
                '--data-dir', 'ours%d' % port, *more)
        def alertmanager(port):
            config = write('am%d.yml' % port, '{route: {receiver: none, group_wait: 1s}, receivers: [{name: none}]}')
            return start(shutil.which('prometheus-alertmanager'), '--config.file=' + config,
                '--storage.path=am%d' % port, '--web.listen-address=127.0.0.1:%d' % port, '--cluster.listen-address=')
        def prometheus(port, text, *more):
            return start(shutil.which('prometheus'), '--config.file=' + write('p%d.yml' % port, text),
                '--storage.tsdb.path=theirs%d' % port, '--web.enable-remote-write-receiver',
                '--web.listen-address=127.0.0.1:%d' % port, *more)

        """#

    /// Runs a program to its end; what it asserts has held if this returns.
    ///
    /// - Throws: what it says of what has not.
    static func run(_ program: String) throws {
        let directory = try ProgramDirectory()
        let names = "DIR, SDLAB = '\(directory.path)', '\(ProgramPlace.program)'\n"
        let output = try TestPython.run(names + prelude + program + "\nprint('ok')\n")
        guard output.hasSuffix("ok\n") else { throw ProgramTrouble("it did not come to its end: \(output)") }
        withExtendedLifetime(directory) {}
    }
}
