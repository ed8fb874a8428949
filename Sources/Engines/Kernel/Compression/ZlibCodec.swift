import CZlib

extension CompressionFormat {
    /// zlib's number for the greatest window (32 KiB) with the format's header.
    fileprivate var windowBits: Int32 {
        switch self {
        case .gzip: 16 + MAX_WBITS
        case .rawDeflate: -MAX_WBITS
        default: MAX_WBITS
        }
    }
}

/// zlib's stream, whose address must stay the same.
private struct ZlibStream {
    let pointer: UnsafeMutablePointer<z_stream>

    init() {
        pointer = .allocate(capacity: 1)
        pointer.initialize(to: z_stream())
    }

    func free() { pointer.deallocate() }

    /// Runs one call on the input, of which zlib takes at most 32 bits' worth, and on the buffer.
    func step(
        _ input: inout UnsafeRawBufferPointer, _ buffer: UnsafeMutableRawBufferPointer,
        _ call: (UnsafeMutablePointer<z_stream>, _ isWholeInput: Bool) -> Int32
    ) -> (code: Int32, count: Int) {
        let given = min(input.count, 1 << 30)
        pointer.pointee.next_in = UnsafeMutablePointer(
            mutating: input.baseAddress?.assumingMemoryBound(to: UInt8.self))
        pointer.pointee.avail_in = UInt32(given)
        pointer.pointee.next_out = buffer.baseAddress?.assumingMemoryBound(to: UInt8.self)
        pointer.pointee.avail_out = UInt32(buffer.count)
        let code = call(pointer, given == input.count)
        input = UnsafeRawBufferPointer(rebasing: input[(given - Int(pointer.pointee.avail_in))...])
        return (code, buffer.count - Int(pointer.pointee.avail_out))
    }

    var reason: String { pointer.pointee.msg.map { String(cString: $0) } ?? "damaged" }
}

final class ZlibCompressor: CompressingCodec {
    private let stream = ZlibStream()
    private let format: CompressionFormat

    init(_ format: CompressionFormat, level: Int) throws(CompressionError) {
        self.format = format
        guard sdlab_deflate_begin(stream.pointer, Int32(level), format.windowBits) == Z_OK else {
            stream.free()
            throw .outOfMemory
        }
    }

    deinit {
        deflateEnd(stream.pointer)
        stream.free()
    }

    func step(
        _ input: inout UnsafeRawBufferPointer, _ buffer: UnsafeMutableRawBufferPointer, _ flush: Compressor.Flush
    ) throws(CompressionError) -> (count: Int, isDone: Bool) {
        let (code, count) = stream.step(&input, buffer) { stream, isWholeInput in
            switch flush {
            case .end where isWholeInput: deflate(stream, Z_FINISH)
            case .block where isWholeInput: deflate(stream, Z_SYNC_FLUSH)
            default: deflate(stream, Z_NO_FLUSH)
            }
        }
        guard code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR else {
            throw .invalid(format, reason: stream.reason)
        }
        if code == Z_STREAM_END {
            deflateReset(stream.pointer)
            return (count, true)
        }
        return (count, flush != .end && input.isEmpty && count < buffer.count)
    }
}

final class ZlibDecompressor: DecompressingCodec {
    private let stream = ZlibStream()
    private let format: CompressionFormat
    private(set) var isAtEnd = true

    init(_ format: CompressionFormat) throws(CompressionError) {
        self.format = format
        guard sdlab_inflate_begin(stream.pointer, format.windowBits) == Z_OK else {
            stream.free()
            throw .outOfMemory
        }
    }

    deinit {
        inflateEnd(stream.pointer)
        stream.free()
    }

    /// Whether a member has ended: only gzip's may be followed by another (RFC 1952 section 2.2).
    private var hasEnded = false

    func step(
        _ input: inout UnsafeRawBufferPointer, _ buffer: UnsafeMutableRawBufferPointer
    ) throws(CompressionError) -> (count: Int, isDone: Bool) {
        if isAtEnd {
            guard !input.isEmpty else { return (0, true) }
            guard !hasEnded || format == .gzip else { throw .invalid(format, reason: "more bytes behind its end") }
            isAtEnd = false
        }
        let (code, count) = stream.step(&input, buffer) { stream, _ in inflate(stream, Z_NO_FLUSH) }
        switch code {
        case Z_STREAM_END:
            isAtEnd = true
            hasEnded = true
            inflateReset(stream.pointer)
            return (count, input.isEmpty)
        // Z_BUF_ERROR: nothing came out, because nothing was left over and nothing came in.
        case Z_OK, Z_BUF_ERROR: return (count, input.isEmpty && count < buffer.count)
        case Z_NEED_DICT: throw .invalid(format, reason: "it needs a dictionary")
        case Z_MEM_ERROR: throw .outOfMemory
        default: throw .invalid(format, reason: stream.reason)
        }
    }
}
