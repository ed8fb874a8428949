import KernelStructures

/// Writes arguments, properties and whole frames, one behind the other, into one buffer.
public struct AMQPWriter: Sendable {
    public private(set) var bytes: [UInt8]

    public init(reserving capacity: Int = 0) {
        bytes = []
        if capacity > 0 { bytes.reserveCapacity(capacity) }
    }

    public var count: Int { bytes.count }

    public mutating func removeAll() {
        if bytes.capacity > ByteQueue.retainedCapacity { bytes = [] } else { bytes.removeAll(keepingCapacity: true) }
    }

    /// Takes the first `byteCount` bytes away.
    public mutating func consume(_ byteCount: Int) {
        if byteCount >= bytes.count { removeAll() } else { bytes.removeFirst(byteCount) }
    }

    // MARK: Arguments

    public mutating func append(octet: UInt8) { bytes.append(octet) }
    public mutating func append(short value: UInt16) { append(value) }
    public mutating func append(long value: UInt32) { append(value) }
    public mutating func append(longLong value: UInt64) { append(value) }
    public mutating func append(raw: [UInt8]) { bytes.append(contentsOf: raw) }
    public mutating func append(raw: UnsafeRawBufferPointer) { bytes.append(contentsOf: raw) }

    private mutating func append<T: FixedWidthInteger>(_ value: T) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }

    /// Up to eight flags, the first in the lowest bit.
    public mutating func append(bits: [Bool]) {
        var octet: UInt8 = 0
        for (index, bit) in bits.prefix(8).enumerated() where bit { octet |= 1 << UInt8(index) }
        bytes.append(octet)
    }

    /// What is longer than 255 bytes is cut, between two characters.
    public mutating func append(shortString text: String) {
        let count = text.utf8.count
        if count <= 255, AMQPText.isPlain(text) {
            bytes.append(UInt8(count))
            return bytes.append(contentsOf: text.utf8)
        }
        var raw = AMQPText.encoded(text)
        if raw.count > 255 { raw = AMQPText.encoded(Self.clipped(text)) }
        bytes.append(UInt8(raw.count))
        bytes.append(contentsOf: raw)
    }

    public mutating func append(longString: [UInt8]) {
        append(long: UInt32(clamping: longString.count))
        bytes.append(contentsOf: longString)
    }

    /// As much of it as fits into 255 bytes.
    static func clipped(_ text: String) -> String {
        if text.utf8.count <= 255 { return text }
        var result = ""
        var count = 0
        for scalar in text.unicodeScalars {
            count += UTF8.width(scalar)
            if count > 255 { break }
            result.unicodeScalars.append(scalar)
        }
        return result
    }

    // MARK: Tables

    public mutating func append(table: AMQPTable) {
        behindLength { writer in
            for field in table.fields {
                writer.append(shortString: field.name)
                writer.append(field.value)
            }
        }
    }

    private mutating func behindLength(_ body: (inout AMQPWriter) -> Void) {
        let start = bytes.count
        append(long: 0)
        body(&self)
        setLength(at: start, to: bytes.count - start - 4)
    }

    private mutating func setLength(at start: Int, to length: Int) {
        withUnsafeBytes(of: UInt32(clamping: length).bigEndian) { raw in
            for index in 0..<4 { bytes[start + index] = raw[index] }
        }
    }

    private mutating func append(_ value: AMQPValue) {
        bytes.append(value.tag)
        switch value {
        case .boolean(let flag): bytes.append(flag ? 1 : 0)
        case .int8(let number): bytes.append(UInt8(bitPattern: number))
        case .uint8(let number): bytes.append(number)
        case .int16(let number): append(number)
        case .uint16(let number): append(number)
        case .int32(let number): append(number)
        case .uint32(let number): append(number)
        case .int64(let number): append(number)
        case .float(let number): append(number.bitPattern)
        case .double(let number): append(number.bitPattern)
        case .decimal(let scale, let number):
            bytes.append(scale)
            append(number)
        case .string(let text), .bytes(let text): append(longString: text)
        case .timestamp(let seconds): append(seconds)
        case .table(let table): append(table: table)
        case .array(let elements): behindLength { writer in for element in elements { writer.append(element) } }
        case .void: break
        }
    }

    // MARK: Frames

    /// One frame of that type, with what `body` writes in it.
    public mutating func frame(_ type: AMQPFrame.Kind, channel: UInt16, _ body: (inout AMQPWriter) -> Void) {
        bytes.append(type.rawValue)
        append(short: channel)
        behindLength(body)
        bytes.append(AMQPFrame.end)
    }

    public mutating func append(_ method: AMQPMethod, channel: UInt16) {
        frame(.method, channel: channel) { method.encode(to: &$0) }
    }

    public mutating func appendHeartbeat() { frame(.heartbeat, channel: 0) { _ in } }

    /// A message's header and body, behind the method that announces it.
    ///
    /// - Parameters:
    ///   - properties: as they stand on the wire, flags first.
    ///   - frameMax: bytes of a frame with its eight bytes around; 0: any number.
    public mutating func appendContent(
        properties: [UInt8], body: UnsafeRawBufferPointer, channel: UInt16, frameMax: Int
    ) {
        frame(.header, channel: channel) { writer in
            writer.append(short: 60)
            writer.append(short: 0)
            writer.append(longLong: UInt64(body.count))
            writer.append(raw: properties)
        }
        let limit = frameMax > 8 ? frameMax - 8 : Int.max
        var position = 0
        while position < body.count {
            let end = position + min(limit, body.count - position)
            frame(.body, channel: channel) { $0.append(raw: UnsafeRawBufferPointer(rebasing: body[position..<end])) }
            position = end
        }
    }
}
