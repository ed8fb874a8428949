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
