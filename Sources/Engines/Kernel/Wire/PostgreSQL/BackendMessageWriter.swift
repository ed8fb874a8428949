import KernelStructures

/// Composes what a server says. Rows can be written value by value, without an array in between:
///
/// ```
/// writer.beginRow(columnCount: 2)
/// writer.value(utf8: "1")
/// writer.null()
/// writer.endRow()
/// ```
public struct BackendMessageWriter: Sendable {
    public private(set) var bytes: [UInt8] = []
    private var rowStart = 0

    public init() {}

    public var count: Int { bytes.count }

    /// Bytes of storage that an empty writer may keep.
    static let retainedCapacity = 64 << 10

    public mutating func removeAll() {
        if bytes.capacity > Self.retainedCapacity { bytes = [] } else { bytes.removeAll(keepingCapacity: true) }
    }

    /// Removes what was written after the first `count` bytes: it is not to be said.
    public mutating func truncate(to count: Int) { bytes.removeLast(bytes.count - count) }

    /// Hands over everything written.
    public mutating func take() -> [UInt8] {
        var taken: [UInt8] = []
        swap(&taken, &bytes)
        return taken
    }

    /// Messages that are composed already.
    public mutating func raw(_ whole: UnsafeRawBufferPointer) { bytes.append(contentsOf: whole) }
    public mutating func raw(_ whole: [UInt8]) { bytes.append(contentsOf: whole) }

    // MARK: Rows

    public mutating func beginRow(columnCount: Int) {
        rowStart = bytes.count + 1
        bytes.append(UInt8(ascii: "D"))
        bytes.append(bigEndian: UInt32(0))
        bytes.append(bigEndian: UInt16(clamping: columnCount))
    }

    public mutating func endRow() { bytes.setLength(from: rowStart) }

    public mutating func null() { bytes.append(bigEndian: Int32(-1)) }

    public mutating func value(_ value: UnsafeRawBufferPointer) {
        bytes.append(bigEndian: Int32(value.count))
        bytes.append(contentsOf: value)
    }

    public mutating func value(_ value: [UInt8]) {
        bytes.append(bigEndian: Int32(value.count))
        bytes.append(contentsOf: value)
    }

    public mutating func value(utf8 text: String) {
        bytes.append(bigEndian: Int32(text.utf8.count))
        bytes.append(contentsOf: text.utf8)
    }

    /// An integer in text format.
    public mutating func value(decimal number: Int) {
        let start = bytes.count
        bytes.append(bigEndian: Int32(0))
        bytes.append(decimal: number)
        setValueLength(start)
    }

    /// A value in the format that was asked for.
    public mutating func value(_ value: PostgresValue, _ format: PostgresFormat) {
        let start = bytes.count
        bytes.append(bigEndian: Int32(0))
        value.encode(format, into: &bytes)
        setValueLength(start)
    }

    private mutating func setValueLength(_ start: Int) {
        let count = UInt32(clamping: bytes.count - start - 4)
        for byte in 0..<4 { bytes[start + byte] = UInt8(truncatingIfNeeded: count >> (24 - 8 * UInt32(byte))) }
    }

    // MARK: Messages without rows

    public mutating func readyForQuery(_ status: PostgresTransactionStatus) {
        plain("Z", 5)
        bytes.append(status.rawValue)
    }

    public mutating func commandComplete(_ tag: String) {
        message("C") { $0.append(cString: tag) }
    }

    public mutating func parseComplete() { plain("1", 4) }
    public mutating func bindComplete() { plain("2", 4) }
    public mutating func closeComplete() { plain("3", 4) }
    public mutating func noData() { plain("n", 4) }
    public mutating func portalSuspended() { plain("s", 4) }
    public mutating func emptyQueryResponse() { plain("I", 4) }

    public mutating func rowDescription(_ columns: [ColumnDescription]) {
        message("T") { bytes in
            bytes.append(bigEndian: UInt16(clamping: columns.count))
            for column in columns.prefix(Int(UInt16.max)) { column.encode(into: &bytes) }
        }
    }

    public mutating func error(_ error: PostgresError) { message("E") { error.encodeFields(into: &$0) } }
    public mutating func notice(_ notice: PostgresError) { message("N") { notice.encodeFields(into: &$0) } }

    private mutating func plain(_ letter: Unicode.Scalar, _ length: Int32) {
        bytes.append(UInt8(ascii: letter))
        bytes.append(bigEndian: length)
    }

    mutating func message(_ letter: Unicode.Scalar, _ body: (inout [UInt8]) -> Void) {
        bytes.append(UInt8(ascii: letter))
        let start = bytes.count
        bytes.append(bigEndian: UInt32(0))
        body(&bytes)
        bytes.setLength(from: start)
    }
}

extension ColumnDescription {
    fileprivate func encode(into bytes: inout [UInt8]) {
        bytes.append(cString: name)
        bytes.append(bigEndian: table.rawValue)
        bytes.append(bigEndian: attribute)
        bytes.append(bigEndian: type.rawValue)
        bytes.append(bigEndian: type.byteCount)
        bytes.append(bigEndian: typeModifier)
        bytes.append(bigEndian: format.rawValue)
    }
}
