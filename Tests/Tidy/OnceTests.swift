import Testing

/// What stands in one place only: the signs of a second copy, and the rooms in which they may be.
@Suite struct OnceTests {
    private static let signs: [(what: String, texts: [String], rooms: [String])] = [
        ("the exposition of metrics", ["# TYPE ", "# HELP "], ["Engines/Kernel/Telemetry/"]),
        ("reading a configuration again", ["Not reloaded"], ["Engines/Kernel/Service/"]),
        (
            "stopping in order", ["whenStopped", "Gave up on"],
            ["Engines/Kernel/Service/"]
        ),
        ("a drain's book-keeping", ["DrainWatch", "whenIdle"], ["Engines/Kernel/Hosting/"]),
        ("trace contexts", ["trace-id"], ["Engines/Kernel/Telemetry/"]),
        (
            "the flags that all services have",
            ["\"drain-timeout\"", "\"reuse-port\"", "\"tls-cert\"", "\"watch\", nil"],
            ["Commands/Services/", "Shell/Lab/", "Shell/Main/"]
        ),
    ]

    @Test("what every service does stands once")
    func once() throws {
        for file in try Repository.swiftFiles(under: "Sources") {
            let text = try Repository.text("Sources/\(file)")
            for (what, texts, rooms) in Self.signs where !rooms.contains(where: file.hasPrefix) {
                for sign in texts where text.contains(sign) {
                    Issue.record("Sources/\(file): '\(sign)' is a sign of \(what), which stands in \(rooms[0])")
                }
            }
        }
    }
}
