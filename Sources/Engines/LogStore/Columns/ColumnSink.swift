import KernelCompression
import KernelStructures

/// What columns are written into. Each long one is a block of its own for zstd, with statistics of its own: numbers and
/// letters in one would spoil each other's. Short ones share a block.
struct ColumnSink {
    private let compressor: Compressor
    private var short = RecordWriter()
    private(set) var packed: [UInt8] = []

    /// A block costs a table of statistics; below it is not worth that.
    private static let blockBytes = 256

    init(_ compressor: Compressor) { self.compressor = compressor }

    mutating func append(byte: UInt8) { short.append(byte: byte) }
    mutating func append(_ number: Int) { short.append(UInt64(clamping: number)) }
    mutating func append(signed number: Int64) { short.append(number) }
    mutating func append(data: [UInt8]) { short.append(data) }

    /// Bytes as they are; the reader knows how many.
    mutating func append(column bytes: [UInt8]) throws(CompressionError) {
        guard bytes.count >= Self.blockBytes else {
            for byte in bytes { short.append(byte: byte) }
            return
        }
        try endShort()
        try compressor.compress(bytes, into: &packed, .block)
    }

    private mutating func endShort() throws(CompressionError) {
        guard !short.bytes.isEmpty else { return }
        try compressor.compress(short.bytes, into: &packed, .block)
        short = RecordWriter()
    }

    mutating func finish() throws(CompressionError) -> [UInt8] {
        try compressor.compress(short.bytes, into: &packed, .end)
        return packed
    }
}
