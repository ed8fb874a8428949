import CommandKit
import CommandServices
import KVStoreEngine
import KVStoreService
import KernelStructures
import ShellSession

extension KVStoreCommands {
    /// `lsm-kv --data-dir ./kv-data --port 6379`
    static var lsmKV: Command {
        let description = CommandDescription(
            "lsm-kv", "a key-value store of sorted tables, which speaks Redis's protocol",
            usage: "[--data-dir DIR] [--port PORT] [FLAGS]",
            flags: [
                .init("data-dir", "d", .file, "where its log and tables are (./kv-data)"),
                .init("port", "p", .port, "where it listens (6379)"),
                .init("appendfsync", nil, .choice(["always", "everysec", "no"]), "when writes are synced (everysec)"),
                .init("memtable-size", nil, .byteCount, "bytes in memory before they become a table (4MiB)"),
                .init("block-cache-size", nil, .byteCount, "bytes of blocks kept in memory (8MiB)"),
                .init("bloom-bits", nil, .integer(0...64), "bits of Bloom filter a key (10)"),
                .init("table-size", nil, .byteCount, "bytes of a table (2MiB)"),
                .init("level1-size", nil, .byteCount, "bytes of level 1; each level below has ten times (10MiB)"),
                .init("maxclients", nil, .integer(1...100_000), "connections at a time (10000)"),
                .init("repair", nil, "first makes a new manifest from whatever can be read"),
                .init("name", "n", .text("NAME"), "the name of its node (lsm)"),
                .init("bind", nil, .text("ADDRESS"), "as a process of its own: its address (127.0.0.1)"),
            ] + TLSFlags.server,
            examples: [
                "lsm-kv --data-dir ./kv-data --port 6379", "lsm-kv --appendfsync always", "kv-cli SET user:1 Alice",
                "show lsm",
            ],
            group: .components, tags: ["LSM"],
            details: """
                redis-cli, redis-benchmark and the libraries for Redis can talk to it: strings
                and their ends, SCAN, MULTI, INFO, CONFIG. The directory is LevelDB's: plyvel,
                libleveldb and RocksDB's tools can read it.
                --appendfsync always: what was acknowledged survives kill -9 and power loss.
                everysec: kill -9, and all but the last second of a power loss. no: kill -9.
                However many clients write at the same time, one sync serves them all.
                LSM COMPACT|FLUSH|TRACE key|LEVELS|STATS are its own commands over the wire.
                """)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let name = arguments.text("name") ?? "lsm"
            try checkNodeName(name, command: "lsm-kv")
            var settings = storeSettings(arguments, invocation.session)
            settings.tls = try TLSFlags.serving(invocation, command: "lsm-kv")
            return .running(
                ServiceProgram(
                    invocation.process, kind: "lsm-kv", nodeName: name,
                    make: { [settings] node in
                        KVServer(node: node, port: arguments.port("port") ?? 6379, settings: settings)
                    },
                    start: { server in
                        if arguments.has("repair") { try repair(server, invocation.process) }
                        try server.start()
                    },
                    drain: { $0.drain(whenStopped: $1) }, describe: \.stats, picture: \.picture))
        }
    }

    private static func storeSettings(_ arguments: ParsedArguments, _ session: Session) -> KVServer.Settings {
        let directory = arguments.text("data-dir") ?? "./kv-data"
        var settings = KVServer.Settings(directory: session.files.absolute(directory), text: directory)
        settings.synchronization = arguments.text("appendfsync").flatMap { .init(rawValue: $0) } ?? .everysec
        if let count = arguments.byteCount("memtable-size") { settings.store.writeBufferByteCount = count }
        if let count = arguments.byteCount("block-cache-size") { settings.store.blockCacheByteCount = count }
        if let count = arguments.byteCount("table-size") { settings.store.tableByteCount = count }
        if let count = arguments.byteCount("level1-size") { settings.store.level1ByteCount = count }
        if let bits = arguments.integer("bloom-bits") { settings.store.bloomBitsPerKey = bits }
        if let count = arguments.integer("maxclients") { settings.server.connectionLimit = count }
        settings.store.seed = session.world.seed
        return settings
    }

    private static func repair(_ server: KVServer, _ process: Process) throws {
        let report = try KVStore.repair(
            disk: server.node.disk, directory: server.settings.directory, options: server.settings.store)
        let found = "\(counted(report.tables, "table")), \(counted(report.keys, "key"))"
        server.node.log("LSM", "Repaired: \(found), \(counted(report.logRecords, "log record"))")
        for loss in report.losses { process.complain("lost: \(loss)") }
    }
}

extension KVServer {
    var stats: View {
        let shape = store.describe()
        let statistics = shape.statistics
        func ratio(_ value: Double) -> View.Cell {
            View.Cell(fixedDecimal(value, places: 2), json: .number(value))
        }
        return View(
            .record([
                .init("commands", .integer(server.commandCount)),
                .init("clients", .integer(server.openConnectionCount)),
                .init("appendfsync", .text(settings.synchronization.rawValue)),
                .init("writes", .integer(statistics.writes)), .init("commits", .integer(commitCount)),
                .init("syncs", .integer(statistics.syncs)), .init("reads", .integer(statistics.gets)),
                .init("memtable", .integer(shape.memtableEntries)), .init("tables", .integer(shape.tableCount)),
                .init("table bytes", .integer(shape.tableByteCount)),
                .init("write amplification", ratio(statistics.writeAmplification)),
                .init("read amplification", ratio(statistics.readAmplification)),
                .init("space amplification", ratio(shape.spaceAmplification)),
                .init("stall", .text(shape.stall?.description ?? "none")),
                .init("read-only", .text(shape.readOnly?.description ?? "no")),
            ]))
    }
}
