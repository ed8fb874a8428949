import Glibc
import TestSupport
import Testing

/// Six `sdlab cache-node` processes under the tools and clients that are made for Redis Cluster, as they are.
@Suite(.enabled(if: TestPython.canRun && ProgramTool.canRun("redis-cli")), .serialized)
struct ProcessCacheClusterTests {
    /// A port for clients, with another 10,000 above it that is free as well: redis-cli takes that for the nodes' own.
    /// Beyond those that `ProgramPort` gives out.
    private static func ports(_ count: Int) throws -> [UInt16] {
        let found = (30_001..<32_700).lazy.map { UInt16($0) }.filter { port in
            let descriptors = [port, port + 10_000].map { try? ProgramSocket.listening(on: $0) }
            for case let descriptor? in descriptors { close(descriptor) }
            return descriptors.allSatisfy { $0 != nil }
        }
        let ports = Array(found.dropFirst(Int(getpid()) % 1_000).prefix(count))
        guard ports.count == count else { throw ProgramTrouble("no free ports from 30001 to 32699") }
        return ports
    }

    private struct Lab {
        let ports: [UInt16]
        let nodes: [ProgramProcess]
        private let directory: ProgramDirectory

        init() throws {
            let directory = try ProgramDirectory()
            let ports = try ProcessCacheClusterTests.ports(6)
            self.directory = directory
            self.ports = ports
            nodes = try ports.map { port in
                try ProgramProcess.service(
                    "cache-node", "--cluster-port", "\(port + 10_000)", "--node-timeout", "1s", "--cluster-state",
                    "\(directory.path)/nodes-\(port).conf", port: port)
            }
        }

        func manage(_ arguments: [String]) throws -> String {
            let process = try ProgramProcess(
                ["--cluster"] + arguments, program: try ProgramTool.needed("redis-cli"))
            let status = try process.waitForExit()
            #expect(status == 0, "\(arguments): \(process.output) \(process.errors)")
            return process.output
        }

        func python(_ program: String) throws -> String {
            defer { withExtendedLifetime(self) {} }
            let pids = nodes.map { "\($0.pid)" }.joined(separator: ", ")
            let list = ports.map { "\($0)" }.joined(separator: ", ")
            return try TestPython.run(Self.beginning + "PORTS = [\(list)]\nPIDS = [\(pids)]\n" + program)
        }

        private static let beginning = """
            import os, signal, subprocess, time
            from redis.cluster import RedisCluster, ClusterNode
            from redis.exceptions import RedisError

            """
    }

    @Test("redis-cli makes a cluster of them, and redis-py uses it through a reshard, a change of roles and a death")
    func managedByOthers() throws {
        let lab = try Lab()
        let made = try lab.manage(
            ["create"] + lab.ports.map { "127.0.0.1:\($0)" } + ["--cluster-replicas", "1", "--cluster-yes"])
        #expect(made.contains("All 16384 slots covered"))
        #expect(try lab.python(Self.uses) == "ok\n")
        #expect(try lab.python(Self.changesRoles) == "ok\n")
        #expect(try lab.python(Self.survives) == "ok\n")
    }

    private static let uses = """
        r = RedisCluster(startup_nodes=[ClusterNode('127.0.0.1', PORTS[0])], decode_responses=True)
        keys = [f'k{i}' for i in range(300)]
        for key in keys: assert r.set(key, key + '!')
        assert r.mset_nonatomic({f'm{i}': i for i in range(50)})
        assert r.mget_nonatomic([f'm{i}' for i in range(50)]) == [str(i) for i in range(50)]
        pipeline = r.pipeline()
        for i in range(50): pipeline.incr(f'c{i}')
        assert pipeline.execute() == [1] * 50
        assert (len(r.get_primaries()), len(r.get_replicas())) == (3, 3)
        def identity(node): return r.execute_command('CLUSTER MYID', target_nodes=node)
        source = r.get_node_from_key('k1')
        target = [n for n in r.get_primaries() if n.port != source.port][0]
        before = r.execute_command('CLUSTER COUNTKEYSINSLOT', r.keyslot('k1'), target_nodes=source)
        moved = subprocess.run(
            ['redis-cli', '--cluster', 'reshard', f'127.0.0.1:{PORTS[0]}', '--cluster-from', identity(source),
             '--cluster-to', identity(target), '--cluster-slots', '200', '--cluster-yes'],
            capture_output=True, text=True)
        assert moved.returncode == 0, moved.stdout + moved.stderr
        assert moved.stdout.count('Moving slot') >= 200
        checked = subprocess.run(
            ['redis-cli', '--cluster', 'check', f'127.0.0.1:{PORTS[0]}'], capture_output=True, text=True)
        assert checked.returncode == 0 and 'All nodes agree' in checked.stdout, checked.stdout
        assert [r.get(key) for key in keys] == [key + '!' for key in keys]
        print('ok')
        """

    private static let changesRoles = """
        r = RedisCluster(startup_nodes=[ClusterNode('127.0.0.1', PORTS[1])], decode_responses=True)
        replica = r.get_replicas()[0]
        assert r.execute_command('CLUSTER FAILOVER', target_nodes=replica)
        end = time.time() + 20
        while r.execute_command('ROLE', target_nodes=replica)[0] != 'master':
            assert time.time() < end, 'no change of roles'
            time.sleep(0.05)
        r.nodes_manager.initialize()
        keys = [f'k{i}' for i in range(300)]
        while True:
            try:
                assert [r.get(key) for key in keys] == [key + '!' for key in keys]
                break
            except RedisError as error:
                assert time.time() < end, error
                time.sleep(0.1)
        print('ok')
        """

    private static let survives = """
        r = RedisCluster(startup_nodes=[ClusterNode('127.0.0.1', port) for port in PORTS], decode_responses=True)
        keys = [f'k{i}' for i in range(300)]
        for key in keys: r.set(key, key + '?')
        for node in r.get_primaries(): r.wait(1, 5000, target_nodes=node)
        victim = r.get_primaries()[0].port
        os.kill(PIDS[PORTS.index(victim)], signal.SIGKILL)
        end = time.time() + 40
        while True:
            try:
                assert [r.get(key) for key in keys] == [key + '?' for key in keys]
                break
            except RedisError as error:
                assert time.time() < end, error
                time.sleep(0.1)
        print('ok')
        """
}
