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
        if hasInstruction { return sdlab_crc32c_bytes(remainder, bytes.start, bytes.count) }
        return carrySlowly(remainder, bytes)
    }

    /// Where the processor does not know this checksum.
    static func carrySlowly(_ remainder: UInt32, _ bytes: Bytes) -> UInt32 {
        var sum = CRC32C(remainder: remainder)
        sum.update(bytes.raw)
        return sum.remainder
    }
}
