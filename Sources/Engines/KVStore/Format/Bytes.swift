import Glibc

/// Bytes that somebody else keeps alive: a pointer and a count, cheap to pass around. The engine's inner parts speak in
/// these; nothing outside the module sees them.
struct Bytes {
    var start: UnsafePointer<UInt8>
    var count: Int

    @inline(__always) init(_ start: UnsafePointer<UInt8>, _ count: Int) {
        self.start = start
        self.count = count
    }

    @inline(__always) init(_ buffer: UnsafeRawBufferPointer) {
        start = buffer.baseAddress?.assumingMemoryBound(to: UInt8.self) ?? Bytes.nowhere
        count = buffer.count
    }

    /// An address for what is empty.
    nonisolated(unsafe) static let nowhere = UnsafePointer(UnsafeMutablePointer<UInt8>.allocate(capacity: 16))
    static var empty: Bytes { Bytes(nowhere, 0) }

    @inline(__always) var end: UnsafePointer<UInt8> { start + count }
    @inline(__always) var raw: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start, count: count) }
    var array: [UInt8] { Array(raw) }
    @inline(__always) func prefix(_ length: Int) -> Bytes { Bytes(start, length) }
    @inline(__always) func dropFirst(_ length: Int) -> Bytes { Bytes(start + length, count - length) }

    /// The order of keys: byte by byte, as unsigned numbers; a beginning comes before what it begins.
    @inline(__always) func compared(to other: Bytes) -> Int {
        compareBytes(start, count, other.start, other.count)
    }

    @inline(__always) func equals(_ other: Bytes) -> Bool {
        count == other.count && memcmp(start, other.start, count) == 0
    }
}

/// Negative, zero or positive. Eight bytes at a time: keys of one store often share long beginnings.
@inline(__always) func compareBytes(
    _ a: UnsafePointer<UInt8>, _ aCount: Int, _ b: UnsafePointer<UInt8>, _ bCount: Int
) -> Int {
    let common = aCount < bCount ? aCount : bCount
    var index = 0
    while index &+ 8 <= common {
        let x = UnsafeRawPointer(a + index).loadUnaligned(as: UInt64.self)
        let y = UnsafeRawPointer(b + index).loadUnaligned(as: UInt64.self)
        if x != y { return x.byteSwapped < y.byteSwapped ? -1 : 1 }
        index &+= 8
    }
    while index < common {
        if a[index] != b[index] { return a[index] < b[index] ? -1 : 1 }
        index &+= 1
    }
    return aCount &- bCount
}

/// Calls `body` with the bytes of any collection of them, without a copy where they lie together in memory.
@inline(__always) func withBytes<R, E: Error>(
    of collection: some Collection<UInt8>, _ body: (Bytes) throws(E) -> R
) throws(E) -> R {
    let direct = collection.withContiguousStorageIfAvailable { buffer -> Result<R, E> in
        do throws(E) { return .success(try body(Bytes(UnsafeRawBufferPointer(buffer)))) } catch {
            return .failure(error)
        }
    }
    if let direct { return try direct.get() }
    let copy = Array(collection)
    let result = copy.withUnsafeBufferPointer { buffer -> Result<R, E> in
        do throws(E) { return .success(try body(Bytes(UnsafeRawBufferPointer(buffer)))) } catch {
            return .failure(error)
        }
    }
    return try result.get()
}

extension UnsafePointer<UInt8> {
    @inline(__always) var fixed32: UInt32 {
        UInt32(littleEndian: UnsafeRawPointer(self).loadUnaligned(as: UInt32.self))
    }
    @inline(__always) var fixed64: UInt64 {
        UInt64(littleEndian: UnsafeRawPointer(self).loadUnaligned(as: UInt64.self))
    }
}

extension UnsafeMutablePointer<UInt8> {
    @inline(__always) func store32(_ value: UInt32) {
        UnsafeMutableRawPointer(self).storeBytes(of: value.littleEndian, as: UInt32.self)
    }
    @inline(__always) func store64(_ value: UInt64) {
        UnsafeMutableRawPointer(self).storeBytes(of: value.littleEndian, as: UInt64.self)
    }
    /// Seven bits a byte, the lowest first, the top bit set in all but the last. Returns the end.
    @inline(__always) func storeVarint(_ value: UInt64) -> UnsafeMutablePointer<UInt8> {
        var rest = value
        var place = self
        while rest >= 0x80 {
            place.pointee = UInt8(truncatingIfNeeded: rest) | 0x80
            rest >>= 7
            place += 1
        }
        place.pointee = UInt8(truncatingIfNeeded: rest)
        return place + 1
    }
}

/// Reads numbers and strings off the front of some bytes; nil where they do not suffice or are not well formed.
struct ByteReader {
    private(set) var rest: Bytes
    @inline(__always) init(_ bytes: Bytes) { rest = bytes }
    @inline(__always) var isEmpty: Bool { rest.count == 0 }

    @inline(__always) mutating func byte() -> UInt8? {
        if rest.count == 0 { return nil }
        let value = rest.start.pointee
        rest = rest.dropFirst(1)
        return value
    }

    @inline(__always) mutating func fixed32() -> UInt32? {
        if rest.count < 4 { return nil }
        let value = rest.start.fixed32
        rest = rest.dropFirst(4)
        return value
    }

    @inline(__always) mutating func fixed64() -> UInt64? {
        if rest.count < 8 { return nil }
        let value = rest.start.fixed64
        rest = rest.dropFirst(8)
        return value
    }

    @inline(__always) mutating func varint64() -> UInt64? {
        var result: UInt64 = 0
        var shift: UInt64 = 0
        var index = 0
        while index < rest.count, shift <= 63 {
            let byte = rest.start[index]
            index += 1
            if byte < 0x80 {
                // The tenth byte has room for one bit.
                if shift == 63, byte > 1 { return nil }
                result |= UInt64(byte) << shift
                rest = rest.dropFirst(index)
                return result
            }
            result |= UInt64(byte & 0x7F) << shift
            shift += 7
        }
        return nil
    }

    @inline(__always) mutating func varint32() -> UInt32? {
        guard let value = varint64(), value <= UInt64(UInt32.max) else { return nil }
        return UInt32(value)
    }

    /// A string after its length.
    @inline(__always) mutating func string() -> Bytes? {
        guard let length = varint32(), Int(length) <= rest.count else { return nil }
        return take(Int(length))
    }

    @inline(__always) mutating func take(_ length: Int) -> Bytes? {
        if length > rest.count { return nil }
        let result = rest.prefix(length)
        rest = rest.dropFirst(length)
        return result
    }
}

/// A growing piece of memory of one's own: what `[UInt8]` is, without checks and copies on the way of every write.
final class ByteBuffer {
    private(set) var start: UnsafeMutablePointer<UInt8>
    private(set) var capacity: Int
    var count = 0

    init(capacity: Int = 256) {
        self.capacity = capacity
        start = .allocate(capacity: capacity)
    }

    deinit { start.deallocate() }

    var bytes: Bytes { Bytes(UnsafePointer(start), count) }

    @inline(__always) func reserve(_ additional: Int) {
        if count + additional > capacity { grow(additional) }
    }

    @inline(never) private func grow(_ additional: Int) {
        let wanted = max(count + additional, capacity * 2)
        let bigger = UnsafeMutablePointer<UInt8>.allocate(capacity: wanted)
        bigger.update(from: start, count: count)
        start.deallocate()
        start = bigger
        capacity = wanted
    }

    /// Gives memory back that one large piece took.
    func shrink(to limit: Int) {
        guard capacity > limit, count <= limit else { return }
        let smaller = UnsafeMutablePointer<UInt8>.allocate(capacity: limit)
        smaller.update(from: start, count: count)
        start.deallocate()
        start = smaller
        capacity = limit
    }

    @inline(__always) func append(_ bytes: Bytes) {
        reserve(bytes.count)
        memcpy(start + count, bytes.start, bytes.count)
        count &+= bytes.count
    }

    @inline(__always) func append(_ byte: UInt8) {
        reserve(1)
        start[count] = byte
        count &+= 1
    }

    @inline(__always) func append32(_ value: UInt32) {
        reserve(4)
        (start + count).store32(value)
        count &+= 4
    }

    @inline(__always) func append64(_ value: UInt64) {
        reserve(8)
        (start + count).store64(value)
        count &+= 8
    }

    @inline(__always) func appendVarint(_ value: UInt64) {
        reserve(10)
        count = (start + count).storeVarint(value) - start
    }

    @inline(__always) func appendString(_ bytes: Bytes) {
        appendVarint(UInt64(bytes.count))
        append(bytes)
    }
}
