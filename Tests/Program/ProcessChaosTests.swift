import TestSupport
import Testing

/// Programs that this project did not write, against the tools for chaos as processes of their own.
@Suite(.enabled(if: TestPython.canRun)) struct ProcessChaosTests {
    /// A web server, and Toxiproxy beside it.
    private struct Pair {
        let web: UInt16
        let api: UInt16
        private let processes: [ProgramProcess]

        init() throws {
            web = try ProgramPort.free()
            api = try ProgramPort.free()
            let backend = try ProgramProcess(["backend", "--port", "\(web)"])
            let toxiproxy = try ProgramProcess(["toxiproxy", "--port", "\(api)"])
            try toxiproxy.waitFor("API on")
            processes = [backend, toxiproxy]
        }
    }

    // @covers CHAOS-C1
    @Test("Toxiproxy's client for Python: proxies, toxics, reset")
    func toxiproxy() throws {
        let pair = try Pair()
        let listen = try ProgramPort.free()
        let output = try TestPython.run(
            "WEB, API, LISTEN = \(pair.web), \(pair.api), \(listen)\n" + #"""
                import time, urllib.request, urllib.error
                from toxiproxy import Toxiproxy
                server = Toxiproxy()
                server.update_api_consumer('127.0.0.1', API)
                assert server.running() and b'2.9.0' in server.version()
                proxy = server.create(upstream='127.0.0.1:%d' % WEB, name='web', listen='127.0.0.1:%d' % LISTEN)
                def get(path='/'):
                    start = time.time()
                    body = urllib.request.urlopen('http://127.0.0.1:%d%s' % (LISTEN, path), timeout=20).read()
                    return body, time.time() - start
                assert b'Response from' in get()[0]
                proxy.add_toxic(type='latency', attributes={'latency': 300, 'jitter': 0})
                assert 0.3 <= get()[1]
                assert list(proxy.toxics()) == ['latency_downstream']
                proxy.destroy_toxic('latency_downstream')
                proxy.add_toxic(type='bandwidth', attributes={'rate': 500})
                body, took = get('/bytes/500000')
                assert len(body) == 500000 and 0.8 <= took, took
                server.reset()
                assert proxy.toxics() == {}
                proxy.add_toxic(type='reset_peer', attributes={'timeout': 0})
                try: get(); raise SystemExit('not reset')
                except (ConnectionResetError, urllib.error.URLError): pass
                server.reset()
                proxy.disable()
                try: get(); raise SystemExit('not down')
                except urllib.error.URLError as error: assert isinstance(error.reason, ConnectionRefusedError)
                proxy.enable()
                assert len(get('/bytes/3000000')[0]) == 3000000
                server.populate([{'name': 'other', 'upstream': '127.0.0.1:1', 'listen': '127.0.0.1:0'}])
                assert sorted(server.proxies()) == ['other', 'web']
                server.destroy_all()
                assert server.proxies() == {}
                print('ok')
                """#)
        #expect(output == "ok\n")
        withExtendedLifetime(pair) {}
    }

    @Test("a client that has ended its side and then goes away in the middle: the server hears of it")
    func halfClosed() throws {
        let pair = try Pair()
        let listen = try ProgramPort.free()
        let output = try TestPython.run(
            "API, LISTEN = \(pair.api), \(listen)\n" + """
                import json, socket, threading, urllib.request
                source = socket.create_server(('127.0.0.1', 0))
                ended = threading.Event()
                def serve():
                    peer, _ = source.accept()
                    try:
                        while True: peer.sendall(b'x' * 1000000)
                    except OSError: ended.set()
                threading.Thread(target=serve, daemon=True).start()
                body = {'name': 's', 'upstream': '127.0.0.1:%d' % source.getsockname()[1],
                    'listen': '127.0.0.1:%d' % LISTEN}
                urllib.request.urlopen(urllib.request.Request(
                    'http://127.0.0.1:%d/proxies' % API, json.dumps(body).encode()))
                client = socket.create_connection(('127.0.0.1', LISTEN))
                client.shutdown(socket.SHUT_WR)
                count = 0
                while count < 50000000: count += len(client.recv(1000000))
                client.close()
                assert ended.wait(10), 'the server still sends'
                print('ok')
                """)
        #expect(output == "ok\n")
        withExtendedLifetime(pair) {}
    }

    @Test("the Chaos Toolkit carries out what is exported to it")
    func toolkit() throws {
        let pair = try Pair()
        let listen = try ProgramPort.free()
        let directory = try ProgramDirectory()
        let output = try TestPython.run(
            "WEB, API, LISTEN, DIR, SDLAB = \(pair.web), \(pair.api), \(listen), '\(directory.path)', "
                + "'\(ProgramPlace.program)'\n" + #"""
                    import json, os, subprocess, sys, urllib.request
                    def post(path, body):
                        r = urllib.request.Request('http://127.0.0.1:%d%s' % (API, path), json.dumps(body).encode())
                        return json.load(urllib.request.urlopen(r))
                    here = '127.0.0.1:%d'
                    post('/proxies', {'name': 'web', 'upstream': here % WEB, 'listen': here % LISTEN})
                    open(DIR + '/e.yaml', 'w').write('''
                    experiment:
                      name: a slow proxy
                      steady_state:
                        - {probe: http, name: web, url: "http://127.0.0.1:%d/", expect: status == 200 AND latency < 5s,
                           degraded: status == 200 AND body contains "Response"}
                        - {probe: process, name: shell, command: echo here, expect: status == 0}
                      method:
                        - {action: network-latency, target: toxiproxy, latency: 200ms, duration: 1s}
                      rollback:
                        - {action: network-restore, target: toxiproxy}
                    ''' % LISTEN)
                    subprocess.run([SDLAB, 'chaos', 'export', 'e.yaml', '--to', 'x.json', '--api',
                        'http://127.0.0.1:%d' % API], cwd=DIR, check=True)
                    chaos = os.path.join(os.path.dirname(sys.executable), 'chaos')
                    done = subprocess.run([chaos, '--no-version-check', 'run', 'x.json', '--journal-path', 'j.json'],
                        cwd=DIR, capture_output=True, text=True)
                    assert done.returncode == 0, done.stdout + done.stderr
                    journal = json.load(open(DIR + '/j.json'))
                    assert journal['status'] == 'completed' and not journal['deviated'], journal
                    assert [r['status'] for r in journal['run']] == ['succeeded'] * len(journal['run'])
                    assert journal['run'][1]['duration'] >= 0.2, journal['run'][1]
                    faults = json.load(urllib.request.urlopen('http://127.0.0.1:%d/faults' % API))
                    assert faults == [], faults
                    print('ok')
                    """#)
        #expect(output == "ok\n")
        withExtendedLifetime((pair, directory)) {}
    }

    @Test("the runner as a process asks over real sockets, and ends with the verdict")
    func runner() throws {
        let pair = try Pair()
        let directory = try ProgramDirectory()
        let text = """
            experiment:
              name: t
              steady_state:
                - {probe: http, url: "http://127.0.0.1:\(pair.web)/", expect: status == 200 AND latency < 5s}
              method:
                - {probe: http, url: "http://127.0.0.1:\(pair.web)/status/503", expect: status == 503}
            """
        _ = try TestPython.run("open('\(directory.path)/e.yaml', 'w').write('''\(text)''')")
        let runner = try ProgramProcess(["chaos-runner", "--config", "e.yaml"], directory: directory.path)
        try runner.waitFor("EXPERIMENT PASSED")
        withExtendedLifetime((pair, directory)) {}
    }
}
