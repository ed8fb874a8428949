import KernelStructures
import KernelWire
import KernelWorld

extension RESPServer {
    /// What every server answers, whatever it serves.
    static var standardCommands: [RESPCommand] {
        connectionCommands + [clientCommand, commandCommand]
    }

    private static var connectionCommands: [RESPCommand] {
        let group = "connection"
        return [
            RESPCommand(
                "ping", arity: -1, [.fast], group: group, "Ping the server",
                action: { connection, arguments in
                    switch arguments.count {
                    case 1: connection.reply.raw("+PONG\r\n")
                    case 2: connection.reply.bulk(arguments[1])
                    default: connection.reply.error("ERR wrong number of arguments for 'ping' command")
                    }
                }),
            RESPCommand(
                "echo", arity: 2, [.fast], group: group, "Echo the given string",
                action: { $0.reply.bulk($1[1]) }),
            RESPCommand(
                "select", arity: 2, [.loading, .stale, .fast], group: group, "Select a database; there is only 0",
                action: { connection, arguments in
                    switch arguments.integer(1) {
                    case nil: connection.reply.error("ERR value is not an integer or out of range")
                    case 0: connection.reply.ok()
                    case let number? where Int32(exactly: number) == nil:
                        connection.reply.error(
                            "ERR value is out of range, value must between \(Int32.min) and \(Int32.max)")
                    default: connection.reply.error("ERR DB index is out of range")
                    }
                }),
            RESPCommand(
                "quit", arity: -1, [.loading, .stale, .fast, .noAuthentication, .immediate], group: group,
                "Close the connection",
                action: { connection, _ in
                    connection.reply.ok()
                    connection.closeAfterReplies()
                }),
            RESPCommand(
                "reset", arity: 1, [.loading, .stale, .fast, .noAuthentication, .immediate], group: group,
                "Reset the connection", action: { connection, _ in connection.reset() }),
            RESPCommand(
                "hello", arity: -1, [.loading, .stale, .fast, .noAuthentication], group: group,
                "Handshake with the server", action: hello),
            RESPCommand(
                "auth", arity: -2, [.loading, .stale, .fast, .noAuthentication], group: group,
                "Authenticate to the server; no password is configured", action: authenticate),
            RESPCommand(
                "time", arity: 1, [.loading, .stale, .fast], group: "server", "Return the current server time",
                action: { connection, _ in
                    let now = connection.stream.node.wallClock
                    let microseconds = (now.nanoseconds - now.unixSeconds * 1_000_000_000) / 1000
                    connection.reply.bulks(["\(now.unixSeconds)", "\(microseconds)"])
                }),
        ]
    }

    /// `HELLO [version [AUTH user password] [SETNAME name]]`
    private static func hello(_ connection: RESPServerConnection, _ arguments: RESPArguments) {
        var version = connection.version
        if arguments.count > 1 {
            guard let number = arguments.integer(1) else {
                return connection.reply.error("ERR Protocol version is not an integer or out of range")
            }
            guard let known = RESPVersion(rawValue: number) else {
                return connection.reply.error("NOPROTO unsupported protocol version")
            }
            version = known
        }
        var name: String?
        var index = 2
        while index < arguments.count {
            let left = arguments.count - index - 1
            if left >= 2, arguments.isWord(index, "AUTH") {
                guard arguments.text(index + 1) == "default" else { return connection.reply.error(wrongPassword) }
                index += 3
            } else if left >= 1, arguments.isWord(index, "SETNAME") {
                guard let valid = clientWord(arguments[index + 1]) else { return connection.reply.error(badName) }
                name = valid
                index += 2
            } else {
                return connection.reply.error("ERR Syntax error in HELLO option '", arguments.printed(index), "'")
            }
        }
        connection.reply.version = version
        if let name { connection.name = name }
        let options = connection.server.options
        connection.reply.map([
            ("server", .text(options.serverName)), ("version", .text(options.compatibleVersion)),
            ("proto", .integer(version.rawValue)), ("id", .integer(connection.number)), ("mode", .text(options.mode)),
            ("role", .text("master")), ("modules", .array([])),
        ])
    }

    private static let wrongPassword = "WRONGPASS invalid username-password pair or user is disabled."
    static let badName = "ERR Client names cannot contain spaces, newlines or special characters."

    /// There is no password: a client that sends one has taken this for another server. The user `default` may come
    /// with any, as in Redis.
    private static func authenticate(_ connection: RESPServerConnection, _ arguments: RESPArguments) {
        switch arguments.count {
        case 2:
            connection.reply.error(
                "ERR AUTH <password> called without any password configured for the default user. "
                    + "Are you sure your configuration is correct?")
        case 3:
            if arguments.text(1) == "default" {
                connection.reply.ok()
            } else {
                connection.reply.error(wrongPassword)
            }
        default: connection.reply.error("ERR syntax error")
        }
    }

    /// A name that can stand in `CLIENT LIST`; nil for one that cannot.
    static func clientWord(_ bytes: UnsafeRawBufferPointer) -> String? {
        guard bytes.count <= 1024, bytes.allSatisfy({ $0 > 32 && $0 < 127 }) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension RESPServerConnection {
    /// RESET: as a new connection, on the same stream.
    func reset() {
        transaction = nil
        name = ""
        replyMode = .on
        server.service.connectionReset(self)
        reply.version = .two
        reply.raw("+RESET\r\n")
    }
}
