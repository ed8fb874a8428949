import Glibc
import Testing

/// A process that has no descriptors left is nobody else's failure.
extension ProgramHeavyTests {
    @Suite("Descriptors", .serialized) struct ProcessDescriptorTests {
        /// - Parameter limit: of descriptors, soft and hard.
        private func balancer(_ file: String, port: UInt16, limit: Int) throws -> ProgramProcess {
            let command = "exec '\(ProgramPlace.program)' loadbalancer --config '\(file)' --port \(port)"
            let process = try ProgramProcess(
                ["-c", "ulimit -n \(limit); \(command)"], input: nil, program: "/bin/sh")
            try process.waitFor("Listening")
            return process
        }

        @Test(
            "80 idle clients of a balancer with 48 descriptors: no server is removed, it is said once, and it recovers")
        func exhausted() throws {
            let backends = try (0..<3).map { _ in try ProgramPort.free() }
            let servers = try backends.map { try ProgramProcess.service("backend", port: $0) }
            let port = try ProgramPort.free()
            let list = backends.map { "  - address: 127.0.0.1:\($0)\n" }.joined()
            let folder = try ProgramDirectory()
            let file = try folder.place("lb.yaml", "backends:\n\(list)health_check:\n  interval: 100ms\n")
            let process = try balancer(file, port: port, limit: 48)
            let early = try ProgramConnection(port: port)
            #expect(try early.get().status == 200)
            let crowd = Crowd(try (0..<80).map { _ in try ProgramConnection(port: port) })
            // Some thirty rounds of checks, and requests of a client that was there before.
            let deadline = ProgramClock.seconds + 3
            while ProgramClock.seconds < deadline {
                #expect(try early.get().status == 200)
                poll(nil, 0, 50)
            }
            crowd.leave()
            let late = try ProgramConnection(port: port)
            #expect(try late.get().status == 200)
            process.send(SIGTERM)
            #expect(try process.waitForExit() == 0)
            let log = process.output + process.errors
            #expect(!log.contains("Removed"), "\(log)")
            #expect(log.components("file descriptors: new ones wait") == 1, "\(log)")
            #expect(log.components("file descriptors are free again") <= 1, "\(log)")
            _ = servers
        }
    }
}

/// Clients that say nothing, and hold their connections until they leave.
private final class Crowd {
    private var connections: [ProgramConnection]
    init(_ connections: [ProgramConnection]) { self.connections = connections }
    func leave() { connections = [] }
}

extension String {
    /// How often another string stands in it.
    fileprivate func components(_ part: String) -> Int {
        var count = 0
        var rest = self[...]
        while let range = rest.firstRange(of: part) {
            count += 1
            rest = rest[range.upperBound...]
        }
        return count
    }
}
