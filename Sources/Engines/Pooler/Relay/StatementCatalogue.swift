/// All prepared statements of a pooler's clients: what is the same text with the same types has one number, whoever
/// calls it by which name. At servers it is called `sdlab_NUMBER`.
public final class StatementCatalogue {
    private struct Key: Hashable {
        /// Query and types as a Parse has them behind the name.
        let content: [UInt8]
    }

    public struct Statement: Sendable {
        public let number: Int
        /// Query and types as a Parse has them behind the name.
        public let content: [UInt8]
        fileprivate var users: Int

        /// What it asks, for people.
        public var query: String { String(decoding: content.prefix { $0 != 0 }, as: UTF8.self) }
    }

    private var numbers: [Key: Int] = [:]
    private var statements: [Int: Statement] = [:]
    private var last = 0

    public init() {}

    public var count: Int { statements.count }
    public subscript(number: Int) -> Statement? { statements[number] }

    /// A client prepares this; to be released once.
    public func use(_ content: UnsafeRawBufferPointer) -> Int {
        let key = Key(content: Array(content))
        if let number = numbers[key] {
            statements[number]!.users += 1
            return number
        }
        last += 1
        numbers[key] = last
        statements[last] = Statement(number: last, content: key.content, users: 1)
        return last
    }

    /// A client does not need it any more.
    public func release(_ number: Int) {
        guard let statement = statements[number] else { return }
        if statement.users > 1 {
            statements[number]!.users -= 1
        } else {
            statements[number] = nil
            numbers[Key(content: statement.content)] = nil
        }
    }

    /// The name at servers.
    public static func name(_ number: Int) -> [UInt8] {
        var name = Array("sdlab_".utf8)
        name.append(contentsOf: String(number).utf8)
        return name
    }
}

/// The names that one client has given to prepared statements.
public struct ClientStatements {
    private var numbers: [[UInt8]: Int] = [:]

    /// A client with more is out of order.
    public static let limit = 10_000

    public init() {}

    public var count: Int { numbers.count }
    public subscript(name: [UInt8]) -> Int? { numbers[name] }
    public var all: [Int] { numbers.values.sorted() }

    /// - Returns: false if there are too many.
    public mutating func add(_ name: [UInt8], _ number: Int) -> Bool {
        guard numbers.count < Self.limit else { return false }
        numbers[name] = number
        return true
    }

    public mutating func remove(_ name: [UInt8]) -> Int? { numbers.removeValue(forKey: name) }

    public mutating func removeAll() -> [Int] {
        let numbers = self.numbers.values.sorted()
        self.numbers = [:]
        return numbers
    }
}

/// The statements that one server has prepared; the one unused for longest goes when there are too many.
public struct ServerStatements {
    private var usedAt: [Int: Int] = [:]
    private var uses = 0
    private let limit: Int

    /// - Parameter limit: `max_prepared_statements`.
    public init(limit: Int) { self.limit = max(1, limit) }

    public var count: Int { usedAt.count }

    /// Notes a use. Returns whether it has to be prepared, and which one has to go for it.
    public mutating func use(_ number: Int) -> (isNew: Bool, evicted: Int?) {
        uses += 1
        if usedAt.updateValue(uses, forKey: number) != nil { return (false, nil) }
        guard usedAt.count > limit else { return (true, nil) }
        let oldest = usedAt.filter { $0.key != number }.min { ($0.value, $0.key) < ($1.value, $1.key) }
        if let oldest { usedAt[oldest.key] = nil }
        return (true, oldest?.key)
    }

    public mutating func forget(_ number: Int) { usedAt[number] = nil }
    public mutating func removeAll() { usedAt = [:] }
}
