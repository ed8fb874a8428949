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
///
/// A server passes over a Close as over all else between an error and the next Sync, and a Parse of a name that is
/// taken is an error. So a statement counts as gone once the server has said so: until then it is closed first when it
/// is prepared again, and what the server has passed over is closed with the next ones.
public struct ServerStatements {
    private var usedAt: [Int: Int] = [:]
    private var uses = 0
    /// Closes that the server has not answered yet, by statement.
    private var closing: [Int: Int] = [:]
    /// Those that the server may have although they do not count as prepared, the oldest first; each once.
    private var doubtful: [Int] = []
    private let limit: Int

    /// - Parameter limit: `max_prepared_statements`.
    public init(limit: Int) { self.limit = max(1, limit) }

    public var count: Int { usedAt.count }

    /// Of the doubtful ones, so many are closed with each that is prepared.
    private static let doubtfulCloses = 8

    /// Notes a use. Returns whether it has to be prepared, and which ones have to be closed before that, in this order.
    public mutating func use(_ number: Int) -> (isNew: Bool, closes: [Int]) {
        uses += 1
        if usedAt.updateValue(uses, forKey: number) != nil { return (false, []) }
        var closes: [Int] = []
        if !doubtful.isEmpty {
            if closing[number] != nil || doubtful.contains(number) { closes.append(number) }
            doubtful.removeAll { $0 == number }
            closes += doubtful.prefix(Self.doubtfulCloses)
            doubtful.removeFirst(min(doubtful.count, Self.doubtfulCloses))
        } else if closing[number] != nil {
            closes.append(number)
        }
        if usedAt.count > limit {
            let oldest = usedAt.filter { $0.key != number }.min { ($0.value, $0.key) < ($1.value, $1.key) }
            if let oldest {
                usedAt[oldest.key] = nil
                closes.append(oldest.key)
            }
        }
        for number in closes { closing[number, default: 0] += 1 }
        return (true, closes)
    }

    /// Takes note of what the server has done of that, and what not.
    public mutating func settle(_ conversation: inout Conversation) {
        for number in conversation.takeUnprepared() {
            // A later Parse of the same statement may be on its way.
            usedAt[number] = nil
            doubt(number)
        }
        for outcome in conversation.takeClosings() {
            let number = outcome.statement
            if let count = closing[number] { closing[number] = count > 1 ? count - 1 : nil }
            // One that is prepared again by now was closed for that.
            if !outcome.isDone, usedAt[number] == nil { doubt(number) }
        }
    }

    private mutating func doubt(_ number: Int) { if !doubtful.contains(number) { doubtful.append(number) } }

    /// The server has none any more.
    public mutating func removeAll() {
        usedAt = [:]
        doubtful = []
    }
}
