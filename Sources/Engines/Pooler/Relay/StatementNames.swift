/// Finds, and replaces, the names of prepared statements in messages. A message that is not as it should be has none,
/// and goes on as it is: the server says what is wrong with it.
public enum StatementNames {
    /// A Parse: its name, and what stands behind it.
    public static func parse(_ message: UnsafeRawBufferPointer) -> (name: [UInt8], content: UnsafeRawBufferPointer)? {
        guard let end = zero(message, from: 5), end + 1 < message.count else { return nil }
        return (
            Array(message[5..<end]), UnsafeRawBufferPointer(rebasing: message[(end + 1)...])
        )
    }

    /// Where the statement's name stands in a Bind: behind the portal's.
    public static func bindName(_ message: UnsafeRawBufferPointer) -> Range<Int>? {
        guard let portalEnd = zero(message, from: 5), let end = zero(message, from: portalEnd + 1) else { return nil }
        return portalEnd + 1..<end
    }

    /// Where it stands in a Describe or Close of a statement; nil for those of portals.
    public static func targetName(_ message: UnsafeRawBufferPointer) -> Range<Int>? {
        guard message.count > 6, message[5] == UInt8(ascii: "S"), let end = zero(message, from: 6) else { return nil }
        return 6..<end
    }

    /// The message with another name. It may be the beginning of a longer one, of which the rest follows.
    public static func replacing(_ range: Range<Int>, in message: UnsafeRawBufferPointer, by name: [UInt8])
        -> [UInt8]
    {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(message.count + name.count)
        bytes.append(contentsOf: message[..<range.lowerBound])
        bytes.append(contentsOf: name)
        bytes.append(contentsOf: message[range.upperBound...])
        let length = UInt32(bigEndian: message.loadUnaligned(fromByteOffset: 1, as: UInt32.self))
        setLength(&bytes, Int(length) + name.count - range.count)
        return bytes
    }

    /// A Parse of a statement of the catalogue.
    public static func makeParse(_ statement: StatementCatalogue.Statement) -> [UInt8] {
        var bytes: [UInt8] = [UInt8(ascii: "P"), 0, 0, 0, 0]
        bytes.append(contentsOf: StatementCatalogue.name(statement.number))
        bytes.append(0)
        bytes.append(contentsOf: statement.content)
        setLength(&bytes, bytes.count - 1)
        return bytes
    }

    /// A Close of a statement by its number.
    public static func makeClose(_ number: Int) -> [UInt8] {
        var bytes: [UInt8] = [UInt8(ascii: "C"), 0, 0, 0, 0, UInt8(ascii: "S")]
        bytes.append(contentsOf: StatementCatalogue.name(number))
        bytes.append(0)
        setLength(&bytes, bytes.count - 1)
        return bytes
    }

    private static func setLength(_ bytes: inout [UInt8], _ length: Int) {
        let count = UInt32(clamping: length)
        for index in 0..<4 { bytes[1 + index] = UInt8(truncatingIfNeeded: count >> (24 - 8 * UInt32(index))) }
    }

    private static func zero(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
        guard start <= bytes.count else { return nil }
        return bytes[start...].firstIndex(of: 0)
    }
}
