import KernelJSON
import KernelLog
import KernelStorage

/// What an agent must not forget: who it is, and how far it has come in each file.
///
/// It is a file of JSON, so that whoever wonders can look.
struct AgentCursors {
    var agent = ""
    /// The next file gets this one.
    var nextGeneration = 1
    var files: [Cursor] = []

    struct Cursor: Equatable {
        let path: String
        let identity: UInt64
        let generation: Int
        /// All before is durable elsewhere.
        let offset: Int
        let head: Fingerprint
    }

    static let fileLimit = 100_000

    init() {}

    /// - Returns: nil where there is none.
    /// - Throws: `DiskError`; `LogAgentStartError` for what is no such file.
    static func load(_ disk: NodeDisk, _ path: String) throws -> AgentCursors? {
        guard (try? disk.attributes(path)) != nil else { return nil }
        let bytes = try disk.contents(of: path)
        do { return try AgentCursors(bytes) } catch { throw LogAgentStartError.damaged(path, problem: "\(error)") }
    }

    private init(_ bytes: [UInt8]) throws {
        let cursor = JSONCursor(try JSONValue(parsing: bytes))
        agent = try cursor["agent"].string()
        guard !agent.isEmpty, agent.utf8.count <= 64 else { throw cursor["agent"].error("no name of 1 to 64 bytes") }
        nextGeneration = try cursor["next_generation"].integer(in: 1...AgentProtocol.numberLimit - Self.fileLimit)
        for file in try cursor["files"].array().prefix(Self.fileLimit) {
            guard let identity = UInt64(try file["inode"].string()) else { throw file["inode"].error("not a number") }
            let head = Fingerprint(
                count: try file["head_bytes"].integer(in: 0...Fingerprint.limit),
                sum: UInt32(clamping: try file["head_crc"].integer(in: 0...Int(UInt32.max))))
            files.append(
                Cursor(
                    path: try file["path"].string(), identity: identity,
                    generation: try file["generation"].integer(in: 0...AgentProtocol.numberLimit),
                    offset: try file["offset"].integer(in: 0...AgentProtocol.numberLimit), head: head))
        }
    }

    func save(_ disk: NodeDisk, _ path: String) throws(DiskError) {
        let value = JSONValue.object([
            ("agent", .string(agent)), ("next_generation", .integer(nextGeneration)),
            (
                "files",
                .array(
                    files.map { file in
                        .object([
                            ("path", .string(file.path)), ("inode", .string(String(file.identity))),
                            ("generation", .integer(file.generation)), ("offset", .integer(file.offset)),
                            ("head_bytes", .integer(file.head.count)), ("head_crc", .integer(Int(file.head.sum))),
                        ])
                    })
            ),
        ])
        try disk.replace(path, Array((value.text + "\n").utf8)).close()
    }
}
