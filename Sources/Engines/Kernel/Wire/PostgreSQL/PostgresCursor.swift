import KernelStructures

/// Reads the body of one message: integers in network order, texts with a zero behind them. Every step is checked.
struct PostgresCursor {
    private let bytes: UnsafeRawBufferPointer
    private(set) var position = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var remaining: Int { bytes.count - position }
    /// What has not been read.
    var rest: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes[position...]) }

    private static let short = PostgresError(.protocolViolation, "insufficient data left in message")

    mutating func byte() throws(PostgresError) -> UInt8 {
        guard position < bytes.count else { throw Self.short }
        defer { position += 1 }
        return bytes[position]
    }

    mutating func integer<T: FixedWidthInteger>(_ type: T.Type = T.self) throws(PostgresError) -> T {
        guard remaining >= MemoryLayout<T>.size else { throw Self.short }
        defer { position += MemoryLayout<T>.size }
        return T(bigEndian: bytes.loadUnaligned(fromByteOffset: position, as: T.self))
    }

    mutating func oid() throws(PostgresError) -> PostgresOID { PostgresOID(rawValue: try integer(UInt32.self)) }

    /// A count of two bytes. The protocol gives it a sign; libpq and the server read it as if it had none.
    mutating func count() throws(PostgresError) -> Int { Int(try integer(UInt16.self)) }

    mutating func take(_ count: Int) throws(PostgresError) -> UnsafeRawBufferPointer {
        guard count >= 0, count <= remaining else { throw Self.short }
        defer { position += count }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<position + count])
    }

    /// A value with its length before it; nil for NULL, whose length is -1.
    mutating func value() throws(PostgresError) -> [UInt8]? {
        let count = Int(try integer(Int32.self))
        if count == -1 { return nil }
        return Array(try take(count))
    }

    /// A text up to its zero, which must be UTF-8.
    mutating func string() throws(PostgresError) -> String {
        let raw = try stringBytes()
        guard let text = String(validating: raw, as: UTF8.self) else { throw PostgresText.invalid(raw) }
        return text
    }

    /// A text up to its zero, with U+FFFD for what is no UTF-8: for messages to people.
    mutating func lossyString() throws(PostgresError) -> String { String(decoding: try stringBytes(), as: UTF8.self) }

    mutating func stringBytes() throws(PostgresError) -> UnsafeRawBufferPointer {
        var end = position
        while end < bytes.count, bytes[end] != 0 { end += 1 }
        guard end < bytes.count else { throw PostgresError(.protocolViolation, "invalid string in message") }
        defer { position = end + 1 }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<end])
    }

    /// Nothing may be left.
    func finish() throws(PostgresError) {
        if position < bytes.count { throw PostgresError(.protocolViolation, "invalid message format") }
    }
}

/// Texts that come from outside.
public enum PostgresText {
    /// The text of some bytes, which must be UTF-8 without a zero.
    ///
    /// - Throws: 22021, with the first bytes that are not.
    public static func decode(_ bytes: UnsafeRawBufferPointer) throws(PostgresError) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else { throw invalid(bytes) }
        if bytes.contains(0) {
            throw PostgresError(.characterNotInRepertoire, "invalid byte sequence for encoding \"UTF8\": 0x00")
        }
        return text
    }

    public static func decode(_ bytes: [UInt8]) throws(PostgresError) -> String {
        var result = Result<String, PostgresError>.success("")
        bytes.withUnsafeBytes { raw in
            do throws(PostgresError) { result = .success(try decode(raw)) } catch { result = .failure(error) }
        }
        return try result.get()
    }

    static func invalid(_ bytes: UnsafeRawBufferPointer) -> PostgresError {
        let start = validPrefixCount(bytes)
        let wanted = start < bytes.count ? sequenceLength(bytes[start]) : 1
        let shown = bytes[start..<min(bytes.count, start + wanted)]
        let text = shown.map { "0x" + hexadecimal(UInt64($0), 2) }.joined(separator: " ")
        return PostgresError(.characterNotInRepertoire, "invalid byte sequence for encoding \"UTF8\": \(text)")
    }

    /// How long a sequence says it is by its first byte.
    private static func sequenceLength(_ lead: UInt8) -> Int {
        lead & 0xe0 == 0xc0 ? 2 : lead & 0xf0 == 0xe0 ? 3 : lead & 0xf8 == 0xf0 ? 4 : 1
    }

    /// Bytes before the first sequence that is no UTF-8.
    private static func validPrefixCount(_ bytes: UnsafeRawBufferPointer) -> Int {
        var position = 0
        while position < bytes.count {
            let end = position + sequenceLength(bytes[position])
            guard end <= bytes.count,
                String(validating: UnsafeRawBufferPointer(rebasing: bytes[position..<end]), as: UTF8.self) != nil
            else { return position }
            position = end
        }
        return position
    }
}

extension Array where Element == UInt8 {
    /// A text with a zero behind it. Zeros within end it, as they would at the other side.
    mutating func append(cString text: String) {
        append(contentsOf: text.utf8.prefix { $0 != 0 })
        append(0)
    }

    /// A value with its length before it; NULL has the length -1.
    mutating func append(value: [UInt8]?) {
        guard let value else { return append(bigEndian: Int32(-1)) }
        append(bigEndian: Int32(value.count))
        append(contentsOf: value)
    }
}
