import Testing

/// Scripts of whole clusters, message by message. Lines of etcd's log are not compared: what they say, the messages
/// and states around them show.
@Suite("Published scripts of clusters", .enabled(if: VectorFile.exists("raft")))
struct InteractionVectorTests {
    private static let logLevels = ["DEBUG ", "INFO ", "WARN ", "ERROR "]

    private static func withoutLog(_ lines: [String]) -> [String] {
        let kept = lines.filter { line in
            let text = line.drop { $0 == " " }
            return !logLevels.contains { text.hasPrefix($0) }
        }
        return kept.isEmpty ? ["ok"] : kept
    }

    @Test("every message, log and status as it was published", arguments: VectorFile.names("raft/interaction"))
    func script(file: String) throws {
        let cluster = ScriptedCluster()
        for one in try VectorFile.cases("raft/interaction/\(file)") {
            let expected = Self.withoutLog(one.expected)
            let lines = cluster.run(one)
            guard lines != expected else { continue }
            let place = zip(lines, expected).prefix { $0 == $1 }.count
            Issue.record(
                """
                \(file):\(one.line) \(one.command), line \(place + 1):
                is     \(place < lines.count ? lines[place] : "the end")
                should \(place < expected.count ? expected[place] : "the end")
                """)
            return
        }
    }

    @Test("there are fourteen") func count() { #expect(VectorFile.names("raft/interaction").count == 14) }
}
