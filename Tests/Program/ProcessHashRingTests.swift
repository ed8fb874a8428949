import Foundation
import Glibc
import HashRingEngine
import Testing

/// The ring as processes of its own: `hash-ring-viz` serves, `hash-ring-cli` and curl ask.
@Suite struct ProcessHashRingTests {
    private static let keys = (0..<200).map { "user:\($0)" }

    /// The map of some keys as a fresh process computes it.
    private func map(_ hash: String) throws -> [[String: Any]] {
        let words = Self.keys.joined(separator: " ")
        let run = try ProgramProcess.run(
            "-c", "hash-ring-viz --hash \(hash) --nodes a,b,c,d & hash-ring-cli lookup \(words) --json")
        guard run.status == 0 else { throw ProgramTrouble(run.errors) }
        let line = run.output.split(separator: "\n").first { $0.hasPrefix("[{") } ?? ""
        return try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [[String: Any]] ?? []
    }

    /// Swift's own `Hasher` would give each process another map.
    @Test("two processes have the same map, and it is that of the library", arguments: HashRing.Scheme.names)
    func twoProcesses(_ hash: String) throws {
        let (first, second) = (try map(hash), try map(hash))
        let scheme = try #require(HashRing.Scheme(name: hash))
        let nodes = ["a", "b", "c", "d"].map { RingNode($0, virtualNodes: scheme == .ketama ? 160 : 150) }
        let ring = try HashRing(nodes.reversed(), scheme: scheme)
        let owners = Self.keys.map { ring.owner(of: $0) }
        #expect(first.map { $0["node"] as? String } == owners)
        #expect(second.map { $0["node"] as? String } == owners)
        #expect(first.map { $0["replicas"] as? [String] } == Self.keys.map { ring.replicas(of: $0, count: 3) })
    }

    @Test("the documented commands, from one process to another; the command prints what the node logs")
    func conversation() throws {
        let port = try ProgramPort.free()
        let node = try ProgramProcess.service("hash-ring-viz", port: port)
        let cli = { (words: [String]) throws -> (status: Int, output: String, errors: String) in
            let process = try ProgramProcess(["hash-ring-cli"] + words + ["--server", "localhost:\(port)"])
            let status = try process.waitForExit()
            return (status, process.output, process.errors)
        }
        #expect(try cli(["lookup", "user:123"]).errors == "hash-ring-cli: the ring has no nodes; add one first\n")
        let added = try cli(["add", "node-A", "--vnodes", "150"])
        #expect(added.output == "[RING] Added node-A with 150 virtual nodes\n[RING] node-A owns 100.0% of ring\n")
        try node.waitFor("[RING] node-A owns 100.0% of ring")
        #expect(
            try cli(["lookup", "user:123"]).output.hasPrefix("Key 'user:123' → node-A (hash: 0x90DB0030E7A6DF3B)\n"))
        #expect(try cli(["remove", "node-B"]).status == 1)
        let connection = try ProgramConnection(port: port)
        #expect(try connection.get("/ring/drawing").body.hasPrefix("Ring (0 to 2^32):\n"))
        Glibc.kill(node.pid, SIGTERM)
        #expect(try node.waitForExit() == 0)
        #expect(
            try cli(["stats"]).errors
                == "hash-ring-cli: no ring answers at localhost:\(port); start one: hash-ring-viz\n")
    }
}
