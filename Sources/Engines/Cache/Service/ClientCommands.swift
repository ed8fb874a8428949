import CacheEngine
import KernelHosting
import KernelStructures
import KernelWire

extension CacheNode {
    /// What `CLIENT` knows here beyond what every server's does.
    var clientCommand: RESPCommand {
        func sub(_ name: String, _ arity: Int, _ summary: String, _ action: @escaping RESPCommand.Action) -> RESPCommand
        {
            RESPCommand(
                "client|" + name, arity: arity, [.loading, .stale], group: "connection", summary, action: action)
        }
        return RESPServer.clientCommand([
            sub("tracking", -3, "Be told when keys that were read change") { [unowned self] in setTracking($0, $1) },
            sub("caching", 3, "Say whether the keys of the next command count") { [unowned self] in
                setCaching($0, $1)
            },
            sub("trackinginfo", 2, "Describe how this connection tracks") { [unowned self] connection, _ in
                describeTracking(connection)
            },
            sub("getredir", 2, "Return who is told instead of this connection") { connection, _ in
                connection.reply.integer(connection.redirection)
            },
            sub("unblock", -3, "End the wait of a client") { [unowned self] in unblock($0, $1) },
        ])
    }

    /// `CLIENT TRACKING ON | OFF [REDIRECT id] [PREFIX p …] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]`
    private func setTracking(_ connection: RESPServerConnection, _ words: RESPArguments) {
        var wanted = Tracking()
        var index = 3
        while index < words.count {
            let left = words.count - index - 1
            if left >= 1, words.isWord(index, "REDIRECT") {
                guard wanted.redirection == nil else {
                    return connection.reply.error("ERR A client can only redirect to a single other client")
                }
                guard let number = words.integer(index + 1) else {
                    return connection.reply.error("ERR Invalid client ID")
                }
                guard server.openConnections.contains(where: { $0.number == number }) else {
                    return connection.reply.error(
                        "ERR The client ID you want redirect to does not exist")
                }
                wanted.redirection = number
                index += 1
            } else if left >= 1, words.isWord(index, "PREFIX") {
                guard wanted.prefixes.count < 1000 else { return connection.reply.error("ERR too many prefixes") }
                wanted.prefixes.append(words.bytes(index + 1))
                index += 1
            } else if words.isWord(index, "BCAST") {
                wanted.isBroadcasting = true
            } else if words.isWord(index, "OPTIN") {
                wanted.optsIn = true
            } else if words.isWord(index, "OPTOUT") {
                wanted.optsOut = true
            } else if words.isWord(index, "NOLOOP") {
                wanted.noLoop = true
            } else {
                return connection.reply.error("ERR syntax error")
            }
            index += 1
        }
        if words.isWord(2, "OFF") {
            tracking.stop(CacheClient.of(connection))
            connection.redirection = -1
            hookTouches()
            return connection.reply.ok()
        }
        guard words.isWord(2, "ON") else { return connection.reply.error("ERR syntax error") }
        start(wanted, connection)
    }

    private func start(_ wanted: Tracking, _ connection: RESPServerConnection) {
        let client = CacheClient.of(connection)
        if !wanted.isBroadcasting, !wanted.prefixes.isEmpty {
            return connection.reply.error("ERR PREFIX option requires BCAST mode to be enabled")
        }
        if wanted.optsIn, wanted.optsOut {
            return connection.reply.error("ERR You can't use both OPTIN and OPTOUT mode")
        }
        if wanted.isBroadcasting, wanted.optsIn || wanted.optsOut {
            return connection.reply.error("ERR OPTIN and OPTOUT are not compatible with BCAST")
        }
        if let old = client.tracking, old.isBroadcasting != wanted.isBroadcasting {
            return connection.reply.error(
                "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then "
                    + "re-enabling it with a different mode.")
        }
        if let old = client.tracking, old.optsIn && wanted.optsOut || old.optsOut && wanted.optsIn {
            return connection.reply.error(
                "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then "
                    + "re-enabling it with a different mode.")
        }
        var wanted = wanted
        if let old = client.tracking { wanted.prefixes = old.prefixes + wanted.prefixes }
        for (index, prefix) in wanted.prefixes.enumerated() {
            for other in wanted.prefixes[..<index] where prefix.starts(with: other) || other.starts(with: prefix) {
                return connection.reply.error(
                    "ERR Prefix '", prefix,
                    "' overlaps with an existing prefix '\(String(decoding: other, as: UTF8.self))'. "
                        + "Prefixes for a single client must not overlap.")
            }
        }
        client.tracking = wanted
        tracking.start(client)
        connection.redirection = wanted.redirection ?? 0
        hookTouches()
        connection.reply.ok()
    }

    private func setCaching(_ connection: RESPServerConnection, _ words: RESPArguments) {
        let client = CacheClient.of(connection)
        guard let own = client.tracking else {
            return connection.reply.error(
                "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode "
                    + "enabled")
        }
        if words.isWord(2, "YES") {
            guard own.optsIn else {
                return connection.reply.error(
                    "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
            }
            client.tracking?.caching = true
        } else if words.isWord(2, "NO") {
            guard own.optsOut else {
                return connection.reply.error(
                    "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
            }
            client.tracking?.caching = false
        } else {
            return connection.reply.error("ERR syntax error")
        }
        connection.reply.ok()
    }

    private func describeTracking(_ connection: RESPServerConnection) {
        let own = (connection.context as? CacheClient)?.tracking
        var flags = [own == nil ? "off" : "on"]
        if let own {
            if own.isBroadcasting { flags.append("bcast") }
            if own.optsIn { flags.append("optin") }
            if own.optsOut { flags.append("optout") }
            if own.caching == true { flags.append("caching-yes") }
            if own.caching == false { flags.append("caching-no") }
            if own.noLoop { flags.append("noloop") }
            if own.isBroken { flags.append("broken_redirect") }
        }
        connection.reply.map([
            ("flags", .set(flags.map { .text($0) })), ("redirect", .integer(connection.redirection)),
            ("prefixes", .array((own?.prefixes ?? []).map { .bulk($0) })),
        ])
    }

    /// `CLIENT UNBLOCK id [TIMEOUT | ERROR]`
    private func unblock(_ connection: RESPServerConnection, _ words: RESPArguments) {
        let isError = words.count == 4 && words.isWord(3, "ERROR")
        guard words.count == 3 || isError || words.count == 4 && words.isWord(3, "TIMEOUT") else {
            return connection.reply.error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
        }
        guard let number = words.integer(2) else {
            return connection.reply.error("ERR value is not an integer or out of range")
        }
        guard let waiter = waiting.all.first(where: { $0.connection.number == number }) else {
            return connection.reply.integer(0)
        }
        finish(waiter) { other in
            if isError {
                other.reply.error("UNBLOCKED client unblocked via CLIENT UNBLOCK")
            } else {
                Self.write(waiter.whenOver, &other.reply)
            }
        }
        connection.reply.integer(1)
    }
}
