import CacheEngine
import KernelHosting
import KernelRedis
import KernelStructures
import KernelWire
import KernelWorld

/// Something that others are told when the present command is over.
struct Announcement {
    let connection: RESPServerConnection
    /// A reply, or a push, in the form that the connection speaks.
    let write: (inout RESPWriter) -> Void
}

extension CacheNode {
    /// All that this server does beyond what every RESP server does.
    var commands: [RESPCommand] {
        let containers = Dictionary(grouping: CacheCommand.all.filter { $0.name.contains("|") }) {
            String($0.name.prefix { $0 != "|" })
        }
        return CacheCommand.all.filter { !$0.name.contains("|") }.map(wrap)
            + transactionCommands + channelCommands + serverCommands
            + [
                container("object", containers["object"] ?? [], [], group: "generic"),
                container("memory", containers["memory"] ?? [], memoryCommands, group: "server"),
                configCommand, clientCommand, scriptCommand,
            ]
    }

    private func container(_ name: String, _ data: [CacheCommand], _ own: [RESPCommand], group: String) -> RESPCommand {
        let subcommands = data.map(wrap) + own
        let help = RESPCommand("\(name)|help", arity: 2, [.loading, .stale], group: group, "Say what there is") {
            connection, _ in
            connection.reply.bulks(RESPServer.helpLines(name.uppercased(), subcommands))
        }
        return RESPCommand(
            name, [], group: group, "A container for commands on values", subcommands: subcommands + [help])
    }

    private func wrap(_ command: CacheCommand) -> RESPCommand {
        var flags: RESPCommand.Flags = []
        if command.flags.contains(.write) { flags.insert(.write) }
        if command.flags.contains(.readOnly) { flags.insert(.readOnly) }
        if command.flags.contains(.denyOutOfMemory) { flags.insert(.denyOutOfMemory) }
        if command.flags.contains(.fast) { flags.insert(.fast) }
        var keys = RESPCommand.Keys.none
        if case .places(let first, let last, let step) = command.keys { keys = .init(first, last, step) }
        if case .sort = command.keys { keys = .one }
        let wrapped = RESPCommand(
            command.name, arity: command.arity, flags, keys: keys, group: command.group, command.summary
        ) { [unowned self] connection, words in run(command, connection, words) }
        switch command.keys {
        case .counted, .sort: wrapped.findKeys = { command.keyPlaces($0) }
        case .none, .places: break
        }
        return wrapped
    }

    /// Carries out a command on keys.
    @inline(__always)
    private func run(_ command: CacheCommand, _ connection: RESPServerConnection, _ words: RESPArguments) {
        cache.now = nowMilliseconds
        current = connection
        let request = cache.execute(command, words, into: &connection.reply)
        if let request { block(connection, words, command, request) }
        if tracking.isOn, command.flags.contains(.readOnly) { track(connection, command, words) }
        if !cache.isInTransaction { afterCommand() }
    }

    /// What has to be done when a command is over: whoever waits for its keys is served, and others are told.
    func afterCommand() {
        if waiting.hasAny { serveWaiters() }
        if !announcements.isEmpty { announce() }
        current = nil
    }

    /// Tells others what has been gathered.
    func announce() {
        while !announcements.isEmpty {
            let due = announcements
            announcements.removeAll(keepingCapacity: true)
            for announcement in due {
                let connection = announcement.connection
                announcement.write(&connection.reply)
                connection.replyAdded()
                // Whoever does not read what it has subscribed to must not fill the memory.
                if connection.outputByteCount > settings.subscriberByteLimit { connection.kill() }
            }
        }
    }

    // MARK: Admission

    public func admit(_ connection: RESPServerConnection, _ command: RESPCommand, _ words: RESPArguments) -> Bool {
        guard let client = connection.context as? CacheClient else {
            return companion == nil || admitByCompanion(connection, command, words)
        }
        if connection.subscriptions.isSubscribed, connection.version == .two, !Self.isForSubscribers(command.name) {
            connection.reply.error(
                "ERR Can't execute '\(command.name)': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET "
                    + "are allowed in this context")
            return false
        }
        if cache.isInTransaction { return true }
        if client.tracking != nil, command.name != "client|caching" { prepareTracking(client) }
        return companion == nil || admitByCompanion(connection, command, words)
    }

    private static func isForSubscribers(_ name: String) -> Bool {
        [
            "subscribe", "unsubscribe", "psubscribe", "punsubscribe", "ssubscribe", "sunsubscribe", "ping", "quit",
            "reset",
        ].contains(name)
    }

    private func admitByCompanion(
        _ connection: RESPServerConnection, _ command: RESPCommand, _ words: RESPArguments
    ) -> Bool {
        guard let companion, !cache.isInTransaction else { return true }
        let keys = command.keyPlaces(words).map { words.bytes($0) }
        guard !keys.isEmpty || ["flushall", "flushdb", "publish", "spublish"].contains(command.name) else {
            return true
        }
        guard let refusal = companion.route(request(connection, command, keys)) else { return true }
        connection.reply.error(refusal)
        return false
    }

    func request(_ connection: RESPServerConnection, _ command: RESPCommand, _ keys: [[UInt8]]) -> CacheRequest {
        var slot = keys.first.map { SlotNumber.of($0) }
        for key in keys.dropFirst() where SlotNumber.of(key) != slot { slot = nil }
        return CacheRequest(
            connection: connection, command: command, isWrite: command.flags.contains(.write), slot: slot, keys: keys)
    }

    public func mayQueue(_ connection: RESPServerConnection, _ command: RESPCommand, _ words: RESPArguments) -> Bool {
        guard admit(connection, command, words) else { return false }
        guard command.flags.contains(.denyOutOfMemory), cache.isOutOfMemory else { return true }
        connection.reply.error("OOM command not allowed when used memory > 'maxmemory'.")
        return false
    }
}
