import KernelStructures
import KernelWire

extension PoolerConfiguration {
    private static let limitBytes = 1 << 20

    /// Reads a file of sections: `[databases]`, `[users]` and `[pgbouncer]`.
    ///
    /// - Parameter file: what it is called, for errors.
    /// - Throws: what is wrong, with file and line.
    public init(parsing bytes: [UInt8], file: String) throws(Malformed) {
        self.init()
        guard bytes.count <= Self.limitBytes, let text = String(validating: bytes, as: UTF8.self) else {
            throw Malformed("\(file): it is no text of at most 1 MiB in UTF-8")
        }
        var section = ""
        for (index, raw) in ConfigurationLines.split(text).enumerated() {
            let line = Self.trimmed(raw)
            if line.isEmpty || line.hasPrefix(";") || line.hasPrefix("#") { continue }
            do throws(Malformed) {
                if line.hasPrefix("[") {
                    section = try Self.section(line)
                } else {
                    try take(line, section)
                }
            } catch {
                throw Malformed("\(file):\(index + 1): \(error.description)")
            }
        }
    }

    private static func trimmed(_ text: some StringProtocol) -> String {
        var slice = Substring(text)
        while let first = slice.first, first.isWhitespace { slice.removeFirst() }
        while let last = slice.last, last.isWhitespace { slice.removeLast() }
        return String(slice)
    }

    private static func section(_ line: String) throws(Malformed) -> String {
        let name = line.dropFirst().dropLast()
        guard line.hasSuffix("]"), ["databases", "users", "pgbouncer"].contains(name) else {
            throw Malformed("'\(line)' is no section: [databases], [users] or [pgbouncer]")
        }
        return String(name)
    }

    private mutating func take(_ line: String, _ section: String) throws(Malformed) {
        if line.hasPrefix("%include") { throw Malformed("%include is not supported; write it all into one file") }
        guard let mark = line.firstIndex(of: "=") else { throw Malformed("'\(line)' is not NAME = VALUE") }
        let name = Self.trimmed(line[..<mark])
        let value = Self.trimmed(line[line.index(after: mark)...])
        switch section {
        case "pgbouncer": try set(name, value)
        case "databases": try add(try PoolerDatabase(name, connection: value))
        case "users": add(try PoolerUser(name, settings: value))
        default: throw Malformed("'\(name)' stands before any section; begin with [databases]")
        }
    }
}

extension PoolerDatabase {
    /// - Parameter connection: `host=db port=5432 dbname=urls user=app`, values with blanks in single quotes.
    public init(_ name: String, connection: String) throws(PoolerConfiguration.Malformed) {
        self.init(Self.unquoted(name), server: HostPort(host: "localhost", port: PostgresURL.defaultPort))
        var host = "localhost"
        var port = PostgresURL.defaultPort
        for (key, value) in try KeyValues.read(connection) {
            switch key {
            case "host": host = value
            case "port":
                guard let number = UInt16(value), number > 0 else {
                    throw .init("port=\(value): it must be a number from 1 to 65535")
                }
                port = number
            default: try set(key, value)
            }
        }
        guard !host.hasPrefix("/"), !host.contains(",") else {
            throw .init("host=\(host): one name or address; unix sockets and lists of hosts are not supported")
        }
        server = HostPort(host: host, port: port)
    }

    private mutating func set(_ key: String, _ value: String) throws(PoolerConfiguration.Malformed) {
        switch key {
        case "dbname": databaseName = value
        case "user": user = value
        case "password": password = value
        case "pool_size": poolSize = try KeyValues.count(key, value, 1...10_000)
        case "min_pool_size": minPoolSize = try KeyValues.count(key, value, 0...10_000)
        case "reserve_pool": reservePool = try KeyValues.count(key, value, 0...10_000)
        case "max_db_connections": maxConnections = try KeyValues.count(key, value, 0...1_000_000)
        case "pool_mode": poolMode = try KeyValues.mode(value)
        case "connect_query": connectQuery = value
        case "client_encoding", "datestyle", "timezone", "application_name": settings.append(.init(key, value))
        default: throw .init("'\(key)' is no parameter of a database here")
        }
    }

    private static func unquoted(_ name: String) -> String {
        name.count > 1 && name.hasPrefix("\"") && name.hasSuffix("\"") ? String(name.dropFirst().dropLast()) : name
    }
}

extension PoolerUser {
    init(_ name: String, settings: String) throws(PoolerConfiguration.Malformed) {
        self.init(name)
        for (key, value) in try KeyValues.read(settings) {
            switch key {
            case "pool_mode": poolMode = try KeyValues.mode(value)
            case "max_user_connections": maxConnections = try KeyValues.count(key, value, 0...1_000_000)
            default: throw .init("'\(key)' is no parameter of a user: pool_mode, max_user_connections")
            }
        }
    }
}

/// A file's lines, empty ones among them. CR LF, one character to Swift, ends a line as LF does.
enum ConfigurationLines {
    static func split(_ text: String) -> [Substring] {
        text.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r\n" }
    }
}

/// `key=value key='a value'`, as libpq's connection strings are.
enum KeyValues {
    static func read(_ text: String) throws(PoolerConfiguration.Malformed) -> [(String, String)] {
        var pairs: [(String, String)] = []
        var rest = Substring(text)
        while true {
            while let first = rest.first, first.isWhitespace { rest.removeFirst() }
            if rest.isEmpty { return pairs }
            let key = rest.prefix { $0 != "=" && !$0.isWhitespace }
            rest = rest[key.endIndex...]
            while let first = rest.first, first.isWhitespace { rest.removeFirst() }
            guard !key.isEmpty, rest.first == "=" else {
                throw .init("'\(text)' is not a list of KEY=VALUE")
            }
            rest.removeFirst()
            while let first = rest.first, first.isWhitespace { rest.removeFirst() }
            pairs.append((String(key), try value(&rest)))
        }
    }

    private static func value(_ rest: inout Substring) throws(PoolerConfiguration.Malformed) -> String {
        guard rest.first == "'" else {
            let word = rest.prefix { !$0.isWhitespace }
            rest = rest[word.endIndex...]
            return String(word)
        }
        rest.removeFirst()
        var value = ""
        while let next = rest.popFirst() {
            if next != "'" {
                value.append(next)
            } else if rest.first == "'" {
                value.append("'")
                rest.removeFirst()
            } else {
                return value
            }
        }
        throw .init("a quote is not closed")
    }

    static func count(_ key: String, _ value: String, _ range: ClosedRange<Int>) throws(PoolerConfiguration.Malformed)
        -> Int
    {
        guard let number = Int(value), range.contains(number) else {
            throw .init("\(key)=\(value): it must be a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    static func mode(_ value: String) throws(PoolerConfiguration.Malformed) -> PoolingMode {
        guard let mode = PoolingMode(rawValue: value) else {
            throw .init("pool_mode=\(value): it must be session, transaction or statement")
        }
        return mode
    }
}

/// `userlist.txt`: `"name" "password or digest or SCRAM verifier"`, one a line.
public enum UserList {
    public static func read(_ bytes: [UInt8], file: String) throws(PoolerConfiguration.Malformed) -> [String: String] {
        var users: [String: String] = [:]
        let text = String(decoding: bytes.prefix(16 << 20), as: UTF8.self)
        for (index, line) in ConfigurationLines.split(text).enumerated() {
            if line.isEmpty || line.hasPrefix(";") || line.allSatisfy(\.isWhitespace) { continue }
            var rest = Substring(line)
            guard let name = quoted(&rest), let secret = quoted(&rest) else {
                throw .init("\(file):\(index + 1): it must be \"name\" \"password\"")
            }
            users[name] = secret
        }
        return users
    }

    private static func quoted(_ rest: inout Substring) -> String? {
        while let first = rest.first, first.isWhitespace { rest.removeFirst() }
        guard rest.popFirst() == "\"" else { return nil }
        var text = ""
        while let next = rest.popFirst() {
            if next != "\"" {
                text.append(next)
            } else if rest.first == "\"" {
                text.append("\"")
                rest.removeFirst()
            } else {
                return text
            }
        }
        return nil
    }
}
