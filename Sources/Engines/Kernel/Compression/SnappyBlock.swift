import CSnappy

/// Snappy's block format (google/snappy, `format_description.txt`): quick rather than small, and always in one piece.
/// Prometheus's log and its remote write have it, and Loki's push.
public enum SnappyBlock {
    public static func compress(_ bytes: [UInt8]) -> [UInt8] {
        // Even nothing has a byte that says so, and a place.
        let source = bytes.isEmpty ? [0] : bytes
        var length = snappy_max_compressed_length(bytes.count)
        var result = [UInt8](repeating: 0, count: max(1, length))
        source.withUnsafeBytes { source in
            result.withUnsafeMutableBytes { target in
                _ = snappy_compress(
                    source.bindMemory(to: CChar.self).baseAddress!, bytes.count,
                    target.bindMemory(to: CChar.self).baseAddress!, &length)
            }
        }
        result.removeLast(result.count - length)
        return result
    }

    /// - Throws: `CompressionError` for what is damaged, and for more than `limitBytes`, before memory is taken for it.
    public static func decompress(_ bytes: [UInt8], limitBytes: Int) throws(CompressionError) -> [UInt8] {
        var length = 0
        var plain: [UInt8] = []
        let isValid = bytes.withUnsafeBytes { raw -> Bool in
            guard let source = raw.bindMemory(to: CChar.self).baseAddress,
                snappy_uncompressed_length(source, raw.count, &length) == SNAPPY_OK
            else { return false }
            guard length <= limitBytes else { return true }
            plain = [UInt8](repeating: 0, count: max(1, length))
            return plain.withUnsafeMutableBytes { target in
                snappy_uncompress(source, raw.count, target.bindMemory(to: CChar.self).baseAddress, &length)
                    == SNAPPY_OK
            }
        }
        guard isValid else { throw .malformedSnappy }
        guard length <= limitBytes else { throw .tooLarge(limitBytes: limitBytes) }
        plain.removeLast(plain.count - length)
        return plain
    }
}
