import Glibc
import KernelStructures
import KernelWorld
import ShellLab
import ShellSession
import Testing

/// Labs come and go in one process, thousands of them in a long test run: nothing of them may stay.
@Suite("What a lab leaves behind", .serialized)
struct MemoryTests {
    /// The parts of a lab that everything else hangs on.
    private struct Remains {
        weak var world: World?
        weak var session: Session?
        weak var network: Network?
        weak var node: Node?

        var names: [String] {
            [
                world.map { _ in "world" }, session.map { _ in "session" }, network.map { _ in "network" },
                node.map { _ in "node" },
            ].compactMap { $0 }
        }
    }

    /// Runs a script in a lab of its own, lets go of the lab, and says what is still there.
    private func remains(of script: String, expecting expected: Int? = 0) -> [String] {
        var remains = Remains()
        do {
            let shell = LabShell()
            shell.place("algorithm: round-robin\nbackends: [8081, 8082]\n", at: "/lb.yaml")
            let outcome = shell.run(script, limit: .seconds(600))
            if let expected {
                #expect(outcome.status == expected, "\(script): \(outcome.errorOutput)")
            }
            remains.world = shell.world
            remains.session = shell.session
            remains.network = shell.world.network
            remains.node = shell.world.nodes.allServices.first
        }
        return remains.names
    }

    /// All services at work, and clients that have used them or are in the middle of it.
    static let everything = """
        spawn 2 backend --port 8081
        loadbalancer --config /lb.yaml --port 80
        curl -s localhost/
        ratelimiter --rate 10 --burst 20 --port 8090 --upstream localhost:8081
        curl -s localhost:8090/api
        lsm-kv --data-dir /kv --port 6379
        kv-cli SET a 1
        kv-bench --writes 50 --seed 1
        circuit-test --url http://localhost:8081 --requests 5
        hash-ring-cli add node-A --vnodes 10
        pool-db --port 5432 --max-connections 10 &
        pool-test --db db:5432 --max-conns 5 --concurrent-users 8 --leaks 0 &
        sleep 1
        while true; do curl -s localhost/; sleep 0.1; done &
        seq 1 100000 | while true; do sleep 5; done &
        sleep 100 &
        stats > /dev/null
        kill -STOP backend-2
        sleep 1
        """

    @Test(
        "nothing of it, whatever ran in it",
        arguments: [
            "echo a | grep a > /f; x=$(cat /f); for i in 1 2; do echo $i; done", "sleep 5 &", "sleep 5 & kill %1",
            "sleep 100 | sleep 100 &", "backend --port 8081 --name web", "backend --port 8081 --name web; kill -9 web",
            "backend --port 8081 --name web; kill web", "backend --port 8081 --name web; kill -POWER web",
            "backend --port 8081 --name web; curl -s web:8081/",
            "backend --port 8081 --latency 60s --name web; curl -s web:8081/ &",
            "spawn 2 backend --port 8081; loadbalancer --config /lb.yaml --port 80; curl -s localhost/",
            "spawn 2 backend --port 8081; loadbalancer --config /lb.yaml --port 80; curl -s localhost/; kill %2",
            "backend --port 8081; ratelimiter --rate 10 --burst 20 --port 8090 --upstream localhost:8081; curl -s localhost:8090/",
            "lsm-kv --data-dir /kv --port 6379; kv-cli SET a 1; kv-bench --writes 50 --seed 1",
            "backend --port 8081; circuit-test --url http://localhost:8081 --requests 5",
            "hash-ring-cli add node-A --vnodes 10; hash-ring-cli lookup a",
            "pool-db --port 5432 --max-connections 10 & pool-test --db db:5432 --max-conns 5 --concurrent-users 8 --leaks 0 &",
            "backend --port 8081 & inject latency 5s; curl -s localhost:8081/ & sleep 1",
            "backend --port 8081 & sleep 1; inject fail http 503 first 2; curl -s localhost:8081/",
            "spawn 2 backend --port 8081; loadbalancer --config /lb.yaml --port 80; sleep 3; kill -STOP backend-2; sleep 4",
            everything,
        ])
    func nothing(_ script: String) {
        #expect(remains(of: script, expecting: nil).isEmpty, "after: \(script)")
    }

    /// A reduced number of labs; `SDLAB_LONG` makes it ten thousand.
    @Test("memory stays flat over many labs with every service in them")
    func flat() {
        let count = getenv("SDLAB_LONG") == nil ? 20 : 10_000
        for _ in 0..<5 { _ = remains(of: Self.everything, expecting: nil) }
        let before = Self.residentBytes
        for _ in 0..<count { _ = remains(of: Self.everything, expecting: nil) }
        let growth = Self.residentBytes - before
        #expect(growth < 16 << 20, "\(count) labs left \(growth >> 10) KiB")
    }

    private static var residentBytes: Int {
        guard let file = fopen("/proc/self/statm", "r") else { return 0 }
        defer { fclose(file) }
        var (total, resident) = (0, 0)
        withUnsafeMutablePointer(to: &total) { total in
            withUnsafeMutablePointer(to: &resident) { resident in
                _ = withVaList([total, resident]) { vfscanf(file, "%ld %ld", $0) }
            }
        }
        return resident * sysconf(Int32(_SC_PAGESIZE))
    }
}
