import TestSupport
import Testing

/// The cache node's second port under clients and suites that were made for memcached, as they are.
@Suite struct ProcessMemcachedTests {
    private static func node(_ work: (_ port: UInt16) throws -> Void) throws {
        let ports = [try ProgramPort.free(), try ProgramPort.free()]
        let node = try ProgramProcess.service("cache-node", "--memcached-port", "\(ports[1])", port: ports[0])
        try node.waitUntilListening(on: ports[1])
        try work(ports[1])
        #expect(node.isRunning)
    }

    // @covers DC-B1
    @Test(
        "memccapable finds all 27 of its tests of the text protocol passed",
        .enabled(if: ProgramTool.canRun("memccapable")))
    func memccapable() throws {
        try Self.node { port in
            let suite = try ProgramProcess(
                ["-h", "127.0.0.1", "-p", "\(port)", "-a"], program: try ProgramTool.needed("memccapable"))
            let status = try suite.waitForExit()
            #expect(status == 0, "\(suite.output)\(suite.errors)")
            #expect(suite.output.split(separator: "\n").count { $0.contains("[pass]") } == 27)
        }
    }

    @Test("pymemcache's own integration suite passes", .enabled(if: TestPython.canRun))
    func pymemcache() throws {
        try Self.node { port in
            let said = try TestPython.run(
                """
                import os, sys, pytest, pymemcache.test
                place = os.path.join(os.path.dirname(pymemcache.test.__file__), 'test_integration.py')
                server = ['--server', '127.0.0.1', '--port', '\(port)']
                sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', '-W', 'ignore', place] + server))
                """)
            #expect(said.contains(" passed"), "\(said)")
            #expect(!said.contains(" failed"), "\(said)")
        }
    }
}
