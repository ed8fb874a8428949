import KVStoreEngine
import KernelHosting
import KernelStructures
import KernelWire

/// `LSM …`: what this server has that Redis has not.
extension KVServer {
    var lsmCommand: RESPCommand {
        func sub(_ name: String, _ arity: Int, _ flags: RESPCommand.Flags, _ summary: String, _ body: @escaping Body)
            -> RESPCommand
        { command("lsm|" + name, arity, flags, keys: .none, group: "lsm", summary, body) }
        return RESPCommand(
            "lsm", [], group: "lsm", "The store below",
            subcommands: [
                sub("compact", -2, [.admin, .noTransaction], "Merge all tables; answers when that is done") {
                    server, connection, arguments in
                    try server.store.requestCompaction(
                        from: arguments.count > 2 ? arguments.bytes(2) : nil,
                        to: arguments.count > 3 ? arguments.bytes(3) : nil)
                    server.wait(connection) { !$0.store.isCompactionRequested }
                },
                sub("flush", 2, [.admin, .noTransaction], "Write the memtable to a table; answers when that is done") {
                    server, connection, _ in
                    try server.store.requestFlush()
                    server.wait(connection) { $0.store.describe().immutableEntries == nil }
                },
                sub("trace", 3, [.readOnly], "Say where a read of a key looks") { server, connection, arguments in
                    connection.reply.bulks(try server.trace(arguments.bytes(2)))
                },
                sub("place", 3, [.readOnly], "Say where a key is found") { server, connection, arguments in
                    if let found = try server.store.get(arguments[2]) {
                        connection.reply.bulk(found.place.description)
                    } else {
                        connection.reply.null()
                    }
                },
                sub("stats", 2, [.readOnly], "What the store counts") { server, connection, _ in
                    connection.reply.verbatim(server.information(["lsm"]))
                },
                sub("levels", 2, [.readOnly], "The tables, level by level", Self.levels),
                sub("help", 2, [.loading], "Say what there is") { server, connection, _ in
                    connection.reply.bulks(
                        RESPServer.helpLines("LSM", server.server.table["lsm"]?.subcommandList ?? []))
                },
            ])
    }

    /// Answers once background work has come so far.
    private func wait(_ connection: RESPServerConnection, until isDone: @escaping (KVServer) -> Bool) {
        workWaiters.append((connection, isDone))
        connection.suspend()
        work()
        // There may be nothing to do.
        if !store.needsWork { answerWorkWaiters() }
    }

    /// A table a row: label, level, bytes, first and last key, overlaps with the next level, and whether it is being
    /// merged.
    private static func levels(_ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments)
        throws(KVStoreError)
    {
        let tables = server.store.describe().levels.flatMap(\.tables)
        connection.reply.array(tables.count)
        for table in tables {
            connection.reply.map([
                ("table", .text(table.label)), ("level", .integer(table.level)), ("bytes", .integer(table.byteCount)),
                ("smallest", .bulk(table.smallest)), ("largest", .bulk(table.largest)),
                ("overlaps", .integer(table.overlaps)), ("compacting", .boolean(table.isBeingCompacted)),
            ])
        }
    }

    /// The way of one read, a line a step.
    func trace(_ key: [UInt8]) throws(KVStoreError) -> [String] {
        let trace = try store.trace(key)
        var lines = trace.steps.map { step in
            let place = step.blockWasCached.flatMap { wasCached in
                step.blockOffset.map { " (block at byte \($0), \(wasCached ? "cached" : "read from the disk"))" }
            }
            return "\(step.place): \(Self.words(step.outcome))\(place ?? "")"
        }
        for (level, count) in trace.tablesOutOfRange.enumerated() where count > 0 {
            lines.append("L\(level): \(counted(count, "table")) not asked, the key is outside")
        }
        guard let stored = trace.value else { return lines + ["not found"] }
        let (byteCount, expiry) = stored.withUnsafeBytes { bytes in
            let value = StoredValue.read(bytes)
            return (value.payload.count, value.expiry)
        }
        if expiry != 0, expiry <= nowMilliseconds { return lines + ["found, but its time is over"] }
        return lines + ["found, \(counted(byteCount, "byte"))"]
    }

    private static func words(_ outcome: ReadTrace.Outcome) -> String {
        switch outcome {
        case .found: "found"
        case .deleted: "a tombstone: deleted, nothing older is asked"
        case .absent: "not there"
        case .bloomNegative: "Bloom filter says no"
        case .outsideIndex: "index says no"
        }
    }
}
