/// Writes the fields of a record one behind the other: for logs, snapshots and messages between the lab's own nodes.
///
/// Whole numbers take seven bits a byte, the lowest first (LEB128); signed ones are folded first, so that small
/// negative ones stay short (ZigZag). Bytes and texts stand behind their length. There are no names and no types:
/// writer and reader agree on the order.
public struct RecordWriter: Sendable {
    public private(set) var bytes: [UInt8] = []

    public init() {}

    /// Goes on behind bytes that stand there already, in their memory if nobody else has them.
    public init(continuing bytes: consuming [UInt8]) { self.bytes = bytes }

    public mutating func append(byte: UInt8) { bytes.append(byte) }

    public mutating func append(_ flag: Bool) { bytes.append(flag ? 1 : 0) }

    public mutating func append(_ number: UInt64) {
        var rest = number
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    public mutating func append(_ number: Int64) { append(UInt64(bitPattern: (number << 1) ^ (number >> 63))) }

    public mutating func append(_ number: Int) { append(Int64(number)) }

    public mutating func append(_ data: [UInt8]) {
        append(UInt64(data.count))
        bytes.append(contentsOf: data)
    }

    public mutating func append(_ text: String) {
        append(UInt64(text.utf8.count))
        bytes.append(utf8: text)
    }

    /// Each element behind their count.
    public mutating func append<Element>(
        _ elements: some Collection<Element>, _ write: (inout RecordWriter, Element) -> Void
    ) {
        append(UInt64(elements.count))
        for element in elements { write(&self, element) }
    }
}

/// Reads what a `RecordWriter` has written, and refuses everything else: it never reads beyond the end, and never
/// reserves more memory than there are bytes left.
public struct RecordReader: Sendable {
    private let bytes: [UInt8]
    private let end: Int
    public private(set) var position: Int

    /// The bytes end too early, or are no record.
    public struct Malformed: Error, Equatable, Sendable, CustomStringConvertible {
        /// Where in the bytes.
        public let position: Int
        public init(position: Int) { self.position = position }
        public var description: String { "malformed at byte \(position)" }
    }

    public init(_ bytes: [UInt8], from position: Int = 0) {
        self.bytes = bytes
        self.position = max(0, position)
        end = bytes.count
    }

    /// Reads a record that lies between others.
    ///
    /// - Parameter range: within the bytes.
    public init(_ bytes: [UInt8], in range: Range<Int>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= bytes.count, "a record lies within its bytes")
        self.bytes = bytes
        position = range.lowerBound
        end = range.upperBound
    }

    public var remaining: Int { max(0, end - position) }
    public var isAtEnd: Bool { remaining == 0 }

    private var malformed: Malformed { Malformed(position: position) }

    /// - Throws: `Malformed` if something is left.
    public func expectEnd() throws(Malformed) { if !isAtEnd { throw malformed } }

    public mutating func byte() throws(Malformed) -> UInt8 {
        guard position < end else { throw malformed }
        defer { position += 1 }
        return bytes[position]
    }

    public mutating func flag() throws(Malformed) -> Bool {
        switch try byte() {
        case 0: return false
        case 1: return true
        default: throw malformed
        }
    }

    public mutating func unsigned() throws(Malformed) -> UInt64 {
        var result: UInt64 = 0
        for shift in stride(from: UInt64(0), through: 63, by: 7) {
            let byte = try byte()
            // The tenth byte has room for one bit.
            if shift == 63, byte > 1 { throw malformed }
            result |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return result }
        }
        throw malformed
    }

    public mutating func signed() throws(Malformed) -> Int64 {
        let folded = try unsigned()
        return Int64(bitPattern: folded >> 1) ^ -Int64(bitPattern: folded & 1)
    }

    public mutating func integer() throws(Malformed) -> Int { Int(try signed()) }

    public mutating func data() throws(Malformed) -> [UInt8] { Array(try piece()) }

    private mutating func piece() throws(Malformed) -> ArraySlice<UInt8> {
        let length = try unsigned()
        guard length <= UInt64(remaining) else { throw malformed }
        defer { position += Int(length) }
        return bytes[position..<position + Int(length)]
    }

    /// Bytes that are not UTF-8 are refused.
    public mutating func text() throws(Malformed) -> String {
        guard let text = String(validating: try piece(), as: UTF8.self) else { throw malformed }
        return text
    }

    /// The elements behind their count. Each takes a byte at least, so a count of more than are left is refused at
    /// once.
    public mutating func elements<Element>(_ read: (inout RecordReader) throws(Malformed) -> Element)
        throws(Malformed) -> [Element]
    {
        let count = try unsigned()
        guard count <= UInt64(remaining) else { throw malformed }
        var result: [Element] = []
        for _ in 0..<Int(count) { result.append(try read(&self)) }
        return result
    }
}
