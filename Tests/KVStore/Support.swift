import KernelStorage
import KernelStructures
import Testing

@testable import KVStoreEngine

/// A store on a disk in memory, with everything small so that much happens soon.
final class Bench {
    let disk: SimulatedDisk
    let node: NodeDisk
    static let directory = "/data"
    var store: KVStore!
    var options: KVStoreOptions

    static var smallOptions: KVStoreOptions {
        var options = KVStoreOptions()
        options.writeBufferByteCount = 4096
        options.tableByteCount = 2048
        options.level1ByteCount = 8192
        options.blockByteCount = 256
        options.blockCacheByteCount = 8192
        options.openTableLimit = 5
        return options
    }

    init(_ options: KVStoreOptions = Bench.smallOptions, disk: SimulatedDisk = SimulatedDisk()) {
        self.disk = disk
        self.options = options
        node = NodeDisk(base: disk, owner: DiskOwner(1))
    }

    static let time = LabTime.documentedEpoch

    @discardableResult
    func open() throws -> KVStore {
        store = nil
        store = try KVStore.open(disk: node, directory: Self.directory, options: options, now: Self.time)
        return store
    }

    func workAll() { while store.work(budgetByteCount: 1 << 20, now: Self.time) {} }

    /// The names in the directory.
    var files: [String] { (try? disk.list(Self.directory)) ?? [] }
    func path(_ name: String) -> String { Self.directory + "/" + name }

    /// Everything that an iterator shows.
    func contents(at snapshot: Snapshot? = nil) throws -> [String: String] {
        var result: [String: String] = [:]
        let iterator = try store.makeIterator(at: snapshot)
        try iterator.seekToFirst()
        while iterator.isValid {
            result[text(iterator.key)] = text(iterator.value)
            try iterator.next()
        }
        return result
    }
}

func text(_ bytes: some Sequence<UInt8>) -> String { String(decoding: Array(bytes), as: UTF8.self) }

extension KVStore {
    func put(_ key: String, _ value: String) throws { try put(key.utf8, value.utf8) }
    func value(_ key: String, at snapshot: Snapshot? = nil) throws -> String? {
        try get(key.utf8, at: snapshot).map { text($0.value) }
    }
}
