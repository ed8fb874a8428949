import CProcessor
import KernelStructures

/// CRC-32C as LevelDB stores it. It is stored *masked*, because files of this format contain checksums, and the
/// checksum of bytes that contain their own checksum is a constant: such a sum finds nothing.
enum MaskedChecksum {
    @inline(__always) static func mask(_ sum: UInt32) -> UInt32 { (sum >> 15 | sum << 17) &+ 0xA282_EAD8 }

    /// Of a byte and the bytes after it: the form that both logs (type, data) and blocks (data, type) are made of.
    static func of(_ first: UInt8, then bytes: Bytes) -> UInt32 {
        var remainder = UInt32.max
        var byte = first
        remainder = carry(remainder, Bytes(&byte, 1))
        return mask(~carry(remainder, bytes))
    }

    static func of(_ bytes: Bytes) -> UInt32 { mask(~carry(.max, bytes)) }
    static func of(_ bytes: Bytes, then last: UInt8) -> UInt32 {
        var byte = last
        return mask(~carry(carry(.max, bytes), Bytes(&byte, 1)))
    }

    private static let hasInstruction = sdlab_has_crc32c() != 0

    @inline(__always) private static func carry(_ remainder: UInt32, _ bytes: Bytes) -> UInt32 {
        if !hasInstruction { return carrySlowly(remainder, bytes) }
        if bytes.count < Lanes.byteCount { return sdlab_crc32c_bytes(remainder, bytes.start, bytes.count) }
        return carryInLanes(remainder, bytes)
    }

    /// A block's worth at a time in three pieces: the remainders of the first two are moved over what follows them.
    private static func carryInLanes(_ remainder: UInt32, _ bytes: Bytes) -> UInt32 {
        var remainder = remainder
        var rest = bytes
        while rest.count >= Lanes.byteCount {
            var three: (UInt32, UInt32, UInt32) = (remainder, 0, 0)
            withUnsafeMutableBytes(of: &three) {
                sdlab_crc32c_three($0.assumingMemoryBound(to: UInt32.self).baseAddress, rest.start, Lanes.length)
            }
            remainder = Lanes.moved(Lanes.moved(three.0) ^ three.1) ^ three.2
            rest = rest.dropFirst(Lanes.byteCount)
        }
        return sdlab_crc32c_bytes(remainder, rest.start, rest.count)
    }

    /// What a remainder becomes when so many zeros follow. That is linear: the sum (exclusive or) of what becomes of
    /// its bits, looked up by bytes.
    private enum Lanes {
        static let length = 1360
        static let byteCount = 3 * length

        static let table: [UInt32] = {
            let zeros = [UInt8](repeating: 0, count: length)
            let ofBit = (0..<32).map { sdlab_crc32c_bytes(1 << UInt32($0), zeros, length) }
            return (0..<4 * 256).map { entry in
                (0..<8).reduce(0) { entry & 1 << $1 == 0 ? $0 : $0 ^ ofBit[entry / 256 * 8 + $1] }
            }
        }()

        @inline(__always) static func moved(_ remainder: UInt32) -> UInt32 {
            table.withUnsafeBufferPointer {
                $0[Int(remainder & 0xFF)] ^ $0[256 + Int(remainder >> 8 & 0xFF)]
                    ^ $0[512 + Int(remainder >> 16 & 0xFF)] ^ $0[768 + Int(remainder >> 24)]
            }
        }
    }

    /// Where the processor does not know this checksum.
    static func carrySlowly(_ remainder: UInt32, _ bytes: Bytes) -> UInt32 {
        var sum = CRC32C(remainder: remainder)
        sum.update(bytes.raw)
        return sum.remainder
    }
}
