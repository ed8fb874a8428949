import TestSupport
import Testing

/// What this machine's programs can do.
private enum RegistryClients {
    private static func succeeds(_ script: String) -> Bool {
        (try? TestPython.run("import subprocess; print(subprocess.run(['sh', '-c', '''\(script)''']).returncode)"))
            == "0\n"
    }

    static let hasNamespaces = succeeds("unshare --net --mount ip link set lo up 2>/dev/null")
    /// Debian leaves it out of its Prometheus 2.42.
    static let prometheusKnowsConsul = succeeds(
        "grep -q prometheus/discovery/consul $(command -v prometheus) 2>/dev/null")
}

/// Programs that nobody wrote for this registry, and that follow what is registered: over Consul's API, and over DNS.
@Suite(.enabled(if: TestPython.canRun && ProgramTool.canRun("dig", "unbound", "dnsperf", "prometheus")))
struct ProcessRegistryClientTests {
    /// Runs a program of Python's that has `PORT`, `DNS`, `OWN` (a port for the client), `DIR`, `SDLAB`, and what is in
    /// `tools`; a registry runs beside it.
    private static func run(_ program: String) throws -> String {
        let ports = try (0..<3).map { _ in try ProgramPort.free() }
        let directory = try ProgramDirectory()
        defer { withExtendedLifetime(directory) {} }
        let registry = try ProgramProcess(["registry", "--port", "\(ports[0])", "--dns-port", "\(ports[1])"])
        try registry.waitFor("Health checker started")
        return try TestPython.run(
            "PORT, DNS, OWN, DIR, SDLAB = \(ports[0]), \(ports[1]), \(ports[2]), '\(directory.path)', "
                + "'\(ProgramPlace.program)'\n" + tools + program)
    }

    private static let tools = """
        import json, shutil, subprocess, time, urllib.request
        def ask(url, method='GET', body=None):
            request = urllib.request.Request('http://127.0.0.1' + url, method=method,
                data=None if body is None else json.dumps(body).encode())
            return urllib.request.urlopen(request, timeout=10).read()
        def register(name, n, **more):
            ask(':%d/v1/agent/service/register' % PORT, 'PUT', {'Name': name, 'ID': '%s-%d' % (name, n),
                'Address': '127.0.0.%d' % n, 'Port': 1000 + n, **more})
        def deregister(id): ask(':%d/v1/agent/service/deregister/%s' % (PORT, id), 'PUT')
        def wait(condition, what=lambda: None):
            end = time.time() + 30
            while not condition():
                assert time.time() < end, what()
                time.sleep(0.1)
        def start(*words):
            return subprocess.Popen(words, cwd=DIR, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        def prometheus(configuration):
            open(DIR + '/p.yml', 'w').write(configuration)
            return start(shutil.which('prometheus'), '--config.file=p.yml', '--storage.tsdb.path=data',
                '--web.listen-address=127.0.0.1:%d' % OWN)
        def targets():
            try: found = json.loads(ask(':%d/api/v1/targets' % OWN))['data']['activeTargets']
            except OSError: return None
            return sorted((t['labels']['job'], t['labels']['instance'], t['labels'].get('said', '')) for t in found)
        def awaitTargets(*wanted): wait(lambda: targets() == sorted(wanted), lambda: (targets(), wanted))

        """

    @Test(
        "Prometheus's consul_sd_configs: services with their tags, data, health and node, and those that go",
        .enabled(if: RegistryClients.prometheusKnowsConsul, "this Prometheus was built without Consul's discovery"))
    func prometheusConsul() throws {
        #expect(
            try Self.run(
                """
                register('api', 1, Tags=['blue', 'fast'], Meta={'zone': 'a'}, Check={'TTL': '1h', 'Status': 'passing'})
                register('api', 2, Tags=['green'])
                register('web', 3)
                theirs = prometheus('''
                scrape_configs:
                - job_name: all
                  consul_sd_configs: [{server: "127.0.0.1:%d", refresh_interval: 1s}]
                  relabel_configs: [{source_labels: [__meta_consul_service], target_label: said}]
                - job_name: tagged
                  consul_sd_configs: [{server: "127.0.0.1:%d", services: [api], tags: [blue], refresh_interval: 1s}]
                  relabel_configs:
                  - source_labels:
                    - __meta_consul_tags
                    - __meta_consul_service_metadata_zone
                    - __meta_consul_health
                    - __meta_consul_node
                    target_label: said
                ''' % (PORT, PORT))
                try:
                    one, two = ('all', '127.0.0.1:1001', 'api'), ('all', '127.0.0.2:1002', 'api')
                    blue = ('tagged', '127.0.0.1:1001', ',blue,fast,;a;passing;registry')
                    awaitTargets(one, two, ('all', '127.0.0.3:1003', 'web'), blue)
                    deregister('web-3')
                    awaitTargets(one, two, blue)
                    deregister('api-1')
                    register('api', 4)
                    awaitTargets(two, ('all', '127.0.0.4:1004', 'api'))
                finally: theirs.kill(); theirs.wait()
                print('ok')
                """) == "ok\n")
    }

    /// Debian's Prometheus cannot do it, so here are the calls that its discovery makes (discovery/consul in its
    /// sources and the client of Consul that it uses: parameters in the order of the alphabet, `stale` always, waits
    /// in milliseconds), and what it reads of the answers.
    @Test("the calls that Prometheus's consul_sd_configs makes, made by hand")
    func prometheusConsulCalls() throws {
        #expect(
            try Self.run(
                """
                import http.client, threading, urllib.parse
                def call(path, index=0, tags=(), meta=(), filter=''):
                    words = [('dc', 'dc1')] + ([('filter', filter)] if filter else [])
                    words += [('index', index)] if index else []
                    words += [('node-meta', m) for m in meta] + [('stale', '')] + [('tag', t) for t in tags]
                    one = http.client.HTTPConnection('127.0.0.1', PORT, timeout=20)
                    one.request('GET', path + '?' + urllib.parse.urlencode(words + [('wait', '120000ms')]))
                    answer = one.getresponse()
                    assert answer.status == 200, (path, answer.status, answer.read())
                    assert int(answer.getheader('X-Consul-LastContact')) == 0
                    assert answer.getheader('X-Consul-KnownLeader') == 'true'
                    return int(answer.getheader('X-Consul-Index')), json.loads(answer.read())
                class Blocked(threading.Thread):
                    def __init__(self, *words, **more):
                        super().__init__(daemon=True)
                        self.words, self.more, self.answer = words, more, None
                        self.start()
                        time.sleep(0.3)
                        assert self.is_alive()
                    def run(self): self.answer = call(*self.words, **self.more)
                    def end(self): self.join(5); return self.answer
                def target(entry):
                    service = entry['Service']
                    address = service['Address'] or entry['Node']['Address']
                    assert {'ID', 'Node', 'Address', 'Datacenter', 'TaggedAddresses', 'Meta'} <= set(entry['Node'])
                    assert {'ID', 'Service', 'Tags', 'Meta', 'Port', 'Address'} <= set(service)
                    worst = [c['Status'] for c in entry['Checks'] if c['Status'] != 'passing'] or ['passing']
                    return '%s:%d' % (address, service['Port']), ',%s,' % ','.join(service['Tags'] or []), worst[0]

                assert json.loads(ask(':%d/v1/agent/self' % PORT))['Config']['Datacenter'] == 'dc1'
                register('api', 1, Tags=['blue', 'fast'], Meta={'zone': 'a'}, Check={'TTL': '1h', 'Status': 'passing'})
                register('api', 2, Tags=['green'])
                ask(':%d/v1/catalog/register' % PORT, 'PUT', {'Node': 'far', 'Address': '10.9.9.9',
                    'NodeMeta': {'rack': 'r1'}, 'Service': {'Service': 'db', 'Port': 5432}})
                at, services = call('/v1/catalog/services')
                assert services == {'api': ['blue', 'fast', 'green'], 'db': []}, services
                assert call('/v1/catalog/services', meta=['rack:r1'])[1] == {'db': []}
                assert call('/v1/catalog/services', filter='"blue" in ServiceTags')[1] == {'api': ['blue', 'fast']}
                assert call('/v1/catalog/services', filter='Node == "far"')[1] == {'db': []}
                names = Blocked('/v1/catalog/services', index=at)
                own, entries = call('/v1/health/service/api')
                one, two = ('127.0.0.1:1001', ',blue,fast,', 'passing'), ('127.0.0.2:1002', ',green,', 'passing')
                assert sorted(map(target, entries)) == [one, two], entries
                assert [target(e) for e in call('/v1/health/service/api', tags=['blue', 'fast'])[1]] == [one]
                assert call('/v1/health/service/api', tags=['blue', 'green'])[1] == []
                assert call('/v1/health/service/api', meta=['rack:r1'])[1] == []
                assert [target(e)[0] for e in call('/v1/health/service/db', meta=['rack:r1'])[1]] == ['10.9.9.9:5432']
                api = Blocked('/v1/health/service/api', index=own)
                # Other services' changes wake nobody who waits for this one; health does not wake who waits for names.
                register('web', 3)
                assert names.end()[1]['web'] == []
                ask(':%d/v1/agent/check/fail/service:api-1' % PORT, 'PUT')
                index, entries = api.end()
                assert index > own and sorted(map(target, entries))[0] == one[:2] + ('critical',), entries
                at = call('/v1/catalog/services')[0]
                names, api = Blocked('/v1/catalog/services', index=at), Blocked('/v1/health/service/api', index=index)
                ask(':%d/v1/agent/check/pass/service:api-1' % PORT, 'PUT')
                assert sorted(map(target, api.end()[1])) == [one, two] and names.is_alive()
                deregister('api-1')
                assert names.end()[1]['api'] == ['green']
                assert list(map(target, call('/v1/health/service/api', index=index)[1])) == [two]
                print('ok')
                """) == "ok\n")
    }

    /// A resolver is asked on port 53 alone, so all of it runs in a namespace where that port is free, and where
    /// /etc/resolv.conf is another file.
    @Test(
        "Prometheus's dns_sd_configs: SRV records with their ports, addresses, and those that go",
        .enabled(if: RegistryClients.hasNamespaces, "unshare --net --mount is not allowed here"))
    func prometheusDNS() throws {
        let directory = try ProgramDirectory()
        defer { withExtendedLifetime(directory) {} }
        let program = try directory.place(
            "inside.py",
            "PORT, OWN, DIR, SDLAB = 8500, 9090, '\(directory.path)', '\(ProgramPlace.program)'\n" + Self.tools + """
                subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
                open(DIR + '/resolv.conf', 'w').write('nameserver 127.0.0.1\\n')
                subprocess.run(['mount', '--bind', DIR + '/resolv.conf', '/etc/resolv.conf'], check=True)
                running = [start(SDLAB, 'registry', '--port', '8500', '--dns-port', '53')]
                def up():
                    try: return ask(':8500/v1/status/leader')
                    except OSError: return False
                try:
                    wait(up)
                    register('api', 2)
                    register('api', 3)
                    running.append(prometheus('''
                scrape_configs:
                - job_name: srv
                  dns_sd_configs: [{names: [_api._tcp.service.consul], refresh_interval: 1s}]
                - job_name: a
                  dns_sd_configs: [{names: [api.service.consul], type: A, port: 99, refresh_interval: 1s}]
                '''))
                    two = [('a', '127.0.0.2:99', ''), ('srv', '7f000002.addr.dc1.consul:1002', '')]
                    awaitTargets(*two, ('a', '127.0.0.3:99', ''), ('srv', '7f000003.addr.dc1.consul:1003', ''))
                    deregister('api-3')
                    awaitTargets(*two)
                finally:
                    for one in running: one.kill(); one.wait()
                print('ok')
                """)
        #expect(
            try TestPython.run(
                """
                import subprocess, sys
                words = ['unshare', '--net', '--mount', sys.executable, '\(program)']
                sys.stdout.write(subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout)
                """) == "ok\n")
    }

    @Test("unbound's stub-zone: everything that clients ask for comes through it, and goes at once")
    func unbound() throws {
        #expect(
            try Self.run(
                """
                register('api', 1)
                register('api', 2)
                stub = 'stub-zone:\\n  name: "%s"\\n  stub-addr: 127.0.0.1@%d\\n'
                open(DIR + '/unbound.conf', 'w').write('''
                server:
                  interface: 127.0.0.1@%d
                  username: ""
                  chroot: ""
                  directory: "%s"
                  pidfile: ""
                  use-syslog: no
                  do-daemonize: no
                  do-not-query-localhost: no
                  module-config: "iterator"
                  local-zone: "127.in-addr.arpa." nodefault
                remote-control:
                  control-enable: no
                ''' % (OWN, DIR) + stub % ('consul.', DNS) + stub % ('127.in-addr.arpa.', DNS))
                def dig(*words):
                    command = ['dig', '@127.0.0.1', '-p', str(OWN), '+time=2', *words]
                    return subprocess.run(command, capture_output=True, text=True).stdout
                def short(*words): return sorted(dig('+short', *words).splitlines())
                theirs = start(shutil.which('unbound'), '-d', '-c', DIR + '/unbound.conf')
                try:
                    wait(lambda: short('api.service.consul') == ['127.0.0.1', '127.0.0.2'])
                    srv = ['1 1 1001 7f000001.addr.dc1.consul.', '1 1 1002 7f000002.addr.dc1.consul.']
                    assert short('api.service.consul', 'SRV') == srv
                    assert short('_api._tcp.service.consul', 'SRV') == srv
                    assert short('7f000001.addr.dc1.consul') == ['127.0.0.1']
                    assert short('consul', 'NS') == ['ns.consul.']
                    assert short('-x', '127.0.0.2') == ['api.service.dc1.consul.']
                    none = dig('api.service.consul', 'AAAA')
                    assert 'NOERROR' in none and 'SOA' in none and 'ANSWER: 0' in none, none
                    assert 'NXDOMAIN' in dig('nope.service.consul')
                    deregister('api-2')
                    wait(lambda: short('api.service.consul') == ['127.0.0.1'])
                finally: theirs.kill(); theirs.wait()
                print('ok')
                """) == "ok\n")
    }

    @Test("dnsperf: thousands of queries at once, and every one has its answer")
    func dnsperf() throws {
        #expect(
            try Self.run(
                """
                import re
                for n in range(1, 6): register('api', n)
                names = ['api.service.consul A', 'api.service.consul SRV', '_api._tcp.service.consul SRV',
                    'nope.service.consul A']
                open(DIR + '/queries', 'w').write('\\n'.join(names) + '\\n')
                for way in 'udp', 'tcp':
                    text = subprocess.run(['dnsperf', '-m', way, '-s', '127.0.0.1', '-p', str(DNS), '-d',
                        DIR + '/queries', '-n', '1000', '-c', '8'], capture_output=True, text=True).stdout
                    def count(pattern): return int(re.search(pattern, text)[1])
                    assert count(r'Queries completed: +(\\d+)') == 4000, text
                    assert count(r'Queries lost: +(\\d+)') == 0, text
                    assert count(r'NOERROR (\\d+)') == 3000 and count(r'NXDOMAIN (\\d+)') == 1000, text
                print('ok')
                """) == "ok\n")
    }
}
