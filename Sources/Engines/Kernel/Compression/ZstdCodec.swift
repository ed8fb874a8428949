import CZstd

final class ZstdCompressor: CompressingCodec {
    private let context: OpaquePointer

    init(level: Int) throws(CompressionError) {
        guard let context = ZSTD_createCCtx() else { throw .outOfMemory }
        self.context = context
        ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, Int32(level))
        ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
    }

    deinit { ZSTD_freeCCtx(context) }

    func step(
        _ input: inout UnsafeRawBufferPointer, _ buffer: UnsafeMutableRawBufferPointer, _ flush: Compressor.Flush
    ) throws(CompressionError) -> (count: Int, isDone: Bool) {
        var source = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
        var target = ZSTD_outBuffer(dst: buffer.baseAddress, size: buffer.count, pos: 0)
        let directive =
            switch flush {
            case .none: ZSTD_e_continue
            case .block: ZSTD_e_flush
            case .end: ZSTD_e_end
            }
        let remaining = ZSTD_compressStream2(context, &target, &source, directive)
        try check(remaining)
        input = UnsafeRawBufferPointer(rebasing: input[source.pos...])
        return (target.pos, input.isEmpty && (flush == .none ? target.pos < buffer.count : remaining == 0))
    }
}

final class ZstdDecompressor: DecompressingCodec {
    private let context: OpaquePointer
    private(set) var isAtEnd = true

    init() throws(CompressionError) {
        guard let context = ZSTD_createDCtx() else { throw .outOfMemory }
        self.context = context
        ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, windowLog)
    }

    deinit { ZSTD_freeDCtx(context) }

    func step(
        _ input: inout UnsafeRawBufferPointer, _ buffer: UnsafeMutableRawBufferPointer
    ) throws(CompressionError) -> (count: Int, isDone: Bool) {
        if isAtEnd, input.isEmpty { return (0, true) }
        var source = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
        var target = ZSTD_outBuffer(dst: buffer.baseAddress, size: buffer.count, pos: 0)
        let hint = ZSTD_decompressStream(context, &target, &source)
        try check(hint)
        input = UnsafeRawBufferPointer(rebasing: input[source.pos...])
        isAtEnd = hint == 0
        return (target.pos, input.isEmpty && (isAtEnd || target.pos < buffer.count))
    }
}

/// 8 MiB: what every decoder of the web must be able to look back (RFC 9659). Levels up to 19 do not ask for more.
private let windowLog: Int32 = 23

private func check(_ code: Int) throws(CompressionError) {
    guard ZSTD_isError(code) != 0 else { return }
    if ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation { throw .outOfMemory }
    throw .invalid(.zstd, reason: String(cString: ZSTD_getErrorName(code)))
}
