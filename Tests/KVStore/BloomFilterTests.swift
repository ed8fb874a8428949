import KernelStructures
import Testing

@testable import KVStoreEngine

@Suite struct BloomFilterTests {
    private static func hash(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { BloomFilter.hash(Bytes($0)) } }

    @Test("the hash is LevelDB's, by the values of its own test")
    func hashes() {
        #expect(Self.hash([]) == 0xBC9F_1D34)
        #expect(Self.hash([0x62]) == 0xEF13_45C4)
        #expect(Self.hash([0xC3, 0x97]) == 0x5B66_3814)
        #expect(Self.hash([0xE2, 0x99, 0xA5]) == 0x323C_078F)
        #expect(Self.hash([0xE1, 0x80, 0xB9, 0x32]) == 0xED21_633A)
    }

    @Test("never a wrong no, and a wrong yes about once in a hundred", arguments: [1, 10, 100, 1000, 20_000])
    func rates(count: Int) {
        let hashes = (0..<count).map { Self.hash(Array("key\($0)".utf8)) }
        let buffer = ByteBuffer()
        hashes.withUnsafeBufferPointer { BloomFilter.append($0, bitsPerKey: 10, to: buffer) }
        #expect(hashes.allSatisfy { BloomFilter.mayContain(buffer.bytes, $0) })
        let wrong = (0..<10_000).count { BloomFilter.mayContain(buffer.bytes, Self.hash(Array("other\($0)".utf8))) }
        #expect(wrong < 200)
        if count >= 1000 { #expect(wrong > 20) }
        let expected = BloomFilter.falsePositiveRate(bitsPerKey: 10)
        #expect(expected > 0.008 && expected < 0.0095)
    }

    @Test("a store asks its filters: keys that it has are found, others cost no block")
    func inStore() throws {
        let bench = Bench()
        bench.options.blockCacheByteCount = 0
        bench.options.openTableLimit = 100
        let store = try bench.open()
        for index in 0..<2000 { try store.put("key\(index)", "value \(index)") }
        try store.requestCompaction()
        bench.workAll()
        for index in 0..<2000 { #expect(try store.value("key\(index)") == "value \(index)") }
        let before = store.statistics
        for index in 0..<2000 { #expect(try store.value("key\(index).") == nil) }
        let after = store.statistics
        #expect(after.bloomChecks - before.bloomChecks > 1900)
        let share = Double(after.blockReads - before.blockReads) / Double(after.bloomChecks - before.bloomChecks)
        // Filters of a few keys each are somewhat worse than large ones.
        #expect(share < 0.03)
    }

    @Test("without filters nothing else changes")
    func without() throws {
        let bench = Bench()
        bench.options.bloomBitsPerKey = 0
        let store = try bench.open()
        for index in 0..<300 { try store.put("key\(index)", "value \(index)") }
        try store.requestCompaction()
        bench.workAll()
        #expect(try store.value("key7") == "value 7")
        #expect(try store.value("key7.") == nil)
        #expect(store.statistics.bloomChecks == 0)
    }
}
