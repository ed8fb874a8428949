import KVStoreEngine
import KernelHosting
import KernelStructures
import KernelWire

extension KVServer {
    /// One name of `CONFIG`.
    private struct Parameter {
        let name: String
        let get: (KVServer) -> String
        /// Sets it, and says what is wrong if it cannot be; nil where it cannot be changed.
        var set: ((KVServer, String) -> String?)?
    }

    private static var parameters: [Parameter] {
        [
            Parameter(name: "appendfsync", get: { $0.settings.synchronization.rawValue }) { server, text in
                guard let mode = Synchronization(rawValue: text.lowercased()) else {
                    return "argument(s) must be one of the following: always, everysec, no"
                }
                server.setSynchronization(mode)
                return nil
            },
            Parameter(name: "appendonly", get: { _ in "yes" }),
            Parameter(name: "save", get: { _ in "" }),
            Parameter(name: "databases", get: { _ in "1" }),
            Parameter(name: "dir", get: { $0.settings.directoryText }),
            Parameter(name: "port", get: { "\($0.port)" }),
            Parameter(name: "maxmemory", get: { _ in "0" }),
            Parameter(name: "maxmemory-policy", get: { _ in "noeviction" }),
            Parameter(name: "maxclients", get: { "\($0.server.options.connectionLimit)" }) { server, text in
                guard let count = Int(text), (1...100_000).contains(count) else {
                    return "argument must be between 1 and 100000 inclusive"
                }
                server.server.setConnectionLimit(count)
                return nil
            },
            Parameter(
                name: "timeout",
                get: {
                    let timeout = $0.server.options.idleTimeout
                    return timeout == .infinite ? "0" : "\(Int(timeout.seconds))"
                }
            ) { server, text in
                guard let seconds = Int(text), (0...1_000_000_000).contains(seconds) else {
                    return "argument must be between 0 and 1000000000 inclusive"
                }
                server.server.setIdleTimeout(seconds == 0 ? .infinite : .seconds(seconds))
                return nil
            },
            Parameter(name: "proto-max-bulk-len", get: { "\($0.server.options.limits.bulkBytes)" }),
            Parameter(name: "memtable-size", get: { "\($0.settings.store.writeBufferByteCount)" }),
            Parameter(name: "block-cache-size", get: { "\($0.settings.store.blockCacheByteCount)" }),
            Parameter(name: "block-size", get: { "\($0.settings.store.blockByteCount)" }),
            Parameter(name: "bloom-bits-per-key", get: { "\($0.settings.store.bloomBitsPerKey)" }),
            Parameter(name: "table-size", get: { "\($0.settings.store.tableByteCount)" }),
            Parameter(name: "level0-compaction-trigger", get: { "\($0.settings.store.level0CompactionTrigger)" }),
            Parameter(name: "level1-size", get: { "\($0.settings.store.level1ByteCount)" }),
        ]
    }

    /// `CONFIG GET|SET|RESETSTAT`
    var configCommand: RESPCommand {
        func sub(_ name: String, _ arity: Int, _ summary: String, _ body: @escaping Body) -> RESPCommand {
            command(
                "config|" + name, arity, [.admin, .loading, .stale], keys: .none, group: "server", summary, body)
        }
        return RESPCommand(
            "config", [], group: "server", "Settings",
            subcommands: [
                sub("get", -3, "Return the settings whose names match patterns", Self.getParameters),
                sub("set", -4, "Change settings", Self.setParameters),
                sub("resetstat", 2, "Count commands from zero") { server, connection, _ in
                    server.server.resetStatistics()
                    connection.reply.ok()
                },
                sub("rewrite", 2, "Refused: there is no file") { _, connection, _ in
                    connection.reply.error("ERR The server is running without a config file")
                },
            ])
    }

    private static func getParameters(
        _ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments
    ) throws(KVStoreError) {
        let patterns = (2..<arguments.count).map { Array(arguments.text($0).lowercased().utf8) }
        let chosen = parameters.filter { parameter in
            var name = parameter.name
            return name.withUTF8 { name in
                patterns.contains { GlobMatch.matches(UnsafeRawBufferPointer(name), $0) }
            }
        }
        connection.reply.map(chosen.count)
        for parameter in chosen {
            connection.reply.bulk(parameter.name)
            connection.reply.bulk(parameter.get(server))
        }
    }

    /// All of them must be possible before the first is changed.
    private static func setParameters(
        _ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments
    ) throws(KVStoreError) {
        guard arguments.count % 2 == 0 else { return connection.reply.error(Complaint.count("config|set")) }
        var changes: [(Parameter, String)] = []
        for index in stride(from: 2, to: arguments.count, by: 2) {
            let name = arguments.text(index).lowercased()
            guard let parameter = parameters.first(where: { $0.name == name }) else {
                return connection.reply.error(
                    "ERR Unknown option or number of arguments for CONFIG SET - '\(arguments.text(index))'")
            }
            guard parameter.set != nil else {
                return connection.reply.error(
                    "ERR CONFIG SET failed (possibly related to argument '\(name)') - can't set immutable config")
            }
            changes.append((parameter, arguments.text(index + 1)))
        }
        for (parameter, text) in changes {
            if let complaint = parameter.set?(server, text) {
                return connection.reply.error(
                    "ERR CONFIG SET failed (possibly related to argument '\(parameter.name)') - \(complaint)")
            }
        }
        connection.reply.ok()
    }
}
