import Glibc
import KernelStructures

/// Where one argument lies, counted from the start of its request.
public struct RESPSpan: Sendable {
    public var offset: UInt32
    public var count: UInt32

    @inlinable public init(offset: Int, count: Int) {
        self.offset = UInt32(truncatingIfNeeded: offset)
        self.count = UInt32(truncatingIfNeeded: count)
    }
}

/// The words of one request, the command's name first, where they lie in the buffer they came in.
///
/// Nothing is copied: it is valid until its reader is asked for the next request. Whoever needs it longer makes a
/// `RESPRequest` of it.
public struct RESPArguments {
    @usableFromInline let base: UnsafeRawPointer
    @usableFromInline let spans: UnsafePointer<RESPSpan>
    public let count: Int

    @inlinable public init(base: UnsafeRawPointer, spans: UnsafePointer<RESPSpan>, count: Int) {
        self.base = base
        self.spans = spans
        self.count = count
    }

    /// The bytes of an argument; `index` must be below `count`.
    @inlinable public subscript(index: Int) -> UnsafeRawBufferPointer {
        precondition(index >= 0 && index < count, "a request has no such argument")
        let span = spans[index]
        return UnsafeRawBufferPointer(start: base + Int(span.offset), count: Int(span.count))
    }

    public func bytes(_ index: Int) -> [UInt8] { Array(self[index]) }

    /// The argument as text; what is not UTF-8 is repaired.
    public func text(_ index: Int) -> String { String(decoding: self[index], as: UTF8.self) }

    /// The argument as C prints it, up to its first zero byte; at most so many bytes.
    public func printed(_ index: Int, limit: Int = .max) -> [UInt8] {
        Array(self[index].prefix { $0 != 0 }.prefix(limit))
    }

    /// Whether an argument is that word, in either case. `word` must be written in upper case.
    public func isWord(_ index: Int, _ word: StaticString) -> Bool {
        let bytes = self[index]
        guard bytes.count == word.utf8CodeUnitCount else { return false }
        for place in 0..<bytes.count {
            let letter = bytes[place]
            let upper = letter >= 97 && letter <= 122 ? letter & 0xDF : letter
            if upper != word.utf8Start[place] { return false }
        }
        return true
    }

    /// The argument as a whole number in its one decimal form: no sign but `-`, no leading zero, no blanks.
    public func integer(_ index: Int) -> Int? { RESPNumber.integer(self[index]) }

    /// The argument as a floating-point number; nil for anything that is not one, `nan` included.
    public func double(_ index: Int) -> Double? { RESPNumber.double(self[index]) }
}

/// A request that has been taken out of its buffer, to be carried out later.
public struct RESPRequest: Sendable {
    public let bytes: [UInt8]
    public let spans: [RESPSpan]

    public init(_ arguments: RESPArguments) {
        var bytes: [UInt8] = []
        var spans: [RESPSpan] = []
        for index in 0..<arguments.count {
            spans.append(RESPSpan(offset: bytes.count, count: arguments[index].count))
            bytes.append(contentsOf: arguments[index])
        }
        self.bytes = bytes
        self.spans = spans
    }

    public init(_ words: [[UInt8]]) {
        var bytes: [UInt8] = []
        var spans: [RESPSpan] = []
        for word in words {
            spans.append(RESPSpan(offset: bytes.count, count: word.count))
            bytes += word
        }
        self.bytes = bytes
        self.spans = spans
    }

    /// Bytes of memory that it holds, for whoever bounds them.
    public var byteCount: Int { bytes.count + spans.count * MemoryLayout<RESPSpan>.stride }

    /// The arguments are valid during the call.
    public func withArguments<R>(_ body: (RESPArguments) throws -> R) rethrows -> R {
        try bytes.withUnsafeBytes { bytes in
            try spans.withUnsafeBufferPointer { spans in
                guard let first = spans.baseAddress else { preconditionFailure("a request without a command") }
                // Only empty words: there is no storage to point into.
                let base = bytes.baseAddress ?? UnsafeRawPointer(first)
                return try body(RESPArguments(base: base, spans: first, count: spans.count))
            }
        }
    }

    /// Appends a request as clients send it: an array of bulk strings.
    public static func encode(_ words: [[UInt8]], into output: inout [UInt8]) {
        output.append(UInt8(ascii: "*"))
        output.append(decimal: words.count)
        output.append(13)
        output.append(10)
        for word in words {
            output.append(UInt8(ascii: "$"))
            output.append(decimal: word.count)
            output.append(13)
            output.append(10)
            output.append(contentsOf: word)
            output.append(13)
            output.append(10)
        }
    }

    public static func encode(_ words: [String], into output: inout [UInt8]) {
        encode(words.map { Array($0.utf8) }, into: &output)
    }
}

/// Numbers as RESP writes them.
public enum RESPNumber {
    /// A whole number in its one decimal form, as Redis demands it; nil for anything else, and beyond 64 bits.
    public static func integer(_ bytes: UnsafeRawBufferPointer) -> Int? {
        var place = 0
        let isNegative = bytes.first == UInt8(ascii: "-")
        if isNegative { place = 1 }
        guard place < bytes.count, bytes.count - place <= 19 else { return nil }
        if bytes[place] == 48 { return bytes.count == 1 ? 0 : nil }
        var magnitude: UInt64 = 0
        while place < bytes.count {
            let digit = bytes[place] &- 48
            guard digit <= 9 else { return nil }
            magnitude = magnitude &* 10 &+ UInt64(digit)
            place += 1
        }
        if isNegative {
            if magnitude > UInt64(Int.max) + 1 { return nil }
            return Int(truncatingIfNeeded: 0 &- magnitude)
        }
        return Int(exactly: magnitude)
    }

    public static func double(_ bytes: UnsafeRawBufferPointer) -> Double? {
        guard !bytes.isEmpty, bytes.count <= 320, !bytes.contains(0) else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        switch text.lowercased() {
        case "inf", "+inf", "infinity", "+infinity": return .infinity
        case "-inf", "-infinity": return -.infinity
        default: break
        }
        guard let value = Double(text), value.isFinite else { return nil }
        return value
    }

    /// A number as text: whole ones without a point, others as short as they can be read back.
    public static func text(_ value: Double) -> String {
        if value.isNaN { return "nan" }
        if value.isInfinite { return value < 0 ? "-inf" : "inf" }
        if value == value.rounded(), abs(value) < 1e17 { return String(Int(value)) }
        return String(value)
    }
}
