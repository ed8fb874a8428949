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

    /// - Returns: nil where there is none.
    /// - Throws: `DiskError`; `JSONError` and `JSONTypeError` for what is no such file.
    static func load(_ disk: NodeDisk, _ path: String) throws -> AgentCursors? {
        guard (try? disk.attributes(path)) != nil else { return nil }
        let cursor = JSONCursor(try JSONValue(parsing: try disk.contents(of: path)))
        var result = AgentCursors()
        result.agent = try cursor["agent"].string()
        result.nextGeneration = try cursor["next_generation"].integer(in: 1...Int.max - fileLimit)
        for file in try cursor["files"].array().prefix(fileLimit) {
            guard let identity = UInt64(try file["inode"].string()) else { throw file["inode"].error("not a number") }
            let head = Fingerprint(
                count: try file["head_bytes"].integer(in: 0...Fingerprint.limit),
                sum: UInt32(clamping: try file["head_crc"].integer(in: 0...Int(UInt32.max))))
            result.files.append(
                Cursor(
                    path: try file["path"].string(), identity: identity,
                    generation: try file["generation"].integer(in: 0...Int.max),
                    offset: try file["offset"].integer(in: 0...1 << 60), head: head))
        }
        return result
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
