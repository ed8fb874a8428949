/// The keys inside the store: what the user calls a key, and behind it eight bytes that say which version of it this
/// is.
///
///     internal key := user key, tag (8 bytes)
///     tag          := sequence number << 8 | kind
///
/// Every write gets the next sequence number, and nothing is ever overwritten: a new version is a new internal key.
/// The order puts equal user keys together with the newest first, so that a read at sequence number *s* is a search
/// for the first entry at or after (key, *s*): it skips the versions that came later.
enum InternalKey {
    static let tagByteCount = 8
    /// The largest sequence number: 56 bits are left of the tag.
    static let sequenceLimit: UInt64 = (1 << 56) - 1

    @inline(__always) static func tag(_ sequence: UInt64, _ kind: ValueKind) -> UInt64 {
        sequence << 8 | UInt64(kind.rawValue)
    }

    /// The tag to search with: entries of that sequence number sort at or after it, whatever their kind.
    @inline(__always) static func seekTag(_ sequence: UInt64) -> UInt64 { tag(sequence, .value) }

    @inline(__always) static func compare(_ a: Bytes, _ b: Bytes) -> Int {
        let order = compareBytes(a.start, a.count &- 8, b.start, b.count &- 8)
        if order != 0 { return order }
        let x = a.tag
        let y = b.tag
        return x > y ? -1 : x < y ? 1 : 0
    }

    /// Compares an internal key with a user key and a tag.
    @inline(__always) static func compare(_ a: Bytes, _ userKey: Bytes, _ tag: UInt64) -> Int {
        let order = compareBytes(a.start, a.count &- 8, userKey.start, userKey.count)
        if order != 0 { return order }
        let x = a.tag
        return x > tag ? -1 : x < tag ? 1 : 0
    }

    static func make(_ userKey: Bytes, _ tag: UInt64) -> [UInt8] {
        var key = userKey.array
        for shift in 0..<8 { key.append(UInt8(truncatingIfNeeded: tag >> UInt64(shift * 8))) }
        return key
    }
}

extension Bytes {
    /// Of an internal key.
    @inline(__always) var userKey: Bytes { Bytes(start, count &- 8) }
    @inline(__always) var tag: UInt64 { (start + (count &- 8)).fixed64 }
    @inline(__always) var sequence: UInt64 { tag >> 8 }
    /// Nil for a kind that this store does not know.
    @inline(__always) var kind: ValueKind? { ValueKind(rawValue: UInt8(truncatingIfNeeded: tag)) }
}

/// Index entries need not be keys that exist: any text from the last key of one block to the first of the next will do,
/// and the shortest is best.
enum Separator {
    /// A short key that is at least `a` and less than `b`; `a` itself where there is no shorter one.
    static func between(_ a: Bytes, _ b: Bytes) -> [UInt8] {
        let common = min(a.count, b.count)
        var index = 0
        while index < common, a.start[index] == b.start[index] { index += 1 }
        if index < common {
            let byte = a.start[index]
            if byte < 0xFF, byte + 1 < b.start[index] {
                var result = a.prefix(index + 1).array
                result[index] += 1
                return result
            }
        }
        return a.array
    }

    /// A short key that is at least `a`.
    static func after(_ a: Bytes) -> [UInt8] {
        for index in 0..<a.count where a.start[index] != 0xFF {
            var result = a.prefix(index + 1).array
            result[index] += 1
            return result
        }
        return a.array
    }

    /// The same for internal keys. A shortened user key gets the newest tag there can be: it sorts before every
    /// version that might exist.
    static func between(internal a: Bytes, _ b: Bytes) -> [UInt8] { extended(between(a.userKey, b.userKey), a) }
    static func after(internal a: Bytes) -> [UInt8] { extended(after(a.userKey), a) }

    private static func extended(_ short: [UInt8], _ a: Bytes) -> [UInt8] {
        if short.count >= a.count - 8 { return a.array }
        return short.withUnsafeBytes {
            InternalKey.make(Bytes($0), InternalKey.seekTag(InternalKey.sequenceLimit))
        }
    }
}
