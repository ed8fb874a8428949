/// A hash of bytes that somebody else chose: addresses, URIs, values of headers.
///
/// Equal on every machine and in every process, so that two balancers send a key to the same server. It takes eight
/// bytes at a time where `stableHash` takes one (which stays as it is, because seeds depend on it). The two give
/// different values for the same text.
///
/// The hash begins with the key's length. Each step mixes in the next eight bytes, the last ones filled up with zeros,
/// and can be undone: so of all keys of one length no two collide that differ within one group of eight bytes only. For
/// others a collision is as likely as between random numbers.
///
/// Not a secret: who chooses keys can choose them so that they collide. That is the price of a hash that all balancers
/// share. For keys that only this process must find again, a `Dictionary` is safe.
public func keyHash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    let count = bytes.count
    var hash = mixed(UInt64(count) &+ 0x9E37_79B9_7F4A_7C15)
    var position = 0
    while position + 8 <= count {
        let group = bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self)
        hash = mixed(hash ^ UInt64(littleEndian: group))
        position += 8
    }
    if position == count { return hash }
    var rest: UInt64 = 0
    for index in (position..<count).reversed() { rest = rest << 8 | UInt64(bytes[index]) }
    return mixed(hash ^ rest)
}

/// The same of a part of an array.
public func keyHash(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.withUnsafeBytes { keyHash($0) } }

/// The same of a text's UTF-8 bytes.
public func keyHash(_ text: String) -> UInt64 {
    var text = text
    return text.withUTF8 { keyHash(UnsafeRawBufferPointer($0)) }
}
