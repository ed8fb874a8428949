import KernelStructures

/// What a word of a log line is: letters and digits of ASCII, `_`, and all bytes from 0x80 on, as many as follow one
/// another. `user_id=4711 failed: köln` has the words `user_id`, `4711`, `failed` and `köln`. Case does not matter.
///
/// Index and query must cut a line in the same way, or something would be left out that is wanted: so it stands here,
/// once.
public enum LogWords {
    /// Longer words are cut off: what follows is not indexed, and not looked for in the index.
    public static let lengthLimit = 64

    @inlinable
    @inline(__always)
    public static func isOfWord(_ byte: UInt8) -> Bool {
        byte >= 0x80 || byte &- 0x30 < 10 || (byte | 0x20) &- 0x61 < 26 || byte == 0x5F
    }

    /// Calls `body` with the hash of each word.
    @inlinable
    public static func forEachHash(_ line: UnsafeRawBufferPointer, _ body: (UInt64) -> Void) {
        var index = 0
        let count = line.count
        while index < count {
            var byte = line[index]
            if !isOfWord(byte) {
                index += 1
                continue
            }
            let limit = min(count, index + lengthLimit)
            var hash = seed
            while index < limit {
                byte = line[index]
                guard isOfWord(byte) else { break }
                hash = mixed(hash, folded(byte))
                index += 1
            }
            while index < count, isOfWord(line[index]) { index += 1 }
            body(finished(hash))
        }
    }

    /// The hashes of the words of a text.
    public static func hashes(_ text: String) -> [UInt64] {
        var hashes: [UInt64] = []
        var text = text
        text.withUTF8 { forEachHash(UnsafeRawBufferPointer($0)) { hashes.append($0) } }
        return hashes
    }

    /// The hash of a member with its value: another kind of word, which no text has.
    @inlinable
    public static func fieldHash(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> UInt64 {
        var hash = seed &+ 1
        for byte in name { hash = mixed(hash, byte) }
        hash = mixed(hash, 0)
        for byte in value { hash = mixed(hash, byte) }
        return finished(hash)
    }

    public static func fieldHash(_ name: String, _ value: String) -> UInt64 {
        var name = name
        var value = value
        return name.withUTF8 { name in
            value.withUTF8 { fieldHash(UnsafeRawBufferPointer(name), UnsafeRawBufferPointer($0)) }
        }
    }

    // FNV-1a (Fowler, Noll, Vo) with a last mixing, by which all bits depend on all bytes (Murmur 3's).

    @usableFromInline static let seed: UInt64 = 0xCBF2_9CE4_8422_2325

    @inlinable
    @inline(__always)
    static func folded(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }

    @inlinable
    @inline(__always)
    static func mixed(_ hash: UInt64, _ byte: UInt8) -> UInt64 { (hash ^ UInt64(byte)) &* 0x0100_0000_01B3 }

    @inlinable
    @inline(__always)
    static func finished(_ hash: UInt64) -> UInt64 {
        var mixed = hash
        mixed ^= mixed >> 33
        mixed = mixed &* 0xFF51_AFD7_ED55_8CCD
        mixed ^= mixed >> 33
        mixed = mixed &* 0xC4CE_B9FE_1A85_EC53
        return mixed ^ (mixed >> 33)
    }
}
