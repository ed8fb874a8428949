/// MurmurHash3_x64_128 by Austin Appleby (2011, public domain): 128 bits, from 16 bytes a step.
///
/// "Mur" is multiply, "mur" is rotate. Two lanes of 64 bits each take eight bytes a step: multiply, rotate, multiply,
/// mix into the lane, and then the lanes into one another. What is left at the end goes in without padding, the length
/// is mixed in last, and a finalizer lets each bit of the input reach each bit of the output.
///
/// Cassandra's partitioner takes the first of the two lanes as its token, but reads the last bytes as signed numbers,
/// so it agrees with this only for keys whose last `length % 16` bytes are below 128.
///
/// - Returns: `low` is the reference implementation's first eight bytes of output, `high` its second.
public func murmurHash3(_ bytes: UnsafeRawBufferPointer, seed: UInt32) -> (low: UInt64, high: UInt64) {
    let c1: UInt64 = 0x87C3_7B91_1142_53D5
    let c2: UInt64 = 0x4CF5_AD43_2745_937F
    var h1 = UInt64(seed)
    var h2 = UInt64(seed)
    let count = bytes.count
    var place = 0
    while place + 16 <= count {
        let k1 = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self))
        let k2 = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: place + 8, as: UInt64.self))
        h1 ^= rotatedLeft(k1 &* c1, 31) &* c2
        h1 = (rotatedLeft(h1, 27) &+ h2) &* 5 &+ 0x52DC_E729
        h2 ^= rotatedLeft(k2 &* c2, 33) &* c1
        h2 = (rotatedLeft(h2, 31) &+ h1) &* 5 &+ 0x3849_5AB5
        place += 16
    }
    if count > place + 8 { h2 ^= rotatedLeft(tail(bytes, from: place + 8, to: count) &* c2, 33) &* c1 }
    if count > place { h1 ^= rotatedLeft(tail(bytes, from: place, to: min(count, place + 8)) &* c1, 31) &* c2 }
    h1 ^= UInt64(count)
    h2 ^= UInt64(count)
    h1 &+= h2
    h2 &+= h1
    h1 = finalized(h1)
    h2 = finalized(h2)
    h1 &+= h2
    h2 &+= h1
    return (h1, h2)
}

/// Up to eight bytes as a number, the first one lowest.
private func tail(_ bytes: UnsafeRawBufferPointer, from start: Int, to end: Int) -> UInt64 {
    var value: UInt64 = 0
    for index in (start..<end).reversed() { value = value << 8 | UInt64(bytes[index]) }
    return value
}

@inline(__always) private func finalized(_ value: UInt64) -> UInt64 {
    var k = value
    k = (k ^ k >> 33) &* 0xFF51_AFD7_ED55_8CCD
    k = (k ^ k >> 33) &* 0xC4CE_B9FE_1A85_EC53
    return k ^ k >> 33
}

@inline(__always) func rotatedLeft(_ value: UInt64, _ count: UInt64) -> UInt64 {
    value << count | value >> (64 - count)
}
