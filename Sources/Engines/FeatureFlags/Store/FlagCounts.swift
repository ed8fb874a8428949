import KernelJSON
import KernelStructures

/// How often flags were evaluated, by the hour, as clients report it.
///
/// Bounded: so many flags, hours and variants, and what comes beyond is counted as dropped and nothing else.
public struct FlagCounts: Sendable {
    public struct Key: Hashable, Comparable, Sendable {
        public let flag: String
        public let environment: String
        /// Hours since 1970.
        public let hour: Int

        public static func < (a: Key, b: Key) -> Bool {
            (a.flag, a.environment, a.hour) < (b.flag, b.environment, b.hour)
        }
    }

    public struct Cell: Equatable, Sendable {
        public var yes = 0
        public var no = 0
        public var variants: [String: Int] = [:]

        public init() {}

        init(yes: Int, no: Int, variants: [String: Int]) {
            self.yes = yes
            self.no = no
            self.variants = variants
        }

        public var total: Int { yes + no }

        mutating func add(_ other: Cell) {
            yes = Self.sum(yes, other.yes)
            no = Self.sum(no, other.no)
            for (name, count) in other.variants
            where variants[name] != nil || variants.count < FlagStore.variantLimit {
                variants[name] = Self.sum(variants[name] ?? 0, count)
            }
        }

        /// Stops at 2^53: JSON's readers keep no more.
        private static func sum(_ a: Int, _ b: Int) -> Int { min(1 << 53, max(0, a) + max(0, min(b, 1 << 53))) }
    }

    public private(set) var cells: [Key: Cell] = [:]
    /// Reports that found no room.
    public private(set) var droppedCount = 0
    private var dirty: Set<Key> = []
    /// Cells whose time is over.
    private var expired: [Key] = []

    public static let cellLimit = 200_000
    /// For so long numbers are kept.
    public static let retention = LabDuration.seconds(30 * 86_400)

    public init() {}

    static func hour(_ time: LabTime) -> Int { Int(time.unixSeconds / 3_600) }

    public mutating func add(_ cell: Cell, flag: String, environment: String, at now: LabTime) {
        let key = Key(flag: flag, environment: environment, hour: Self.hour(now))
        guard cells[key] != nil || cells.count < Self.cellLimit else {
            droppedCount += 1
            return
        }
        cells[key, default: Cell()].add(cell)
        dirty.insert(key)
    }

    /// The sum over the last time, in whole hours.
    public func total(_ flag: String, in environment: String?, last time: LabDuration, now: LabTime) -> Cell {
        let first = Self.hour(now - time)
        var sum = Cell()
        for key in cells.keys.sorted()
        where key.flag == flag && key.hour >= first && (environment == nil || key.environment == environment) {
            if let cell = cells[key] { sum.add(cell) }
        }
        return sum
    }

    public mutating func expire(now: LabTime) {
        let first = Self.hour(now - Self.retention)
        for key in cells.keys where key.hour < first {
            cells[key] = nil
            dirty.remove(key)
            expired.append(key)
        }
    }

    // MARK: Storing

    public mutating func takeDocuments() -> [FlagDocument] {
        let documents = (dirty.sorted() + expired.sorted()).map { key in
            FlagDocument(
                kind: "count", key: "\(key.environment)/\(key.hour)/\(key.flag)",
                body: cells[key].map { Self.json($0, key) })
        }
        dirty = []
        expired = []
        return documents
    }

    private static func json(_ cell: Cell, _ key: Key) -> JSONValue {
        .object([
            ("flag", .string(key.flag)), ("environment", .string(key.environment)), ("hour", .integer(key.hour)),
            ("yes", .integer(cell.yes)), ("no", .integer(cell.no)),
            ("variants", .object(cell.variants.sorted { $0.key < $1.key }.map { ($0.key, .integer($0.value)) })),
        ])
    }

    /// - Throws: `JSONTypeError`.
    public mutating func read(_ document: FlagDocument) throws(JSONTypeError) {
        guard document.kind == "count", let value = document.body else { return }
        let body = JSONCursor(value)
        let range = 0...1 << 53
        let key = Key(
            flag: try body["flag"].string(), environment: try body["environment"].string(),
            hour: try body["hour"].integer(in: range))
        var cell = Cell()
        cell.yes = try body["yes"].integer(in: range)
        cell.no = try body["no"].integer(in: range)
        for (name, count) in try body["variants"].members() { cell.variants[name] = try count.integer(in: range) }
        if cells.count < Self.cellLimit { cells[key] = cell }
    }
}

/// What a client reports: Unleash's `POST /api/client/metrics`.
public struct FlagUsage: Equatable, Sendable {
    public var appName: String
    public var environment: String?
    public var flags: [String: FlagCounts.Cell]

    public static let flagLimit = 10_000

    public init(appName: String, environment: String? = nil, flags: [String: FlagCounts.Cell] = [:]) {
        self.appName = appName
        self.environment = environment
        self.flags = flags
    }

    /// - Throws: `JSONTypeError`.
    public init(_ value: JSONValue) throws(JSONTypeError) {
        let body = JSONCursor(value)
        appName = try body["appName"].ifPresent?.string() ?? "unknown"
        environment = try body["environment"].ifPresent?.string()
        flags = [:]
        guard let bucket = body["bucket"].ifPresent else { return }
        _ = try bucket.members()
        guard let toggles = bucket["toggles"].ifPresent else { return }
        let members = try toggles.members()
        guard members.count <= Self.flagLimit else { throw toggles.error("more than \(Self.flagLimit) flags") }
        let range = 0...1 << 53
        for (name, toggle) in members {
            var cell = FlagCounts.Cell()
            cell.yes = try toggle["yes"].ifPresent?.integer(in: range) ?? 0
            cell.no = try toggle["no"].ifPresent?.integer(in: range) ?? 0
            for (variant, count) in try toggle["variants"].ifPresent?.members() ?? []
            where cell.variants.count < FlagStore.variantLimit {
                cell.variants[variant] = try count.integer(in: range)
            }
            flags[name] = cell
        }
    }

    /// - Parameters start, stop: of the time in which it was counted.
    public func json(start: LabTime, stop: LabTime, instanceID: String) -> JSONValue {
        let toggles = flags.sorted { $0.key < $1.key }.map { name, cell -> (key: String, value: JSONValue) in
            let variants = cell.variants.sorted { $0.key < $1.key }
            return (
                name,
                .object([
                    ("yes", .integer(cell.yes)), ("no", .integer(cell.no)),
                    ("variants", .object(variants.map { ($0.key, .integer($0.value)) })),
                ])
            )
        }
        return .object([
            ("appName", .string(appName)), ("instanceId", .string(instanceID)),
            ("environment", environment.map { .string($0) } ?? .null),
            (
                "bucket",
                .object([
                    ("start", .string(start.description)), ("stop", .string(stop.description)),
                    ("toggles", .object(toggles)),
                ])
            ),
        ])
    }
}
