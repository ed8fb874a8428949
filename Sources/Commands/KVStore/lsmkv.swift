import CommandKit
import CommandServices
import KVStoreEngine
import KVStoreService
import KernelStructures
import ShellSession

extension KVStoreCommands {
    /// `lsm-kv --data-dir ./kv-data --port 6379`
    static var lsmKV: Command {
        let kind = ServiceKind("lsm-kv", node: "lsm", port: .preset(6379))
        let description = CommandDescription(
            "lsm-kv", "a key-value store of sorted tables, which speaks Redis's protocol",
            usage: "[--data-dir DIR] [--port PORT] [FLAGS]",
            flags: kind.flags([
                .init("data-dir", "d", .file, "where its log and tables are (./kv-data)"),
                .init("appendfsync", nil, .choice(["always", "everysec", "no"]), "when writes are synced (everysec)"),
                .init("memtable-size", nil, .byteCount, "bytes in memory before they become a table (4MiB)"),
                .init("block-cache-size", nil, .byteCount, "bytes of blocks kept in memory (8MiB)"),
                .init("bloom-bits", nil, .integer(0...64), "bits of Bloom filter a key (10)"),
                .init("table-size", nil, .byteCount, "bytes of a table (2MiB)"),
                .init("level1-size", nil, .byteCount, "bytes of level 1; each level below has ten times (10MiB)"),
                .init("maxclients", nil, .integer(1...100_000), "connections at a time (10000)"),
                .init("repair", nil, "first makes a new manifest from whatever can be read"),
            ]),
            examples: [
                "lsm-kv --data-dir ./kv-data --port 6379", "lsm-kv --appendfsync always", "kv-cli SET user:1 Alice",
                "show lsm",
            ],
            group: .components, role: .service, tags: ["LSM"],
            details: """
                redis-cli, redis-benchmark and the libraries for Redis can talk to it: strings
                and their ends, SCAN, MULTI, INFO, CONFIG. The directory is LevelDB's: plyvel,
                libleveldb and RocksDB's tools can read it.
                --appendfsync always: what was acknowledged survives kill -9 and power loss.
                everysec: kill -9, and all but the last second of a power loss. no: kill -9.
                However many clients write at the same time, one sync serves them all.
                LSM COMPACT|FLUSH|TRACE key|LEVELS|STATS are its own commands over the wire.
                A backup: kv-cli BGSAVE makes a copy of this moment in kv-data/checkpoint (hard
                links where the disk has them); cp -r it elsewhere. To restore, lsm-kv
                --data-dir COPY: it opens as a store. --repair is for a directory that does not.
                write amplification (kv-cli STATS) is bytes written to the disk for each byte
                that clients wrote; that of tables leaves the log out. An entry is a version of
                a key: DBSIZE counts keys, tables and the memtable count entries.
                The log says wal.log and L1_006.sst: the write-ahead log's file is the newest
                NNNNNN.log, and the table's, which is in level 1, is 000006.sst.
                """)
        return .service(kind, description) { invocation in
            let settings = storeSettings(invocation.arguments, invocation.session)
            return ServicePlan(picture: \.picture) { node, service in
                let server = KVServer(node: node, port: service.port, settings: settings, options: service.options)
                if invocation.arguments.has("repair") { try repair(server, invocation.process) }
                return server
            }
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
