import KernelStructures
import TestSupport
import Testing

@testable import KVStoreEngine

@Suite struct WriteBatchTests {
    @Test("a batch's bytes are LevelDB's")
    func format() {
        var batch = WriteBatch()
        batch.put("ab".utf8, "xyz".utf8)
        batch.delete("c".utf8)
        let bytes = batch.seal(sequence: 0x0102).array
        #expect(bytes == [2, 1, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 2, 97, 98, 3, 120, 121, 122, 0, 1, 99])
    }
}

@Suite struct ChecksumTests {
    @Test(
        "the quick ways to a checksum lead to the same as the plain one",
        arguments: [0, 1, 7, 8, 4079, 4080, 4101, 9000])
    func agree(count: Int) {
        let bytes = randomBytes(count, seed: UInt64(count))
        let plain = MaskedChecksum.mask(CRC32C.of(bytes))
        #expect(bytes.withUnsafeBytes { MaskedChecksum.of(Bytes($0)) } == plain)
        #expect(
            bytes.withUnsafeBytes { MaskedChecksum.of(Bytes($0), then: 7) }
                == MaskedChecksum.mask(CRC32C.of(bytes + [7])))
        #expect(
            bytes.withUnsafeBytes { MaskedChecksum.of(7, then: Bytes($0)) }
                == MaskedChecksum.mask(CRC32C.of([7] + bytes)))
        #expect(bytes.withUnsafeBytes { ~MaskedChecksum.carrySlowly(.max, Bytes($0)) } == CRC32C.of(bytes))
    }

    @Test("the checksum of RFC 3720's example, masked as LevelDB masks it")
    func example() {
        let zeros = [UInt8](repeating: 0, count: 32)
        let sum: UInt32 = 0x8A91_36AA
        #expect(CRC32C.of(zeros) == sum)
        #expect(zeros.withUnsafeBytes { MaskedChecksum.of(Bytes($0)) } == (sum >> 15 | sum << 17) &+ 0xA282_EAD8)
    }
}
