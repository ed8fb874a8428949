import KernelJSON
import KernelStructures

/// A program of the machine that an experiment starts, to do to it what the kernel can do to programs.
///
/// ```yaml
/// programs:
///   - name: web
///     command: python3 -m http.server 8080
///     port: 8080
///     memory: 64MB                          # its limit (a control group)
///     disk: {path: /mnt, size: 16MB}        # a disk of its own that can be full (a tmpfs)
/// ```
public struct HostProgramPlan: Equatable, Sendable {
    public var name: String
    /// A line for the machine's shell.
    public var command: String
    /// Where it listens, on all its addresses; the experiment reaches it at `name:port`.
    public var port: UInt16
    public var memoryBytes: Int?
    public var disk: Disk?

    public struct Disk: Equatable, Sendable {
        /// A directory that there is; what it holds is hidden from the program.
        public var path: String
        public var sizeBytes: Int
    }

    public static let limit = 16
    private static let memoryRange = (4 << 20)...(1 << 40)
    private static let diskRange = (64 << 10)...(1 << 30)

    /// - Throws: `ExperimentError` that names the member.
    init(_ cursor: JSONCursor) throws(ExperimentError) {
        self = try reading { () throws(JSONTypeError) in
            try cursor.expectNoMembers(besides: ["name", "command", "port", "memory", "disk"])
            let name = try cursor["name"].string()
            guard (1...40).contains(name.utf8.count), name.utf8.allSatisfy(Self.isOfName) else {
                throw cursor["name"].error("'\(name)' is no name of 1 to 40 small letters, digits and -")
            }
            let command = try cursor["command"].string()
            guard !command.isEmpty, !command.utf8.contains(0) else { throw cursor["command"].error("is empty") }
            var plan = HostProgramPlan(
                name: name, command: command, port: UInt16(try cursor["port"].integer(in: 1...65_535)))
            if let memory = cursor["memory"].ifPresent { plan.memoryBytes = try memory.size(in: Self.memoryRange) }
            if let disk = cursor["disk"].ifPresent {
                try disk.expectNoMembers(besides: ["path", "size"])
                let path = try disk["path"].string()
                let isPlain = path.utf8.allSatisfy { Self.isOfName($0) || $0 == 47 || $0 == 95 || $0 == 46 }
                guard path.hasPrefix("/"), path.count > 1, isPlain else {
                    throw disk["path"].error("'\(path)' is no directory such as /mnt")
                }
                plan.disk = Disk(path: path, sizeBytes: try disk["size"].size(in: Self.diskRange))
            }
            return plan
        }
    }

    private init(name: String, command: String, port: UInt16) {
        self.name = name
        self.command = command
        self.port = port
    }

    private static func isOfName(_ byte: UInt8) -> Bool {
        byte >= 97 && byte <= 122 || byte >= 48 && byte <= 57 || byte == 45
    }

    /// Those of an experiment, each name and each port once.
    static func all(_ cursor: JSONCursor) throws(ExperimentError) -> [HostProgramPlan] {
        var plans: [HostProgramPlan] = []
        for entry in try cursor.elements() {
            let plan = try HostProgramPlan(entry)
            if plans.contains(where: { $0.name == plan.name || $0.port == plan.port }) {
                throw ExperimentError(entry.path, "a program before it has the same name or port")
            }
            plans.append(plan)
        }
        guard plans.count <= limit else { throw ExperimentError(cursor.path, "more than \(limit) programs") }
        return plans
    }
}

extension JSONCursor {
    /// `64MB`, or a number of bytes.
    fileprivate func size(in range: ClosedRange<Int>) throws(JSONTypeError) -> Int {
        var count: Int?
        if case .string(let text)? = value { count = parseByteCount(text) } else { count = try integer() }
        guard let count, range.contains(count) else {
            throw error("is no size of \(byteCountText(range.lowerBound)) to \(byteCountText(range.upperBound))")
        }
        return count
    }
}
