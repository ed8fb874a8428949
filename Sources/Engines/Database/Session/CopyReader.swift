import KernelWire

/// Reads rows as COPY FROM does, however their bytes are cut (PostgreSQL 15, "COPY", File Formats).
struct CopyReader {
    private let format: CopyFormat
    private let columnNames: [String]
    /// What has come and was not read.
    private var bytes: [UInt8] = []
    private var position = 0
    /// How far the line at `position` was looked through for its end.
    private var scan = Scan()
    /// Bytes that the binary row at `position` has at least.
    private var neededByteCount = 0
    private var hasEnded = false
    private var isPastHeader: Bool
    /// `\.`, or the trailer of the binary format, was read: nothing more counts.
    private var isComplete = false
    /// Of the row that was read last.
    private(set) var lineNumber = 0

    private struct Scan {
        var index = 0
        var isQuoted = false
        var isEscaped = false
    }

    /// Bytes of one row.
    static let rowByteCount = 256 << 20

    init(_ format: CopyFormat, columnNames: [String]) {
        self.format = format
        self.columnNames = columnNames
        isPastHeader = format.kind != .binary && format.header == .none
    }

    mutating func append(_ more: [UInt8]) {
        if position > 0 {
            bytes.removeFirst(position)
            scan.index = max(0, scan.index - position)
            position = 0
        }
        bytes += more
    }

    /// Nothing more will come: the last line may lack its end.
    mutating func finish() { hasEnded = true }

    /// - Returns: nil if no row is complete.
    mutating func next() throws(PostgresError) -> [[UInt8]?]? {
        guard !isComplete else { return nil }
        if format.kind == .binary { return try nextBinary() }
        while let line = try nextLine() {
            lineNumber += 1
            if bytes[line].elementsEqual("\\.".utf8), format.kind == .text || !line.isEmpty {
                isComplete = true
                return nil
            }
            let fields = format.kind == .text ? try textFields(line) : try csvFields(line)
            if isPastHeader { return fields }
            isPastHeader = true
            try check(header: fields)
        }
        return nil
    }

    private func check(header: [[UInt8]?]) throws(PostgresError) {
        guard format.header == .matching else { return }
        guard header.count == columnNames.count else {
            throw PostgresError(
                .badCopyFileFormat,
                "wrong number of fields in header line: got \(header.count), expected \(columnNames.count)")
        }
        for (index, name) in columnNames.enumerated() where header[index] != Array(name.utf8) {
            let found = header[index].map { "got \"\(String(decoding: $0, as: UTF8.self))\"" } ?? "got null value"
            throw PostgresError(
                .badCopyFileFormat,
                "column name mismatch in header line field \(index + 1): \(found), expected \"\(name)\"")
        }
    }

    // MARK: Lines

    /// The next line without its end; a quoted field may have ends of lines in it.
    private mutating func nextLine() throws(PostgresError) -> Range<Int>? {
        var (index, isQuoted, isEscaped) = (max(scan.index, position), scan.isQuoted, scan.isEscaped)
        scanning: while index < bytes.count {
            let byte = bytes[index]
            if format.kind == .text {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == 10 {
                    return line(endsAt: index)
                }
            } else if isQuoted {
                if format.escape != format.quote, byte == format.escape {
                    // What is escaped may be yet to come.
                    if index + 1 == bytes.count, !hasEnded { break scanning }
                    index += 1
                } else if byte == format.quote {
                    isQuoted = false
                }
            } else if byte == format.quote {
                isQuoted = true
            } else if byte == 10 {
                return line(endsAt: index)
            }
            index += 1
        }
        scan = Scan(index: index, isQuoted: isQuoted, isEscaped: isEscaped)
        guard bytes.count - position <= Self.rowByteCount else {
            throw PostgresError(.programLimitExceeded, "a row of COPY is larger than \(Self.rowByteCount) bytes")
        }
        guard hasEnded, position < bytes.count else { return nil }
        if isQuoted { throw PostgresError(.badCopyFileFormat, "unterminated CSV quoted field") }
        let rest = position..<bytes.count
        position = bytes.count
        return rest
    }

    private mutating func line(endsAt end: Int) -> Range<Int> {
        let start = position
        position = end + 1
        scan = Scan(index: position)
        return start..<(end > start && bytes[end - 1] == 13 ? end - 1 : end)
    }

    // MARK: Text

    private func textFields(_ line: Range<Int>) throws(PostgresError) -> [[UInt8]?] {
        var fields: [[UInt8]?] = []
        var start = line.lowerBound
        var index = start
        while index <= line.upperBound {
            if index == line.upperBound || bytes[index] == format.delimiter {
                let raw = start..<index
                fields.append(bytes[raw].elementsEqual(format.null.utf8) ? nil : unescaped(raw))
                start = index + 1
            } else if bytes[index] == UInt8(ascii: "\\"), index + 1 < line.upperBound {
                index += 1
            }
            index += 1
        }
        return fields
    }

    private func unescaped(_ range: Range<Int>) -> [UInt8] {
        guard bytes[range].contains(UInt8(ascii: "\\")) else { return Array(bytes[range]) }
        var result: [UInt8] = []
        var index = range.lowerBound
        while index < range.upperBound {
            guard bytes[index] == UInt8(ascii: "\\"), index + 1 < range.upperBound else {
                result.append(bytes[index])
                index += 1
                continue
            }
            index += 1
            result.append(escape(&index, range.upperBound))
        }
        return result
    }

    /// What stands behind a backslash; `index` moves past it.
    private func escape(_ index: inout Int, _ end: Int) -> UInt8 {
        let byte = bytes[index]
        index += 1
        switch byte {
        case UInt8(ascii: "b"): return 8
        case UInt8(ascii: "f"): return 12
        case UInt8(ascii: "n"): return 10
        case UInt8(ascii: "r"): return 13
        case UInt8(ascii: "t"): return 9
        case UInt8(ascii: "v"): return 11
        case 48...55: return number(UInt32(byte - 48), radix: 8, digits: 2, &index, end)
        case UInt8(ascii: "x"):
            guard index < end, Self.digit(bytes[index]) ?? 16 < 16 else { return byte }
            return number(0, radix: 16, digits: 2, &index, end)
        default: return byte
        }
    }

    private func number(_ start: UInt32, radix: UInt32, digits: Int, _ index: inout Int, _ end: Int) -> UInt8 {
        var value = start
        for _ in 0..<digits {
            guard index < end, let digit = Self.digit(bytes[index]), digit < radix else { break }
            value = value * radix + digit
            index += 1
        }
        return UInt8(truncatingIfNeeded: value)
    }

    private static func digit(_ byte: UInt8) -> UInt32? {
        switch byte {
        case 48...57: UInt32(byte - 48)
        case 65...70: UInt32(byte - 55)
        case 97...102: UInt32(byte - 87)
        default: nil
        }
    }

    // MARK: CSV

    private func csvFields(_ line: Range<Int>) throws(PostgresError) -> [[UInt8]?] {
        var fields: [[UInt8]?] = []
        var index = line.lowerBound
        while true {
            let (field, isQuoted) = csvField(&index, line.upperBound)
            fields.append(resolved(field, isQuoted: isQuoted, column: fields.count))
            guard index < line.upperBound else { return fields }
            // The delimiter.
            index += 1
        }
    }

    private func csvField(_ index: inout Int, _ end: Int) -> ([UInt8], isQuoted: Bool) {
        var field: [UInt8] = []
        var wasQuoted = false
        var isQuoted = false
        while index < end {
            let byte = bytes[index]
            if isQuoted {
                if byte == format.escape, index + 1 < end,
                    bytes[index + 1] == format.quote || bytes[index + 1] == format.escape
                {
                    field.append(bytes[index + 1])
                    index += 1
                } else if byte == format.quote {
                    isQuoted = false
                } else {
                    field.append(byte)
                }
            } else if byte == format.quote {
                isQuoted = true
                wasQuoted = true
            } else if byte == format.delimiter {
                break
            } else {
                field.append(byte)
            }
            index += 1
        }
        return (field, wasQuoted)
    }

    private func resolved(_ field: [UInt8], isQuoted: Bool, column: Int) -> [UInt8]? {
        guard field == Array(format.null.utf8) else { return field }
        if isQuoted { return format.forceNull.contains(column) ? nil : field }
        return format.forceNotNull.contains(column) ? field : nil
    }

    // MARK: Binary

    private mutating func nextBinary() throws(PostgresError) -> [[UInt8]?]? {
        if !isPastHeader {
            guard let extensionCount = try binaryHeader() else { return nil }
            position += 19 + extensionCount
            isPastHeader = true
        }
        guard hasEnded || bytes.count - position >= neededByteCount else { return nil }
        var place = position
        guard let count = integer(Int16.self, &place) else { return try endOfBinary() }
        if count == -1 {
            isComplete = true
            return nil
        }
        guard count >= 0 else { throw Self.damaged }
        var fields: [[UInt8]?] = []
        for _ in 0..<Int(count) {
            guard let length = integer(Int32.self, &place) else { return try endOfBinary() }
            if length == -1 {
                fields.append(nil)
                continue
            }
            guard length >= 0, Int(length) <= Self.rowByteCount else { throw Self.damaged }
            guard bytes.count - place >= Int(length) else {
                neededByteCount = place - position + Int(length)
                return try endOfBinary()
            }
            fields.append(Array(bytes[place..<place + Int(length)]))
            place += Int(length)
        }
        position = place
        neededByteCount = 0
        lineNumber += 1
        return fields
    }

    private static let damaged = PostgresError(.badCopyFileFormat, "invalid field size")

    /// Half a row is normal, as long as there may be more.
    private func endOfBinary() throws(PostgresError) -> [[UInt8]?]? {
        guard !hasEnded || bytes.count == position else {
            throw PostgresError(.badCopyFileFormat, "unexpected EOF in COPY data")
        }
        return nil
    }

    /// Bytes of the header's extension; nil if it has not come completely.
    private func binaryHeader() throws(PostgresError) -> Int? {
        let signature = CopyWriter.binarySignature
        guard bytes[position...].prefix(signature.count).elementsEqual(signature.prefix(bytes.count - position)) else {
            throw PostgresError(.badCopyFileFormat, "COPY file signature not recognized")
        }
        var place = position + signature.count + 4
        guard bytes.count >= place, let count = integer(Int32.self, &place) else {
            if hasEnded { throw PostgresError(.badCopyFileFormat, "COPY file signature not recognized") }
            return nil
        }
        guard count >= 0, Int(count) <= Self.rowByteCount else {
            throw PostgresError(.badCopyFileFormat, "invalid COPY file header")
        }
        return bytes.count - place >= Int(count) ? Int(count) : nil
    }

    private func integer<T: FixedWidthInteger>(_: T.Type, _ place: inout Int) -> T? {
        let size = MemoryLayout<T>.size
        guard bytes.count - place >= size else { return nil }
        defer { place += size }
        return bytes[place..<place + size].reduce(0) { $0 << 8 | T(truncatingIfNeeded: $1) }
    }
}
