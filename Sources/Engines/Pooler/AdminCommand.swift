/// What can be said to the pooler's own database, `pgbouncer`.
public enum AdminCommand: Equatable, Sendable {
    case show(Subject)
    case set(name: String, value: String)
    /// Of one database, or of all.
    case pause(String?)
    case resume(String?)
    case disable(String)
    case enable(String)
    case reconnect(String?)
    case kill(String)
    case waitClose(String?)
    case reload
    case shutdown
    case suspend

    public enum Subject: String, CaseIterable, Sendable {
        case clients, config, databases, help, lists, mem, pools, servers, sockets, stats
        case activeSockets = "active_sockets"
        case descriptors = "fds"
        case hosts = "dns_hosts"
        case zones = "dns_zones"
        case averages = "stats_averages"
        case totals = "stats_totals"
        /// Of all databases together.
        case sums = "totals"
        case users, version, state
        case prepared = "prepared_statements"
    }

    public struct Malformed: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// Reads one statement; case and a semicolon at its end do not count.
    public init(parsing text: String) throws(Malformed) {
        var words = text.split { $0.isWhitespace || $0 == ";" }.map(String.init)
        guard !words.isEmpty else { throw Malformed(description: "invalid command '', use SHOW HELP;") }
        let verb = words.removeFirst().lowercased()
        let refusal = Malformed(description: "invalid command '\(text.prefix(200))', use SHOW HELP;")
        let name = words.first.map(Self.unquoted)
        if verb != "set", verb != "show", words.count > 1 { throw refusal }
        switch verb {
        case "show":
            guard words.count == 1, let subject = Subject(rawValue: words[0].lowercased()) else { throw refusal }
            self = .show(subject)
        case "set": self = try Self.setting(text, refusal)
        case "pause": self = .pause(name)
        case "resume": self = .resume(name)
        case "reconnect": self = .reconnect(name)
        case "wait_close": self = .waitClose(name)
        case "disable", "enable", "kill":
            guard let name else { throw Malformed(description: "\(verb): a database is required") }
            self = verb == "disable" ? .disable(name) : verb == "enable" ? .enable(name) : .kill(name)
        case "reload" where words.isEmpty: self = .reload
        case "shutdown" where words.isEmpty: self = .shutdown
        case "suspend" where words.isEmpty: self = .suspend
        default: throw refusal
        }
    }

    private static func unquoted(_ word: String) -> String {
        word.count > 1 && word.hasPrefix("\"") && word.hasSuffix("\"") ? String(word.dropFirst().dropLast()) : word
    }

    /// `SET name = value`, the value in quotes or not.
    private static func setting(_ text: String, _ refusal: Malformed) throws(Malformed) -> AdminCommand {
        var rest = text.drop { $0.isWhitespace }.dropFirst(3)
        func skip() { rest = rest.drop { $0.isWhitespace } }
        skip()
        let name = rest.prefix { $0.isLetter || $0 == "_" || $0.isNumber }
        rest = rest[name.endIndex...]
        skip()
        if rest.first == "=" { rest.removeFirst() } else if rest.lowercased().hasPrefix("to ") { rest.removeFirst(2) }
        skip()
        while let last = rest.last, last.isWhitespace || last == ";" { rest.removeLast() }
        guard !name.isEmpty, rest.startIndex != rest.endIndex else { throw refusal }
        var value = String(rest)
        if value.count > 1, value.hasPrefix("'"), value.hasSuffix("'") { value = String(value.dropFirst().dropLast()) }
        return .set(name: name.lowercased(), value: value)
    }
}
