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
            import os, redis, signal, subprocess, threading, time
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

    /// What redis-py writes while redis-cli moves slots, without an acknowledged write that is gone.
    @Test("redis-cli reshards, rebalances and mends a cluster under load, and no acknowledged write is lost")
    func managedUnderLoad() throws {
        // @covers DC-C1 DC-C2
        let lab = try Lab()
        _ = try lab.manage(["create"] + lab.ports.prefix(3).map { "127.0.0.1:\($0)" } + ["--cluster-yes"])
        #expect(try lab.python(Self.movesUnderLoad) == "ok\n")
        let bench = try ProgramProcess(
            ["-p", "\(lab.ports[0])", "--cluster", "-t", "set,get", "-n", "20000", "-c", "20", "-r", "10000", "-q"],
            program: try ProgramTool.needed("redis-benchmark"))
        #expect(try bench.waitForExit() == 0, "\(bench.output)\(bench.errors)")
        #expect(bench.output.contains("GET:") && !bench.output.contains("rror"), "\(bench.output)")
    }

    private static let movesUnderLoad = """
        PORTS = PORTS[:3]
        r = RedisCluster(startup_nodes=[ClusterNode('127.0.0.1', PORTS[0])], decode_responses=True)
        counts, errors, over = {}, [], threading.Event()
        def write(worker):
            mine = RedisCluster(startup_nodes=[ClusterNode('127.0.0.1', PORTS[0])], decode_responses=True)
            number = 0
            while not over.is_set():
                number += 1
                key = f'w{worker}:{number % 400}'
                try:
                    counts[key] = max(counts.get(key, 0), mine.incr(key))
                except RedisError as error:
                    errors.append(repr(error))
                    time.sleep(0.01)
        workers = [threading.Thread(target=write, args=(n,), daemon=True) for n in range(3)]
        for worker in workers: worker.start()
        def manage(*words):
            # For slots without an owner it asks, whatever is said before.
            ran = subprocess.run(
                ['redis-cli', '--cluster', *words], input='yes\\n' * 9, capture_output=True, text=True)
            assert ran.returncode == 0, (words, ran.stdout[-3000:], ran.stderr, errors[:5])
            return ran.stdout
        def identity(node): return r.execute_command('CLUSTER MYID', target_nodes=node)
        place = f'127.0.0.1:{PORTS[0]}'
        until = time.time() + 20
        while len(counts) < 1200 and time.time() < until: time.sleep(0.02)
        nodes = sorted(r.get_primaries(), key=lambda node: node.port)
        moved = manage('reshard', place, '--cluster-from', identity(nodes[0]), '--cluster-to', identity(nodes[1]),
                       '--cluster-slots', '400', '--cluster-yes')
        assert moved.count('Moving slot') >= 400
        assert 'All nodes agree' in manage('check', place)
        # Uneven by 400 slots now; evened out again.
        manage('rebalance', place, '--cluster-threshold', '1')
        assert '[OK] All 16384 slots covered' in manage('check', place)
        ranges = [(one[0], one[1], one[2][1]) for one in redis.Redis(port=PORTS[0]).execute_command('CLUSTER SLOTS')]
        sizes = [sum(end - begin + 1 for begin, end, port in ranges if port == node.port) for node in nodes]
        assert max(sizes) - min(sizes) <= 150, sizes
        # Somebody has begun to move a slot by hand, and has left it half done.
        slot = r.keyslot('w0:1')
        source = [node for node in nodes if any(b <= slot <= e and p == node.port for b, e, p in ranges)][0]
        target = [node for node in nodes if node.port != source.port][0]
        direct = {node.port: redis.Redis(port=node.port, decode_responses=True) for node in nodes}
        direct[target.port].execute_command('CLUSTER', 'SETSLOT', slot, 'IMPORTING', identity(source))
        direct[source.port].execute_command('CLUSTER', 'SETSLOT', slot, 'MIGRATING', identity(target))
        broken = subprocess.run(['redis-cli', '--cluster', 'check', place], capture_output=True, text=True)
        assert 'slots are open' in broken.stdout, broken.stdout
        manage('fix', place, '--cluster-yes')
        checked = manage('check', place)
        assert 'slots are open' not in checked and '[OK] All 16384 slots covered' in checked, checked
        # And a slot that nobody has.
        for node in nodes:
            try: direct[node.port].execute_command('CLUSTER', 'DELSLOTS', 100)
            except RedisError: pass
        manage('fix', place, '--cluster-yes')
        assert '[OK] All 16384 slots covered' in manage('check', place)
        over.set()
        for worker in workers: worker.join()
        r.nodes_manager.initialize()
        lost = [key for key, count in counts.items() if r.keyslot(key) != 100 and int(r.get(key) or 0) < count]
        assert not lost, (len(lost), lost[:5], errors[:5])
        assert len(counts) == 1200 and sum(counts.values()) > 5000, (len(counts), sum(counts.values()), errors[:5])
        print('ok')
        """

    @Test("MIGRATE moves keys with their ends, keeps them here until they are there, and says what stands in the way")
    func migrates() throws {
        let lab = try Lab()
        _ = try lab.manage(["create"] + lab.ports.prefix(3).map { "127.0.0.1:\($0)" } + ["--cluster-yes"])
        #expect(try lab.python(Self.migration) == "ok\n")
    }

    private static let migration = """
        nodes = [redis.Redis(port=port, decode_responses=True) for port in PORTS[:3]]
        slot = nodes[0].execute_command('CLUSTER', 'KEYSLOT', '{t}')
        def owns(node):
            try:
                node.set('{t}a', 'va')
                return True
            except RedisError: return False
        source = [node for node in nodes if owns(node)][0]
        target = [node for node in nodes if node is not source][0]
        port = target.connection_pool.connection_kwargs['port']
        def migrate(*words): return source.execute_command('MIGRATE', '127.0.0.1', port, *words)
        def there(key):
            # ASKING holds for the next command on the same connection.
            one = target.client()
            one.execute_command('ASKING')
            return one.get(key)
        def refused(*words):
            try: return 'not refused: ' + repr(migrate(*words))
            except RedisError as error: return str(error)
        source.set('{t}b', 'vb', ex=1000)
        source.rpush('{t}c', 1, 2, 3)
        # The other has nothing to do with the slot yet.
        assert 'Target instance replied with error' in refused('{t}a', 0, 2000), refused('{t}a', 0, 2000)
        assert source.get('{t}a') == 'va'
        identities = [node.execute_command('CLUSTER', 'MYID') for node in (source, target)]
        target.execute_command('CLUSTER', 'SETSLOT', slot, 'IMPORTING', identities[0])
        source.execute_command('CLUSTER', 'SETSLOT', slot, 'MIGRATING', identities[1])
        assert migrate('{t}none', 0, 2000) == 'NOKEY'
        assert migrate('{t}a', 0, 2000, 'COPY') == 'OK'
        assert source.get('{t}a') == 'va' and there('{t}a') == 'va'
        source.set('{t}a', 'newer')
        assert 'BUSYKEY' in refused('{t}a', 0, 2000) and source.get('{t}a') == 'newer'
        assert migrate('{t}a', 0, 2000, 'REPLACE') == 'OK' and there('{t}a') == 'newer'
        def asked(command, *words):
            try: return 'not sent on: ' + repr(source.execute_command(command, *words))
            except RedisError as error: return str(error)
        assert asked('GET', '{t}a').startswith('ASK '), asked('GET', '{t}a')
        # Nobody listens there: the keys stay.
        try:
            source.execute_command('MIGRATE', '127.0.0.1', 1, '{t}b', 0, 500)
            raise SystemExit('migrated to nowhere')
        except RedisError as error: assert 'IOERR' in str(error), error
        assert source.get('{t}b') == 'vb'
        assert migrate('', 0, 2000, 'KEYS', '{t}b', '{t}none', '{t}c') == 'OK'
        one = target.client()
        one.execute_command('ASKING')
        assert 900 < one.ttl('{t}b') <= 1000
        one.execute_command('ASKING')
        assert one.lrange('{t}c', 0, -1) == ['1', '2', '3']
        assert source.execute_command('CLUSTER', 'COUNTKEYSINSLOT', slot) == 0
        for node in (target, source): node.execute_command('CLUSTER', 'SETSLOT', slot, 'NODE', identities[1])
        assert target.get('{t}a') == 'newer'
        assert 'syntax' in refused('{t}a', 0, 2000, 'NONSENSE'), refused('{t}a', 0, 2000, 'NONSENSE')
        print('ok')
        """

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
        # A transaction whose keys are in two slots of one node.
        one = [key for key in keys if r.get_node_from_key(key) == source][0]
        two = [key for key in keys if r.get_node_from_key(key) == source and r.keyslot(key) != r.keyslot(one)][0]
        pipeline = redis.Redis(port=source.port).pipeline(transaction=True)
        pipeline.set(one, 1)
        pipeline.set(two, 2)
        try:
            pipeline.execute()
            raise SystemExit('two slots in one transaction')
        except RedisError as error:
            assert 'CROSSSLOT' in str(error), error
        assert r.get(one) == one + '!'
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
