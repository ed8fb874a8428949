import KVStoreEngine
import KernelStorage
import KernelStructures
import TestSupport
import Testing

/// The store beside the programs whose format it writes: LevelDB itself (through plyvel) and RocksDB's tools read our
/// directories, and we read those of LevelDB.
@Suite(.enabled(if: TestPython.canRun && ProgramTool.canRun("ldb", "sst_dump"))) struct ProcessLevelDBTests {
    /// Opens a store, hands it over, and closes it or leaves it as `kill -9` would.
    private func withStore(
        _ directory: String, isClosed: Bool = true, _ body: (KVStore) throws -> Void
    ) throws {
        var options = KVStoreOptions()
        options.writeBufferByteCount = 64 << 10
        options.tableByteCount = 64 << 10
        options.level1ByteCount = 256 << 10
        let disk = NodeDisk(base: try FileDisk(root: nil), owner: DiskOwner(1))
        let store = try KVStore.open(
            disk: disk, directory: directory, options: options, now: LabTime.documentedEpoch)
        try body(store)
        if isClosed { try store.close() }
    }

    private func withDirectory(_ body: (String) throws -> Void) throws {
        let directory = try ProgramDirectory()
        defer { withExtendedLifetime(directory) {} }
        try body(directory.path)
    }

    private func run(_ tool: String, _ arguments: [String]) throws -> (status: Int, output: String) {
        let process = try ProgramProcess(arguments, program: try ProgramTool.needed(tool))
        let status = try process.waitForExit()
        return (status, process.output + process.errors)
    }

    /// Writes that leave tables on several levels, tombstones, old versions and a log.
    private func fill(_ store: KVStore, seed: UInt64, count: Int = 8000) throws -> [String: String] {
        var random = SeededRandom(seed: seed)
        var model: [String: String] = [:]
        for step in 0..<count {
            let key = "key\(random.below(3000))"
            if random.chance(0.2) {
                try store.delete(key.utf8)
                model[key] = nil
            } else {
                let value = "value \(step) " + String(repeating: "x", count: random.below(100))
                try store.put(key.utf8, value.utf8)
                model[key] = value
            }
            if step % 10 == 0 { store.work(budgetByteCount: 8192, now: LabTime.documentedEpoch) }
        }
        try store.commit(sync: false)
        return model
    }

    private func lines(_ model: [String: String]) -> [String] { model.map { "\($0.key)=\($0.value)" }.sorted() }

    @Test("LevelDB reads what we wrote, closed or killed, and goes on writing it", arguments: [true, false])
    func plyvelReadsOurs(isClosed: Bool) throws {
        try withDirectory { directory in
            var model: [String: String] = [:]
            try withStore(directory, isClosed: isClosed) { model = try fill($0, seed: 1) }
            let output = try TestPython.run(
                """
                import plyvel
                db = plyvel.DB('\(directory)', create_if_missing=False, paranoid_checks=True, bloom_filter_bits=10)
                for key, value in db.iterator(verify_checksums=True):
                    print(key.decode() + '=' + value.decode())
                    assert db.get(key, verify_checksums=True) == value
                assert db.get(b'no such key') is None
                db.put(b'from plyvel', b'1')
                db.delete(b'key7')
                db.compact_range()
                db.close()
                """)
            #expect(output.split(separator: "\n").map(String.init).sorted() == lines(model))
            model["from plyvel"] = "1"
            model["key7"] = nil
            try withStore(directory) { store in
                let seen = try contents(store)
                #expect(seen == model)
            }
        }
    }

    @Test("RocksDB's tools find our tables sound, and read the store", arguments: [true, false])
    func rocksReadsOurs(isClosed: Bool) throws {
        try withDirectory { directory in
            var model: [String: String] = [:]
            try withStore(directory, isClosed: isClosed) { store in
                model = try fill(store, seed: 2)
                // LevelDB's manifest does not say which writes a table holds. Debian's RocksDB wants to know it where
                // level 0 has two tables, whoever wrote them; so there is one at most.
                try store.requestCompaction()
                while store.work(budgetByteCount: 1 << 20, now: LabTime.documentedEpoch) {}
                for index in 0..<100 {
                    try store.put("key\(index)".utf8, "last \(index)".utf8)
                    model["key\(index)"] = "last \(index)"
                    try store.commit(sync: index % 10 == 0)
                }
            }
            let tables = try FileDisk(root: nil).list(directory).filter { $0.hasSuffix(".sst") }
            #expect(tables.count >= 2)
            let verdict = try run("sst_dump", ["--file=\(directory)", "--command=verify"])
            #expect(verdict.output.split(separator: "\n").count { $0.contains("The file is ok") } == tables.count)
            let table = try run(
                "sst_dump", ["--file=\(directory)/\(tables[0])", "--show_properties", "--command=none"])
            #expect(table.output.contains("# entries: ") && !table.output.contains("# entries: 0"))
            let scan = try run("ldb", ["--db=\(directory)", "scan"])
            #expect(scan.status == 0, "\(scan.output.prefix(300))")
            let seen = scan.output.split(separator: "\n").map {
                String($0).replacing(" : ", with: "=", maxReplacements: 1)
            }
            #expect(seen.filter { $0.hasPrefix("key") }.sorted() == lines(model))
        }
    }

    @Test("we read what LevelDB wrote, snappy and all, with its log and its filters", arguments: ["snappy", "None"])
    func readTheirs(compression: String) throws {
        try withDirectory { directory in
            let output = try TestPython.run(
                """
                import plyvel, random
                random.seed(3)
                db = plyvel.DB('\(directory)/db', create_if_missing=True, write_buffer_size=65536,
                               compression=\(compression == "None" ? "None" : "'snappy'"), bloom_filter_bits=10)
                model = {}
                for step in range(8000):
                    key = b'key%d' % random.randrange(3000)
                    if random.random() < 0.2:
                        db.delete(key)
                        model.pop(key, None)
                    else:
                        value = b'value %d ' % step + b'x' * random.randrange(100)
                        db.put(key, value)
                        model[key] = value
                db.close()
                for key, value in model.items():
                    print(key.decode() + '=' + value.decode())
                """)
            let expected = output.split(separator: "\n").map(String.init).sorted()
            try withStore(directory + "/db", isClosed: false) { store in
                let seen = try contents(store)
                #expect(lines(seen) == expected)
                for (key, value) in seen { #expect(try store.get(key.utf8)?.value == Array(value.utf8)) }
                #expect(try store.get("key7.".utf8) == nil)
                #expect(store.statistics.bloomNegatives > 0)
                try store.put("ours".utf8, "1".utf8)
                try store.requestCompaction()
                while store.work(budgetByteCount: 1 << 20, now: LabTime.documentedEpoch) {}
                #expect(store.readOnlyReason == nil)
                #expect(try contents(store).count == expected.count + 1)
            }
        }
    }

    @Test("while we have it open LevelDB must stay out, and we while LevelDB has")
    func locks() throws {
        try withDirectory { directory in
            try withStore(directory + "/db") { store in
                let output = try TestPython.run(
                    """
                    import plyvel
                    try:
                        plyvel.DB('\(directory)/db')
                        print('open')
                    except plyvel.IOError as error:
                        print(error)
                    """)
                #expect(output.contains("lock"))
            }
            let holder = try ProgramProcess(
                [
                    "-c",
                    "import plyvel,sys; db=plyvel.DB('\(directory)/db'); print('open', flush=True); sys.stdin.read()",
                ],
                input: nil, program: TestPython.path)
            try holder.waitFor("open")
            #expect(throws: KVStoreError.locked(directory + "/db")) { try withStore(directory + "/db") { _ in } }
        }
    }

    private func contents(_ store: KVStore) throws -> [String: String] {
        var result: [String: String] = [:]
        let iterator = try store.makeIterator()
        try iterator.seekToFirst()
        while iterator.isValid {
            result[String(decoding: iterator.key, as: UTF8.self)] = String(decoding: iterator.value, as: UTF8.self)
            try iterator.next()
        }
        return result
    }
}
