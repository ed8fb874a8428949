/// Reads a body in the chunked transfer coding, RFC 9112 §7.1.
///
/// ```
/// chunk   = 1*HEXDIG [ ";" extension ] CRLF data CRLF
/// body    = *chunk "0" [ ";" extension ] CRLF *( trailer CRLF ) CRLF
/// ```
///
/// Extensions are checked and dropped; trailers are checked and kept: a request in their place is none. Sizes are
/// hexadecimal digits and nothing else: `0x10`, `+5`, ` 5` and `5 ` are read differently by different programs, which
/// is what smugglers live on.
///
/// One thing is forgiven a server (`isLenient`), as RFC 9112 §7.1.1 has it: blanks behind a size. Some pad their sizes
/// to a fixed width, and nobody reads `5 ` of an answer as anything but 5.
struct ChunkReader: Sendable {
    private enum State {
        case size, sizeBlank, sizeExtension, sizeEnd, data, dataCR, dataLF
        case trailerStart, trailerName, trailerValue, trailerLF, endLF, done
    }

    private var state = State.size
    private var remaining = 0
    private var digits = 0
    private var lineBytes = 0
    private let isLenient: Bool
    /// The field lines behind the last chunk, each with its CRLF; whole once the body is.
    private(set) var trailers: [UInt8] = []

    init(isLenient: Bool = false) { self.isLenient = isLenient }

    var isComplete: Bool { state == .done }

    /// The next piece of data in the input; nil when the input is used up or the body is complete.
    mutating func next(_ input: UnsafeRawBufferPointer, _ position: inout Int, _ limits: HTTPLimits) throws(HTTPError)
        -> Range<Int>?
    {
        while state != .done, position < input.count {
            if state == .data {
                let count = min(remaining, input.count - position)
                position += count
                remaining -= count
                if remaining == 0 { state = .dataCR }
                return position - count..<position
            }
            try take(input[position], limits)
            position += 1
        }
        return nil
    }

    private mutating func take(_ byte: UInt8, _ limits: HTTPLimits) throws(HTTPError) {
        switch state {
        case .size: try takeSize(byte, limits)
        case .sizeBlank:
            try count(limits.chunkLineBytes, "a chunk size is followed by too many blanks")
            if byte != 32, byte != 9 { try endSize(byte) }
        case .sizeExtension:
            try count(limits.chunkLineBytes, "a chunk extension is too long")
            if byte == 13 { state = .sizeEnd } else { try checkText(byte, "a chunk extension") }
        case .sizeEnd:
            guard byte == 10 else { throw HTTPError(400, "a chunk size is not followed by CRLF") }
            lineBytes = 0
            state = remaining == 0 ? .trailerStart : .data
        case .dataCR:
            guard byte == 13 else { throw HTTPError(400, "a chunk is longer than its size") }
            state = .dataLF
        case .dataLF:
            guard byte == 10 else { throw HTTPError(400, "a chunk is not followed by CRLF") }
            state = .size
            digits = 0
        case .trailerStart where byte == 13: state = .endLF
        case .trailerStart, .trailerName, .trailerValue, .trailerLF:
            try takeTrailer(byte, limits)
            trailers.append(byte)
        case .endLF:
            guard byte == 10 else { throw HTTPError(400, "the chunked body does not end in CRLF") }
            state = .done
        case .data, .done: break
        }
    }

    private mutating func takeSize(_ byte: UInt8, _ limits: HTTPLimits) throws(HTTPError) {
        let digit: UInt8
        switch byte {
        case 48...57: digit = byte - 48
        case 65...70: digit = byte - 55
        case 97...102: digit = byte - 87
        case 13 where digits > 0, 59 where digits > 0: return try endSize(byte)
        case 32 where digits > 0 && isLenient, 9 where digits > 0 && isLenient:
            lineBytes = digits
            state = .sizeBlank
            return
        default: throw HTTPError(400, "a chunk size is not hexadecimal")
        }
        digits += 1
        guard digits <= 16, remaining <= Int.max >> 4 else { throw HTTPError(400, "a chunk size is out of range") }
        remaining = remaining << 4 | Int(digit)
    }

    /// What may follow a size.
    private mutating func endSize(_ byte: UInt8) throws(HTTPError) {
        switch byte {
        case 13: state = .sizeEnd
        case 59:
            lineBytes = max(lineBytes, digits)
            state = .sizeExtension
        default: throw HTTPError(400, "a chunk size is not hexadecimal")
        }
    }

    private mutating func takeTrailer(_ byte: UInt8, _ limits: HTTPLimits) throws(HTTPError) {
        try count(limits.headBytes, "the trailers are too long")
        switch state {
        case .trailerStart:
            guard byte != 32, byte != 9 else { throw HTTPError(400, "a folded trailer") }
            guard isToken(byte) else { throw HTTPError(400, "a trailer without a name") }
            state = .trailerName
        case .trailerName:
            if byte == UInt8(ascii: ":") {
                state = .trailerValue
            } else if !isToken(byte) {
                throw HTTPError(400, "a trailer's name is not a token followed by a colon")
            }
        case .trailerValue: if byte == 13 { state = .trailerLF } else { try checkText(byte, "a trailer") }
        default:
            guard byte == 10 else { throw HTTPError(400, "a stray CR in a trailer") }
            state = .trailerStart
        }
    }

    private mutating func count(_ limit: Int, _ complaint: String) throws(HTTPError) {
        lineBytes += 1
        if lineBytes > limit { throw HTTPError(400, complaint) }
    }

    private func checkText(_ byte: UInt8, _ place: String) throws(HTTPError) {
        if byte == 10 { throw HTTPError(400, "a line ends without CR in \(place)") }
        if byte == 127 || (byte < 32 && byte != 9) { throw HTTPError(400, "a control character in \(place)") }
    }
}
