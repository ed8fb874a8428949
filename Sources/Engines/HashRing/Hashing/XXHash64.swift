/// XXH64 by Yann Collet ("xxHash fast digest algorithm", specification 0.1.1, XXH64): 64 bits, from 32 bytes a step.
///
/// Four lanes take eight bytes each and know nothing of one another, so a processor works on all of them at once. They
/// are merged at the end; what is left goes in by eights, a four and ones; a finalizer spreads what came last.
public func xxHash64(_ bytes: UnsafeRawBufferPointer, seed: UInt64) -> UInt64 {
    let count = bytes.count
    var place = 0
    var hash: UInt64
    if count >= 32 {
        var a = seed &+ prime1 &+ prime2
        var b = seed &+ prime2
        var c = seed
        var d = seed &- prime1
        while place + 32 <= count {
            a = round(a, word(bytes, place))
            b = round(b, word(bytes, place + 8))
            c = round(c, word(bytes, place + 16))
            d = round(d, word(bytes, place + 24))
            place += 32
        }
        hash = rotatedLeft(a, 1) &+ rotatedLeft(b, 7) &+ rotatedLeft(c, 12) &+ rotatedLeft(d, 18)
        for lane in [a, b, c, d] { hash = (hash ^ round(0, lane)) &* prime1 &+ prime4 }
    } else {
        hash = seed &+ prime5
    }
    hash &+= UInt64(count)
    while place + 8 <= count {
        hash = rotatedLeft(hash ^ round(0, word(bytes, place)), 27) &* prime1 &+ prime4
        place += 8
    }
    if place + 4 <= count {
        let four = UInt64(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self)))
        hash = rotatedLeft(hash ^ four &* prime1, 23) &* prime2 &+ prime3
        place += 4
    }
    while place < count {
        hash = rotatedLeft(hash ^ UInt64(bytes[place]) &* prime5, 11) &* prime1
        place += 1
    }
    hash = (hash ^ hash >> 33) &* prime2
    hash = (hash ^ hash >> 29) &* prime3
    return hash ^ hash >> 32
}

private let prime1: UInt64 = 0x9E37_79B1_85EB_CA87
private let prime2: UInt64 = 0xC2B2_AE3D_27D4_EB4F
private let prime3: UInt64 = 0x1656_67B1_9E37_79F9
private let prime4: UInt64 = 0x85EB_CA77_C2B2_AE63
private let prime5: UInt64 = 0x27D4_EB2F_1656_67C5

@inline(__always) private func round(_ lane: UInt64, _ input: UInt64) -> UInt64 {
    rotatedLeft(lane &+ input &* prime2, 31) &* prime1
}

@inline(__always) private func word(_ bytes: UnsafeRawBufferPointer, _ place: Int) -> UInt64 {
    UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self))
}
