// Who is meant by a request: RFC 9110 §7.2, with the grammar of RFC 3986 §3.2.
//
//   authority = host [ ":" *DIGIT ]
//   host      = "[" address "]" | *( unreserved | sub-delims | "%" )
//
// Whoever routes by it has to agree with whoever serves by it; `good@evil`, `good/evil` and `good#evil` are read in two
// ways, and a user before the host (RFC 9110 §4.2.4) has never been meant well. An empty host is a `Host` field's
// business: it may be empty, a URL's may not.

/// The characters of a host's name as two bit sets over ASCII.
private let hostBitsLow: UInt64 = 0x2BFF_7FF2_0000_0000
private let hostBitsHigh: UInt64 = 0x47FF_FFFE_87FF_FFFE

@inline(__always) private func isHostByte(_ byte: UInt8) -> Bool {
    if byte < 64 { return hostBitsLow >> UInt64(byte) & 1 == 1 }
    return byte < 128 && hostBitsHigh >> UInt64(byte - 64) & 1 == 1
}

extension HTTPHead {
    /// The length of the host in these bytes of the head; nil if they are no authority.
    func hostLength(_ range: Range<Int>) -> Int? {
        let span = bytes.span
        var position = range.lowerBound
        if position < range.upperBound, span[position] == UInt8(ascii: "[") {
            repeat {
                position += 1
                guard position < range.upperBound else { return nil }
            } while isAddressByte(span[position])
            guard span[position] == UInt8(ascii: "]"), position - range.lowerBound > 2 else { return nil }
            position += 1
        } else {
            while position < range.upperBound, isHostByte(span[position]) { position += 1 }
        }
        let length = position - range.lowerBound
        if position == range.upperBound { return length }
        guard span[position] == UInt8(ascii: ":") else { return nil }
        for index in position + 1..<range.upperBound {
            guard span[index] >= 48, span[index] <= 57 else { return nil }
        }
        return length
    }

    private func isAddressByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 48...58, 65...70, 97...102, UInt8(ascii: "."): true
        default: false
        }
    }
}
