/// Compression of bodies and of data that is rarely read, by zlib and zstd.
///
/// Compressing is writing "ditto" instead of repeating oneself. Reading it is dangerous: a page full of dittos is short
/// to send and long to read aloud, and 10 KB that claim to be 10 GB ("decompression bomb") would fill anybody's memory.
/// So whoever decompresses says how much may come out, and zstd may look back 8 MiB and no further.
///
/// `Compressor` and `Decompressor` take bytes in pieces; `compress` and `decompress` of a format take them at once.
///
/// Where it is wrong: the output depends on the library's version, so no test compares compressed bytes.
public enum CompressionFormat: String, CaseIterable, Sendable {
    /// RFC 1952; HTTP's `gzip`. Several members after one another are read as one.
    case gzip
    /// RFC 1950; HTTP's `deflate` (RFC 9110 section 8.4.1.2).
    case zlib
    /// RFC 1951: without header and checksum, so that damage is not always seen.
    case rawDeflate
    /// RFC 8878; HTTP's `zstd`, with the window of RFC 9659.
    case zstd

    /// How hard the compressor tries, from little to much.
    public var levels: ClosedRange<Int> { self == .zstd ? 1...19 : 1...9 }

    /// What the library's own tools do.
    public var defaultLevel: Int { self == .zstd ? 3 : 6 }

    /// All of `bytes`, compressed.
    ///
    /// - Parameter level: within `levels`; others are taken for the nearest.
    public func compress(_ bytes: [UInt8], level: Int? = nil) throws(CompressionError) -> [UInt8] {
        let compressor = try Compressor(self, level: level)
        var output: [UInt8] = []
        try compressor.compress(bytes, into: &output, .end)
        return output
    }

    /// All that was compressed into `bytes`.
    ///
    /// - Throws: `CompressionError` also if more than `limitBytes` would come out, or if the end is missing.
    public func decompress(_ bytes: [UInt8], limitBytes: Int) throws(CompressionError) -> [UInt8] {
        let decompressor = try Decompressor(self, limitBytes: limitBytes)
        var output: [UInt8] = []
        try decompressor.decompress(bytes, into: &output)
        try decompressor.finish()
        return output
    }
}

/// Why bytes cannot be compressed or decompressed.
public enum CompressionError: Error, Equatable, Sendable, CustomStringConvertible {
    /// They are damaged, or of another format.
    case invalid(CompressionFormat, reason: String)
    /// They end before what they contain ends.
    case truncated(CompressionFormat)
    /// More comes out than was allowed.
    case tooLarge(limitBytes: Int)
    case outOfMemory
    /// Not a block of snappy's.
    case malformedSnappy

    public var description: String {
        switch self {
        case .invalid(let format, let reason): "not valid \(format.rawValue): \(reason)"
        case .truncated(let format): "the \(format.rawValue) data ends too early"
        case .tooLarge(let limit): "more than the \(limit) bytes that are allowed come out of it"
        case .malformedSnappy: "not valid snappy"
        case .outOfMemory: "not enough memory to compress"
        }
    }
}
