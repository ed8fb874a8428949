import KernelWire

/// Writes rows as COPY TO does (PostgreSQL 15, "COPY", File Formats).
struct CopyWriter {
    private let format: CopyFormat
    private var bytes: [UInt8] = []
    private var column = 0

    init(_ format: CopyFormat) { self.format = format }

    static let binarySignature = Array("PGCOPY\n".utf8) + [0xFF, 0x0D, 0x0A, 0x00]
    static let binaryTrailer: [UInt8] = [0xFF, 0xFF]

    /// What stands before the first row.
    func opening(_ names: [String]) -> [UInt8] {
        switch format.kind {
        // No flags, no extension.
        case .binary: return Self.binarySignature + Array(repeating: 0, count: 8)
        case .text, .csv:
            guard format.header != .none else { return [] }
            var line = CopyWriter(format)
            line.begin(names.count)
            for name in names { line.field(Array(name.utf8), isHeader: true) }
            return line.end()
        }
    }

    mutating func begin(_ count: Int) {
        column = 0
        if format.kind == .binary { append(Int16(truncatingIfNeeded: count)) }
    }

    mutating func null() {
        separate()
        if format.kind == .binary { append(Int32(-1)) } else { bytes += Array(format.null.utf8) }
        column += 1
    }

    /// - Parameter isHeader: a column's name, which is quoted only where it has to be.
    mutating func field(_ value: [UInt8], isHeader: Bool = false) {
        separate()
        switch format.kind {
        case .binary:
            append(Int32(truncatingIfNeeded: value.count))
            bytes += value
        case .text: appendEscaped(value)
        case .csv: appendQuoted(value, isForced: !isHeader && (format.forceQuote?.contains(column) ?? true))
        }
        column += 1
    }

    mutating func end() -> [UInt8] {
        if format.kind != .binary { bytes.append(UInt8(ascii: "\n")) }
        return bytes
    }

    private mutating func separate() { if column > 0, format.kind != .binary { bytes.append(format.delimiter) } }

    private mutating func append(_ number: some FixedWidthInteger) {
        withUnsafeBytes(of: number.bigEndian) { bytes.append(contentsOf: $0) }
    }

    private mutating func appendEscaped(_ value: [UInt8]) {
        for byte in value {
            let letter: Unicode.Scalar? =
                switch byte {
                case 8: "b"
                case 9: "t"
                case 10: "n"
                case 11: "v"
                case 12: "f"
                case 13: "r"
                default: nil
                }
            if let letter {
                bytes += [UInt8(ascii: "\\"), UInt8(ascii: letter)]
            } else {
                if byte == UInt8(ascii: "\\") || byte == format.delimiter { bytes.append(UInt8(ascii: "\\")) }
                bytes.append(byte)
            }
        }
    }

    private mutating func appendQuoted(_ value: [UInt8], isForced: Bool) {
        let isSpecial: (UInt8) -> Bool = { [format] byte in
            byte == format.delimiter || byte == format.quote || byte == 10 || byte == 13
        }
        // What would read as NULL, and a line that would read as the end.
        let isMistakable = value == Array(format.null.utf8) || value == Array("\\.".utf8)
        guard isForced || isMistakable || value.contains(where: isSpecial) else {
            bytes += value
            return
        }
        bytes.append(format.quote)
        for byte in value {
            if byte == format.quote || byte == format.escape { bytes.append(format.escape) }
            bytes.append(byte)
        }
        bytes.append(format.quote)
    }
}
