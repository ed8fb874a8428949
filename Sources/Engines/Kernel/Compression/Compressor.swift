/// Compresses a stream of pieces.
public final class Compressor {
    /// What follows a piece.
    public enum Flush: Sendable {
        /// More: the compressor keeps what it likes.
        case none
        /// More, later: everything so far can be decompressed now. Costs a few bytes.
        case block
        /// Nothing; the compressor then begins anew.
        case end
    }

    private let codec: any CompressingCodec

    /// - Parameter level: within the format's `levels`; others are taken for the nearest.
    /// - Throws: `.outOfMemory`
    public init(_ format: CompressionFormat, level: Int? = nil) throws(CompressionError) {
        let levels = format.levels
        let level = min(max(level ?? format.defaultLevel, levels.lowerBound), levels.upperBound)
        codec =
            if format == .zstd { try ZstdCompressor(level: level) } else { try ZlibCompressor(format, level: level) }
    }

    /// Appends to `output` what is ready.
    public func compress(
        _ bytes: UnsafeRawBufferPointer, into output: inout [UInt8], _ flush: Flush = .none
    ) throws(CompressionError) {
        var chunk = OutputChunk()
        var rest = bytes
        var isDone = false
        while !isDone {
            isDone = try chunk.fill(&output) { buffer throws(CompressionError) in
                try codec.step(&rest, buffer, flush)
            }
        }
    }

    public func compress(
        _ bytes: [UInt8], into output: inout [UInt8], _ flush: Flush = .none
    ) throws(CompressionError) {
        try bytes.withUnsafeBufferPointer { bytes throws(CompressionError) in
            try compress(UnsafeRawBufferPointer(bytes), into: &output, flush)
        }
    }
}

/// Decompresses a stream of pieces, up to a limit.
public final class Decompressor {
    private let format: CompressionFormat
    private let limitBytes: Int
    private let codec: any DecompressingCodec
    /// How many bytes have come out.
    public private(set) var outputByteCount = 0
    /// An error is the end: whatever is asked after it throws it again.
    private var failure: CompressionError?
    private var hasInput = false

    /// - Parameter limitBytes: how many bytes may come out in all.
    /// - Throws: `.outOfMemory`
    public init(_ format: CompressionFormat, limitBytes: Int) throws(CompressionError) {
        self.format = format
        self.limitBytes = limitBytes
        codec = if format == .zstd { try ZstdDecompressor() } else { try ZlibDecompressor(format) }
    }

    /// Whether all that came in so far is complete; more may still follow.
    public var isAtEnd: Bool { codec.isAtEnd && hasInput }

    /// Appends to `output` what comes out of the next piece, and returns how many of its bytes were used: all of them,
    /// unless `atMost` bytes have come out. The rest of the piece is then given again, or an empty one if none is left
    /// over, until fewer come out: so that a slow reader need not hold it all.
    ///
    /// - Throws: `CompressionError`, as soon as it is seen. What came out before stands in `output`.
    @discardableResult
    public func decompress(
        _ bytes: UnsafeRawBufferPointer, into output: inout [UInt8], atMost: Int = .max
    ) throws(CompressionError) -> Int {
        if let failure { throw failure }
        if !bytes.isEmpty { hasInput = true }
        var rest = bytes
        do throws(CompressionError) {
            try fill(&output, from: &rest, atMost: atMost)
        } catch {
            failure = error
            throw error
        }
        return bytes.count - rest.count
    }

    private func fill(
        _ output: inout [UInt8], from rest: inout UnsafeRawBufferPointer, atMost: Int
    ) throws(CompressionError) {
        var chunk = OutputChunk()
        let before = output.count
        var isDone = false
        while !isDone, output.count - before < atMost {
            let count = output.count
            // One byte more than the limit is room enough to see that there is one.
            let room = min(atMost - (count - before), limitBytes - outputByteCount + 1)
            isDone = try chunk.fill(&output, atMost: room) { buffer throws(CompressionError) in
                try codec.step(&rest, buffer)
            }
            outputByteCount += output.count - count
            if outputByteCount > limitBytes {
                output.removeLast(outputByteCount - limitBytes)
                throw .tooLarge(limitBytes: limitBytes)
            }
        }
    }

    @discardableResult
    public func decompress(
        _ bytes: [UInt8], into output: inout [UInt8], atMost: Int = .max
    ) throws(CompressionError) -> Int {
        try bytes.withUnsafeBufferPointer { bytes throws(CompressionError) in
            try decompress(UnsafeRawBufferPointer(bytes), into: &output, atMost: atMost)
        }
    }

    /// Says that nothing follows.
    ///
    /// - Throws: `.truncated` if something is missing.
    public func finish() throws(CompressionError) {
        if let failure { throw failure }
        guard isAtEnd else { throw .truncated(format) }
    }
}

/// One step of a library: takes from the input, fills the buffer.
protocol CompressingCodec: AnyObject {
    /// - Returns: how many bytes of the buffer are filled, and whether nothing more comes out until there is more
    ///   input.
    func step(
        _ input: inout UnsafeRawBufferPointer, _ buffer: UnsafeMutableRawBufferPointer, _ flush: Compressor.Flush
    ) throws(CompressionError) -> (count: Int, isDone: Bool)
}

protocol DecompressingCodec: AnyObject {
    /// Whether no member or frame is under way.
    var isAtEnd: Bool { get }

    func step(
        _ input: inout UnsafeRawBufferPointer, _ buffer: UnsafeMutableRawBufferPointer
    ) throws(CompressionError) -> (count: Int, isDone: Bool)
}

/// Room behind what an array holds already.
private struct OutputChunk {
    private var size = 4096

    /// Lets `step` write behind the end of `output`, each time into twice as much, up to 64 KiB or `limit`.
    mutating func fill(
        _ output: inout [UInt8], atMost limit: Int = .max,
        _ step: (UnsafeMutableRawBufferPointer) throws(CompressionError) -> (count: Int, isDone: Bool)
    ) throws(CompressionError) -> Bool {
        let start = output.count
        let room = min(size, limit)
        size = min(size * 2, 65_536)
        output.append(contentsOf: repeatElement(0, count: room))
        var result = (count: 0, isDone: true)
        defer { output.removeLast(room - result.count) }
        result = try output.withUnsafeMutableBufferPointer { buffer throws(CompressionError) in
            try step(UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[start...]))
        }
        return result.isDone
    }
}
