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

    /// One that is a whole number, with Redis's complaints about others.
    private static func number(
        _ name: String, _ range: ClosedRange<Int>, get: @escaping (KVServer) -> Int,
        set: @escaping (KVServer, Int) -> Void
    ) -> Parameter {
        Parameter(name: name, get: { "\(get($0))" }) { server, text in
            var text = text
            guard let number = text.withUTF8({ RESPNumber.integer(UnsafeRawBufferPointer($0)) }) else {
                return "argument couldn't be parsed into an integer"
            }
            guard range.contains(number) else {
                return "argument must be between \(range.lowerBound) and \(range.upperBound) inclusive"
            }
            set(server, number)
            return nil
        }
    }

    private static var parameters: [Parameter] {
        [
            Parameter(name: "appendfsync", get: { $0.settings.synchronization.rawValue }) { server, text in
                guard let mode = Synchronization(rawValue: text.lowercased()) else {
                    return "argument(s) must be one of the following: everysec, always, no"
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
            number("maxclients", 1...Int(UInt32.max), get: { $0.server.options.connectionLimit }) { server, count in
                server.server.setConnectionLimit(count)
            },
            number(
                "timeout", 0...Int(Int32.max),
                get: {
                    let timeout = $0.server.options.idleTimeout
                    return timeout == .infinite ? 0 : Int(timeout.seconds)
                }
            ) { server, seconds in server.server.setIdleTimeout(seconds == 0 ? .infinite : .seconds(seconds)) },
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

    /// A name without wildcards is answered as it was typed.
    private static func getParameters(
        _ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments
    ) throws(KVStoreError) {
        var chosen: [(name: String, value: String)] = []
        var seen: Set<String> = []
        for index in 2..<arguments.count {
            let typed = arguments.text(index)
            let pattern = Array(typed.lowercased().utf8)
            let isPattern = pattern.contains { "[*?".utf8.contains($0) }
            for parameter in parameters {
                var name = parameter.name
                let isMeant = name.withUTF8 { name in
                    isPattern ? GlobMatch.matches(UnsafeRawBufferPointer(name), pattern) : name.elementsEqual(pattern)
                }
                if isMeant, seen.insert(parameter.name).inserted {
                    chosen.append((isPattern ? parameter.name : typed, parameter.get(server)))
                }
            }
        }
        connection.reply.map(chosen.map { ($0.name, .text($0.value)) })
    }

    /// All of them are changed or none.
    private static func setParameters(
        _ server: KVServer, _ connection: RESPServerConnection, _ arguments: RESPArguments
    ) throws(KVStoreError) {
        guard arguments.count % 2 == 0 else { return connection.reply.error(Complaint.syntax) }
        func failed(_ name: [UInt8], _ complaint: String) {
            connection.reply.error("ERR CONFIG SET failed (possibly related to argument '", name, "') - \(complaint)")
        }
        func typedName(_ index: Int) -> [UInt8] { arguments.printed(2 + 2 * index) }
        var changes: [Parameter] = []
        for index in 0..<arguments.count / 2 - 1 {
            let name = arguments.text(2 + 2 * index).lowercased()
            guard let parameter = parameters.first(where: { $0.name == name }) else {
                return connection.reply.error(
                    "ERR Unknown option or number of arguments for CONFIG SET - '", typedName(index), "'")
            }
            if parameter.set == nil { return failed(typedName(index), "can't set immutable config") }
            if changes.contains(where: { $0.name == name }) { return failed(typedName(index), "duplicate parameter") }
            changes.append(parameter)
        }
        let before = changes.map { $0.get(server) }
        for (index, parameter) in changes.enumerated() {
            guard let complaint = parameter.set?(server, arguments.text(3 + 2 * index)) else { continue }
            for (index, parameter) in changes[..<index].enumerated() { _ = parameter.set?(server, before[index]) }
            return failed(Array(parameter.name.utf8), complaint)
        }
        connection.reply.ok()
    }
}
