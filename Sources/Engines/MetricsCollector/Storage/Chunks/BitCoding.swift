/// Writes bits one behind the other, the highest of a number first.
struct BitWriter {
    private(set) var bytes: [UInt8]
    /// Bits of the last byte that are still free.
    private var freeBits = 0

    init(_ bytes: [UInt8] = []) { self.bytes = bytes }

    /// To go on where a writer stopped that left so many bits of the last byte.
    init(_ bytes: [UInt8], freeBits: Int) {
        self.bytes = bytes
        self.freeBits = freeBits
    }

    mutating func append(_ bit: Bool) { append(bit ? 1 : 0, count: 1) }

    /// The lowest `count` bits of `value`, 0 to 64.
    mutating func append(_ value: UInt64, count: Int) {
        var count = count
        while count > 0 {
            if freeBits == 0 {
                bytes.append(0)
                freeBits = 8
            }
            let taken = min(count, freeBits)
            let part = (value >> UInt64(count - taken)) & ((1 << UInt64(taken)) - 1)
            bytes[bytes.count - 1] |= UInt8(truncatingIfNeeded: part << UInt64(freeBits - taken))
            freeBits -= taken
            count -= taken
        }
    }

    /// Seven bits a byte, the lowest first.
    mutating func append(varint value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            append(rest & 0x7F | 0x80, count: 8)
            rest >>= 7
        }
        append(rest, count: 8)
    }

    mutating func append(varint value: Int64) { append(varint: UInt64(bitPattern: (value << 1) ^ (value >> 63))) }

    /// Writes over bytes that are there.
    mutating func replace(at offset: Int, with new: [UInt8]) {
        for (index, byte) in new.enumerated() where bytes.indices.contains(offset + index) {
            bytes[offset + index] = byte
        }
    }
}

/// Reads what a `BitWriter` has written. Beyond the end it gives zeros, and says so.
struct BitReader {
    private let bytes: UnsafeRawBufferPointer
    /// In bits.
    private var position: Int
    private(set) var isBeyondEnd = false

    init(_ bytes: UnsafeRawBufferPointer, fromByte offset: Int = 0) {
        self.bytes = bytes
        position = offset * 8
    }

    mutating func bit() -> Bool {
        let index = position >> 3
        guard index < bytes.count else {
            isBeyondEnd = true
            return false
        }
        let bit = bytes[index] >> UInt8(7 - position & 7) & 1
        position += 1
        return bit == 1
    }

    /// The next `count` bits, 0 to 64.
    mutating func bits(_ count: Int) -> UInt64 {
        var value: UInt64 = 0
        var left = count
        while left > 0 {
            let index = position >> 3
            guard index < bytes.count else {
                isBeyondEnd = true
                return 0
            }
            let free = 8 - position & 7
            let taken = min(left, free)
            let part = bytes[index] >> UInt8(free - taken) & UInt8((1 << taken) - 1)
            value = value << UInt64(taken) | UInt64(part)
            position += taken
            left -= taken
        }
        return value
    }

    mutating func varint() -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            let byte = bits(8)
            value |= (byte & 0x7F) << shift
            if byte & 0x80 == 0 { return value }
        }
        isBeyondEnd = true
        return 0
    }

    mutating func signedVarint() -> Int64 {
        let folded = varint()
        return Int64(bitPattern: folded >> 1) ^ -Int64(bitPattern: folded & 1)
    }
}
