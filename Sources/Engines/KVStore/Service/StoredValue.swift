/// How a value and its time to live lie in the store.
///
///     value without an end    the bytes as the client gave them
///     value with an end       F5 54 54 4C ("õTTL")   expiry (8 bytes, big-endian)   the bytes
///
/// The expiry counts milliseconds since 1970. So whoever opens the directory with a tool for LevelDB reads plain keys
/// and plain values, and twelve bytes before those values only that have an end. A value that happens to begin with
/// the mark is stored in the second form, with expiry 0: none.
///
/// A value that ends also has an entry in the index of ends, under a key of the server's own:
///
///     00 "sdlab" 00 "ttl" 00   expiry (8 bytes, big-endian)   key        →  (empty)
///
/// These lie in the order of time, so what has ended is always at the front. The index may know ends that no longer
/// hold, because the key was written again; it is the value that decides.
enum StoredValue {
    static let mark: [UInt8] = [0xF5, 0x54, 0x54, 0x4C]
    private static let markWord = UInt32(littleEndian: 0x4C54_54F5)
    static let headerByteCount = 12

    /// Keys that begin so are the server's own; clients cannot use them.
    static let reserved: [UInt8] = [0] + Array("sdlab".utf8) + [0]
    /// The first key behind them.
    static let firstUnreserved: [UInt8] = [0] + Array("sdlab".utf8) + [1]
    static let indexPrefix: [UInt8] = reserved + Array("ttl".utf8) + [0]

    @inline(__always) static func hasMark(_ value: UnsafeRawBufferPointer) -> Bool {
        guard value.count >= 4, let start = value.baseAddress else { return false }
        return start.loadUnaligned(as: UInt32.self) == markWord
    }

    /// The client's bytes, and when they end (milliseconds since 1970; 0: never).
    @inline(__always) static func read(_ stored: UnsafeRawBufferPointer) -> (
        payload: UnsafeRawBufferPointer, expiry: Int
    ) {
        guard hasMark(stored), stored.count >= headerByteCount, let start = stored.baseAddress else {
            return (stored, 0)
        }
        let expiry = UInt64(bigEndian: (start + 4).loadUnaligned(as: UInt64.self))
        return (UnsafeRawBufferPointer(rebasing: stored[headerByteCount...]), Int(clamping: expiry))
    }

    static func encode(_ payload: UnsafeRawBufferPointer, expiry: Int) -> [UInt8] {
        if expiry == 0, !hasMark(payload) { return Array(payload) }
        var stored: [UInt8] = []
        stored.reserveCapacity(headerByteCount + payload.count)
        stored += mark
        append(expiry, to: &stored)
        stored.append(contentsOf: payload)
        return stored
    }

    static func indexKey(_ key: UnsafeRawBufferPointer, expiry: Int) -> [UInt8] {
        var entry = indexPrefix
        entry.reserveCapacity(indexPrefix.count + 8 + key.count)
        append(expiry, to: &entry)
        entry.append(contentsOf: key)
        return entry
    }

    /// What an entry of the index says; nil if it is none.
    static func readIndexKey(_ entry: UnsafeRawBufferPointer) -> (expiry: Int, key: [UInt8])? {
        guard entry.count >= indexPrefix.count + 8, entry.prefix(indexPrefix.count).elementsEqual(indexPrefix) else {
            return nil
        }
        let expiry = UInt64(bigEndian: entry.loadUnaligned(fromByteOffset: indexPrefix.count, as: UInt64.self))
        return (Int(clamping: expiry), Array(entry[(indexPrefix.count + 8)...]))
    }

    @inline(__always) static func isReserved(_ key: UnsafeRawBufferPointer) -> Bool {
        guard let first = key.first, first == 0 else { return false }
        return key.count >= reserved.count && key.prefix(reserved.count).elementsEqual(reserved)
    }

    private static func append(_ number: Int, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: UInt64(number).bigEndian) { bytes.append(contentsOf: $0) }
    }
}
