import KernelWire

/// Which connections `CLIENT KILL` is to close: all of the conditions must hold.
private struct KillFilter {
    var number: Int?
    var remote: String?
    var local: String?
    /// Of a type that no connection is of, or of another user than `default`.
    var isOfNobody = false
    var isSubscribed: Bool?
    var skipsOwn = true

    /// Takes a condition in. False where it makes no sense, which has been answered then.
    mutating func add(_ arguments: RESPArguments, _ index: Int, _ reply: inout RESPWriter) -> Bool {
        guard index + 1 < arguments.count else {
            reply.error("ERR syntax error")
            return false
        }
        let start = reply.count
        let text = arguments.text(index + 1)
        if arguments.isWord(index, "ID") {
            number = arguments.integer(index + 1)
            if number.map({ $0 > 0 }) != true { reply.error("ERR client-id should be greater than 0") }
        } else if arguments.isWord(index, "TYPE") {
            switch text.lowercased() {
            case "normal": isSubscribed = false
            case "pubsub": isSubscribed = true
            case "master", "replica", "slave": isOfNobody = true
            default: reply.error("ERR Unknown client type '", arguments.printed(index + 1), "'")
            }
        } else if arguments.isWord(index, "ADDR") {
            remote = text
        } else if arguments.isWord(index, "LADDR") {
            local = text
        } else if arguments.isWord(index, "USER") {
            if text != "default" { reply.error("ERR No such user '", arguments.printed(index + 1), "'") }
        } else if arguments.isWord(index, "SKIPME") {
            skipsOwn = arguments.isWord(index + 1, "YES")
            if !skipsOwn, !arguments.isWord(index + 1, "NO") { reply.error("ERR syntax error") }
        } else {
            reply.error("ERR syntax error")
        }
        return reply.count == start
    }

    func means(_ connection: RESPServerConnection, askedBy asker: RESPServerConnection) -> Bool {
        if isOfNobody || skipsOwn && connection === asker { return false }
        if let isSubscribed, connection.subscriptions.isSubscribed != isSubscribed { return false }
        if let number, connection.number != number { return false }
        if let remote, "\(connection.stream.remote)" != remote { return false }
        if let local, "\(connection.stream.local)" != local { return false }
        return true
    }
}

extension RESPServer {
    /// `CLIENT KILL addr:port`, or conditions: `ID n`, `ADDR addr:port`, `LADDR addr:port`, `TYPE type`, `USER name`,
    /// `SKIPME yes|no`.
    static func kill(_ connection: RESPServerConnection, _ arguments: RESPArguments) {
        let isOld = arguments.count == 3
        var filter = KillFilter()
        if isOld {
            filter.remote = arguments.text(2)
            filter.skipsOwn = false
        } else {
            for index in stride(from: 2, to: arguments.count, by: 2) {
                guard filter.add(arguments, index, &connection.reply) else { return }
            }
        }
        let victims = connection.server.openConnections.filter { filter.means($0, askedBy: connection) }
        if isOld, victims.isEmpty { return connection.reply.error("ERR No such client") }
        if isOld { connection.reply.ok() } else { connection.reply.integer(victims.count) }
        for victim in victims { if victim === connection { victim.closeAfterReplies() } else { victim.kill() } }
    }
}
