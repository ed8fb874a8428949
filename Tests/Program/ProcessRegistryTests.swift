import Glibc
import TestSupport
import Testing

/// The registry as a process, and clients that this project did not write.
@Suite(.enabled(if: TestPython.canRun && ProgramTool.canRun("dig", "haproxy"))) struct ProcessRegistryTests {
    private struct Lab {
        let port: UInt16
        let dnsPort: UInt16
        let registry: ProgramProcess

        init(_ flags: String...) throws {
            port = try ProgramPort.free()
            dnsPort = try ProgramPort.free()
            registry = try ProgramProcess(["registry", "--port", "\(port)", "--dns-port", "\(dnsPort)"] + flags)
            try registry.waitFor("Health checker started")
        }

        func python(_ program: String) throws -> String {
            try TestPython.run("PORT, DNS = \(port), \(dnsPort)\n" + program)
        }

        func dig(_ words: String...) throws -> String {
            let client = try ProgramProcess(
                ["@127.0.0.1", "-p", "\(dnsPort)"] + words, program: try ProgramTool.needed("dig"))
            _ = try client.waitForExit()
            return client.output
        }
    }

    @Test("a port of DNS that is in use is told by its own flag")
    func takenPort() throws {
        let lab = try Lab()
        let second = try ProgramProcess([
            "registry", "--port", "\(try ProgramPort.free())", "--dns-port", "\(lab.dnsPort)",
        ])
        _ = try second.waitForExit()
        #expect((second.output + second.errors).contains("is in use on 127.0.0.1; choose another --dns-port"))
    }

    @Test("py-consul: services, checks, keys, sessions, events, transactions, and a watch")
    func consul() throws {
        #expect(try Lab().python(Self.consulProgram) == "ok\n")
    }

    private static let consulProgram = """
        import base64, threading, time, consul
        c = consul.Consul(port=PORT)
        assert c.agent.self()['Config']['NodeName'] == 'registry'
        check = consul.Check.ttl('10s')
        assert c.agent.service.register('foo', service_id='foo:1', address='10.0.0.1', port=80, tags=['a'], check=check)
        assert c.health.service('foo', passing=True)[1] == []
        assert c.agent.check.ttl_pass('service:foo:1')
        assert [x['Service']['ID'] for x in c.health.service('foo', passing=True)[1]] == ['foo:1']
        assert c.catalog.services()[1] == {'foo': ['a']}
        assert c.catalog.service('foo', tag='a')[1][0]['ServiceID'] == 'foo:1'
        assert c.catalog.nodes()[1][0]['Node'] == 'registry'
        assert c.agent.services()['foo:1']['Port'] == 80
        assert 'service:foo:1' in c.agent.checks()
        assert c.agent.service.maintenance('foo:1', 'true', 'x')
        assert c.health.state('critical')[1][0]['CheckID'] == '_service_maintenance:foo:1'
        assert c.agent.service.maintenance('foo:1', 'false')
        assert c.kv.put('a/b', 'hello') and c.kv.get('a/b')[1]['Value'] == b'hello'
        assert c.kv.get('none')[1] is None
        assert c.kv.put('a/c', 'x')
        assert [x['Key'] for x in c.kv.get('a/', recurse=True)[1]] == ['a/b', 'a/c']
        assert c.kv.get('a/', keys=True)[1] == ['a/b', 'a/c']
        assert not c.kv.put('a/b', 'no', cas=1)
        assert c.kv.put('a/b', 'yes', cas=c.kv.get('a/b')[1]['ModifyIndex'])
        assert c.kv.put('bin', bytes([0, 255, 1])) and c.kv.get('bin')[1]['Value'] == bytes([0, 255, 1])
        assert c.kv.put('flag', 'x', flags=42) and c.kv.get('flag')[1]['Flags'] == 42
        s = c.session.create('me', ttl=10, behavior='delete')
        assert c.session.renew(s)['ID'] == s
        assert c.kv.put('lock', 'x', acquire=s)
        other = c.session.create(lock_delay=1)
        assert not c.kv.put('lock', 'y', acquire=other)
        assert c.session.info(s)[1]['ID'] == s and len(c.session.list()[1]) == 2
        assert c.session.destroy(s) and c.kv.get('lock')[1] is None
        assert c.kv.delete('a/', recurse=True) and c.kv.get('a/', recurse=True)[1] is None
        index = c.health.service('foo')[0]
        got = []
        t = threading.Thread(target=lambda: got.append(c.health.service('foo', index=index, wait='20s')))
        t.start()
        time.sleep(0.3)
        assert not got
        consul.Consul(port=PORT).agent.service.register('foo', service_id='foo:2', address='10.0.0.2', port=81)
        t.join(10)
        assert len(got[0][1]) == 2
        assert c.event.fire('deploy', 'body')['Name'] == 'deploy' and c.event.list()[1][0]['Name'] == 'deploy'
        assert c.catalog.register('n1', '10.1.1.1', service={'Service': 's1', 'Port': 5})
        assert c.catalog.node('n1')[1]['Services']['s1']['Port'] == 5
        assert c.catalog.deregister('n1') and c.catalog.node('n1')[1] is None
        value = base64.b64encode(b'v').decode()
        assert c.txn.put([{'KV': {'Verb': 'set', 'Key': 't', 'Value': value}}])['Errors'] is None
        print('ok')
        """

    @Test("dnspython: SRV targets are names with addresses, TC and the way around it, absence, and the case of letters")
    func dnspython() throws {
        let lab = try Lab()
        #expect(
            try lab.python(
                """
                import consul, dns.flags, dns.message, dns.query, dns.rcode, dns.rdatatype
                c = consul.Consul(port=PORT)
                for n in range(50):
                    c.agent.service.register('big', service_id='big%d' % n, address='10.2.0.%d' % n, port=80)
                def ask(name, type, **more):
                    return dns.query.udp(dns.message.make_query(name, type, **more), '127.0.0.1', port=DNS, timeout=5)
                plain = ask('big.service.consul', 'A', use_edns=False)
                assert plain.flags & dns.flags.TC and 5 < len(plain.answer[0]) < 50
                query = dns.message.make_query('big.service.consul', 'SRV', use_edns=False)
                whole, tcp = dns.query.udp_with_fallback(query, '127.0.0.1', port=DNS, timeout=5)
                assert tcp and len(whole.answer[0]) == 50 and len(whole.additional) == 50
                names = {str(a.name) for a in whole.additional}
                assert {str(x.target) for x in whole.answer[0]} == names
                assert ask('bIg.SerVice.ConSUL', 'A', payload=4096).question[0].name.to_text() == 'bIg.SerVice.ConSUL.'
                none = ask('big.service.consul', 'AAAA')
                assert none.rcode() == 0 and none.authority[0].rdtype == dns.rdatatype.SOA
                assert ask('nope.service.consul', 'A').rcode() == dns.rcode.NXDOMAIN
                assert ask('example.com', 'A').rcode() == dns.rcode.REFUSED
                print('ok')
                """) == "ok\n")
    }

    @Test("BIND's dig, and the lab's own in its words")
    func dig() throws {
        let lab = try Lab()
        let body = #"{"ID": "a", "Name": "api", "Address": "10.0.0.9", "Port": 8080}"#
        let put = try ProgramProcess.run(
            "curl", "-X", "PUT", "http://127.0.0.1:\(lab.port)/v1/agent/service/register", "-d", body)
        #expect(put.status == 0)
        for words in [
            ["api.service.consul", "SRV"], ["api.service.consul", "AAAA"], ["none.service.consul"], ["-x", "10.0.0.9"],
            ["consul", "SOA", "+noall", "+answer"], ["api.service.consul", "ANY", "+short", "+tcp"],
            ["api.service.consul", "+noedns", "+norecurse"], ["example.com"],
        ] {
            let theirs = try ProgramProcess(
                ["@127.0.0.1", "-p", "\(lab.dnsPort)"] + words, program: try ProgramTool.needed("dig"))
            _ = try theirs.waitForExit()
            let ours = try ProgramProcess(["dig", "@127.0.0.1", "-p", "\(lab.dnsPort)"] + words)
            _ = try ours.waitForExit()
            #expect(Self.compared(ours.output) == Self.compared(theirs.output), "\(words)")
        }
    }

    /// Without what differs from one question to the next: versions, numbers, cookies, times.
    private static func compared(_ text: String) -> [Substring] {
        text.split(separator: "\n").filter { line in
            !["; <<>> DiG", ";; Query time", ";; WHEN", "; COOKIE", ";; MSG SIZE"].contains { line.hasPrefix($0) }
        }.map { $0.hasPrefix(";; ->>HEADER") ? $0.prefix { $0 != "i" } : $0 }
    }

    @Test("HAProxy's server-template follows the SRV records")
    func haproxy() throws {
        let lab = try Lab()
        let directory = try ProgramDirectory()
        let port = try ProgramPort.free()
        let configuration = """
            global
                log stderr format raw local0
            defaults
                mode http
                timeout connect 1s
                timeout client 5s
                timeout server 5s
            resolvers lab
                nameserver r 127.0.0.1:\(lab.dnsPort)
                accepted_payload_size 1232
                resolve_retries 2
                timeout resolve 200ms
                timeout retry 200ms
                hold valid 200ms
                hold nx 200ms
                hold obsolete 0ms
            listen web
                bind 127.0.0.1:\(port)
                server-template s 3 _web._tcp.service.consul resolvers lab init-addr none

            """
        let file = try directory.place("haproxy.cfg", configuration)
        var backends: [ProgramProcess] = []
        for name in ["one", "two"] {
            let own = try ProgramPort.free()
            backends.append(
                try ProgramProcess.service(
                    "backend", "--name", name, "--register", "web", "--registry", "127.0.0.1:\(lab.port)", port: own))
        }
        try lab.registry.waitFor("Marked web-two")
        let proxy = try ProgramProcess(["-db", "-f", file], program: try ProgramTool.needed("haproxy"))
        func answers() throws -> Set<String> {
            var seen: Set<String> = []
            for _ in 0..<6 {
                let run = try ProgramProcess.run("curl", "-s", "http://127.0.0.1:\(port)/")
                seen.insert(run.output)
            }
            return seen
        }
        #expect(try ProgramClock.wait(20) { try answers() == ["Response from one\n", "Response from two\n"] })
        backends[1].send(SIGTERM)
        #expect(try backends[1].waitForExit() == 0)
        #expect(
            lab.registry.output.contains("Deregistered web-two")
                || (try? lab.registry.waitFor("Deregistered web-two")) != nil)
        #expect(try ProgramClock.wait(20) { try answers() == ["Response from one\n"] })
        #expect(proxy.isRunning)
    }
}
