import Glibc
import TestSupport
import Testing

/// `sdlab lockserver` under a client that is made for etcd.
@Suite(.enabled(if: TestPython.canRun)) struct ProcessLockTests {
    /// etcd3gw's leases, locks, transactions and watches.
    private static let program = """
        from etcd3gw.client import Etcd3Client
        from etcd3gw.lock import Lock
        client = Etcd3Client(port=PORT)
        print(client.status()['version'], len(client.members()))
        client.put('a/1', 'x'); client.put('a/2', 'y')
        print([v.decode() for v, _ in client.get_prefix('a/', sort_order='descend', sort_target='key')])
        print(client.create('a/1', 'again'), client.replace('a/1', 'x', 'z'), client.get('a/1'))
        lease = client.lease(ttl=30)
        client.put('leased', '1', lease=lease)
        print(lease.keys(), lease.ttl() > 25, lease.refresh())
        events, cancel = client.watch('watched')
        for value in ['1', '2']:
            client.put('watched', value)
        print([next(events)['kv']['value'] for _ in range(2)])
        cancel()
        one = Lock('job', ttl=30, client=client)
        print(one.acquire(), one.is_acquired(), Lock('job', ttl=30, client=client).acquire(), one.release())
        print(client.delete_prefix('a/'), client.get('a/1'))
        """

    @Test("etcd3gw's leases, locks, transactions and watches work")
    func etcd3gw() throws {
        let directory = try ProgramDirectory()
        let port = try ProgramPort.free()
        let server = try ProgramProcess.service("lockserver", "--data-dir", directory.path + "/lock", port: port)
        let output = try TestPython.run(Self.program.replacing("PORT", with: "\(port)"))
        #expect(
            output == """
                3.4.23 1
                ['y', 'x']
                False True [b'z']
                [b'leased'] True 30
                [b'1', b'2']
                True True False True
                True []

                """)
        withExtendedLifetime(server) {}
    }

    /// Its own suite, which waits for leases in real time.
    @Test("etcd3gw's own tests pass", .enabled(if: getenv("SDLAB_LONG") != nil))
    func ownTests() throws {
        let directory = try ProgramDirectory()
        let port = try ProgramPort.free()
        let server = try ProgramProcess.service("lockserver", "--data-dir", directory.path + "/lock", port: port)
        let output = try TestPython.run(
            """
            import os, unittest
            os.environ['TOOZ_TEST_HTTP_URL'] = 'http://localhost:\(port)'
            os.environ['TOOZ_TEST_ETCD_PORT'] = '\(port)'
            from etcd3gw.tests import test_etcd3gw
            result = unittest.TextTestRunner().run(unittest.defaultTestLoader.loadTestsFromModule(test_etcd3gw))
            print(result.testsRun, len(result.failures), len(result.errors), len(result.skipped))
            """)
        // Before that they print what they put.
        #expect(output.split(separator: "\n").last == "23 0 0 0")
        withExtendedLifetime(server) {}
    }
}
