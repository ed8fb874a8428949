import Testing

/// Datagrams of a process of its own, on the host's network.
@Suite struct ProcessDatagramTests {
    @Test("a port that nobody has is said so, and nothing else happens", arguments: ["1", "3"])
    func refusals(count: String) throws {
        let scratch = try ProgramDirectory()
        let port = try ProgramPort.free()
        let process = try ProgramProcess(
            ["udp", "send", "127.0.0.1:\(port)", "hi", "--count", count], directory: scratch.path)
        #expect(try process.waitForExit() == 1)
        #expect(process.errors.contains("port unreachable"), "\(process.errors)")
    }
}
