import KVStoreEngine
import KernelHosting
import KernelStructures

extension KVServer {
    private var parameters: [RESPConfiguration.Parameter] {
        typealias Parameter = RESPConfiguration.Parameter
        let synchronization = Parameter(
            "appendfsync", get: { [unowned self] in settings.synchronization.rawValue },
            set: { [unowned self] text in
                guard let mode = Synchronization(rawValue: text.lowercased()) else {
                    return "argument(s) must be one of the following: everysec, always, no"
                }
                setSynchronization(mode)
                return nil
            })
        func fixed(_ name: String, _ get: @escaping (Settings) -> String) -> Parameter {
            Parameter(name, get: { [unowned self] in get(settings) })
        }
        return [
            synchronization, fixed("appendonly") { _ in "yes" }, fixed("save") { _ in "" },
            fixed("databases") { _ in "1" }, fixed("dir") { $0.directoryText },
            Parameter("port", get: { [unowned self] in "\(port)" }), fixed("maxmemory") { _ in "0" },
            fixed("maxmemory-policy") { _ in "noeviction" },
        ] + Parameter.ofServer { [unowned self] in server } + [
            fixed("memtable-size") { "\($0.store.writeBufferByteCount)" },
            fixed("block-cache-size") { "\($0.store.blockCacheByteCount)" },
            fixed("block-size") { "\($0.store.blockByteCount)" },
            fixed("bloom-bits-per-key") { "\($0.store.bloomBitsPerKey)" },
            fixed("table-size") { "\($0.store.tableByteCount)" },
            fixed("level0-compaction-trigger") { "\($0.store.level0CompactionTrigger)" },
            fixed("level1-size") { "\($0.store.level1ByteCount)" },
        ]
    }

    /// `CONFIG GET|SET|RESETSTAT`
    var configCommand: RESPCommand {
        RESPConfiguration(parameters) { [unowned self] in server.resetStatistics() }.command
    }
}
