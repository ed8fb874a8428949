import KernelStructures

/// Reads the replies of a server, however their bytes are cut: RESP2 and RESP3.
///
/// An aggregate that is being read is a frame on a stack, so nesting costs no recursion, and nothing is read twice.
/// Attributes (`|`) are read and left out: a client may ignore them. What RESP3 calls streamed strings and aggregates
/// (`$?`) is refused: no server sends them.
public struct RESPReplyReader: Sendable {
    public enum Event: Equatable, Sendable {
        /// The input is used up.
        case needMore
        case value(RESPValue)
        case failed(RESPError)
    }

    private enum Kind { case array, map, set, push, attribute }
    private struct Frame {
        let kind: Kind
        var remaining: Int
        var elements: [RESPValue] = []
    }
    private enum Stage {
        case line
        case bulk(kind: UInt8, count: Int)
        case failed(RESPError)
    }

    public var limits: RESPLimits
    private var stage = Stage.line
    private var frames: [Frame] = []
    /// Bytes of a line, or of a bulk string with its CRLF, that came in pieces.
    private var held: [UInt8] = []

    public init(limits: RESPLimits = RESPLimits()) { self.limits = limits }

    /// Whether a reply has begun and not ended.
    public var isInsideValue: Bool {
        if case .line = stage { return !held.isEmpty || !frames.isEmpty }
        return true
    }

    public mutating func next(_ input: UnsafeRawBufferPointer, _ position: inout Int) -> Event {
        while true {
            do throws(RESPError) {
                switch stage {
                case .failed(let error): return .failed(error)
                case .line:
                    guard let whole = try readLine(input, &position) else { return .needMore }
                    if let value = try take(line: whole) { return .value(value) }
                case .bulk(let kind, let count):
                    guard let bytes = try readBulk(input, &position, count) else { return .needMore }
                    stage = .line
                    if let value = try complete(Self.string(kind, bytes)) { return .value(value) }
                }
            } catch {
                stage = .failed(error)
                held = []
                frames = []
            }
        }
    }

    // MARK: Bytes

    private mutating func readLine(_ input: UnsafeRawBufferPointer, _ position: inout Int) throws(RESPError)
        -> [UInt8]?
    {
        while position < input.count {
            let byte = input[position]
            position += 1
            if held.last == 13 {
                guard byte == 10 else { throw RESPError("a line of a reply has a CR within") }
                held.removeLast()
                defer { held.removeAll(keepingCapacity: true) }
                return held
            }
            if byte == 10 { throw RESPError("a line of a reply ends without CR") }
            held.append(byte)
            if held.count > limits.inlineBytes { throw RESPError("a line of a reply is too long") }
        }
        return nil
    }

    private mutating func readBulk(_ input: UnsafeRawBufferPointer, _ position: inout Int, _ count: Int)
        throws(RESPError) -> [UInt8]?
    {
        let taken = min(count + 2 - held.count, input.count - position)
        held.append(contentsOf: UnsafeRawBufferPointer(rebasing: input[position..<position + taken]))
        position += taken
        if held.count > count, held[count] != 13 { throw RESPError("a bulk string is not followed by CRLF") }
        guard held.count == count + 2 else { return nil }
        guard held[count + 1] == 10 else { throw RESPError("a bulk string is not followed by CRLF") }
        held.removeLast(2)
        defer { held = [] }
        return held
    }

    // MARK: Values

    private mutating func take(line: [UInt8]) throws(RESPError) -> RESPValue? {
        guard let kind = line.first else { throw RESPError("a reply begins with an empty line") }
        let rest = line.dropFirst()
        switch kind {
        case UInt8(ascii: "+"): return try complete(.simple(String(decoding: rest, as: UTF8.self)))
        case UInt8(ascii: "-"): return try complete(.error(String(decoding: rest, as: UTF8.self)))
        case UInt8(ascii: ":"): return try complete(.integer(try Self.integer(rest)))
        case UInt8(ascii: "$"), UInt8(ascii: "!"), UInt8(ascii: "="):
            let count = try Self.integer(rest)
            if count == -1, kind == UInt8(ascii: "$") { return try complete(.null) }
            let least = kind == UInt8(ascii: "=") ? 4 : 0
            guard count >= least, count <= limits.bulkBytes else { throw RESPError("invalid bulk length") }
            stage = .bulk(kind: kind, count: count)
            return nil
        case UInt8(ascii: "*"): return try begin(.array, try Self.integer(rest))
        case UInt8(ascii: "%"): return try begin(.map, try Self.integer(rest))
        case UInt8(ascii: "~"): return try begin(.set, try Self.integer(rest))
        case UInt8(ascii: ">"): return try begin(.push, try Self.integer(rest))
        case UInt8(ascii: "|"): return try begin(.attribute, try Self.integer(rest))
        case UInt8(ascii: "_") where rest.isEmpty: return try complete(.null)
        case UInt8(ascii: "#") where rest.elementsEqual([UInt8(ascii: "t")]): return try complete(.boolean(true))
        case UInt8(ascii: "#") where rest.elementsEqual([UInt8(ascii: "f")]): return try complete(.boolean(false))
        case UInt8(ascii: ","): return try complete(.double(try Self.double(rest)))
        case UInt8(ascii: "("): return try complete(.bigNumber(try Self.digits(rest)))
        default: throw RESPError("a reply begins with byte \(kind)")
        }
    }

    private mutating func begin(_ kind: Kind, _ count: Int) throws(RESPError) -> RESPValue? {
        if count == -1, kind == .array { return try complete(.null) }
        let isPairs = kind == .map || kind == .attribute
        guard count >= 0, count <= limits.elementCount / (isPairs ? 2 : 1) else {
            throw RESPError("invalid multibulk length")
        }
        guard frames.count < limits.depth else { throw RESPError("replies are nested deeper than \(limits.depth)") }
        frames.append(Frame(kind: kind, remaining: isPairs ? count * 2 : count))
        return try close()
    }

    /// One value is complete: the reply, or an element of the innermost aggregate.
    private mutating func complete(_ value: RESPValue) throws(RESPError) -> RESPValue? {
        guard !frames.isEmpty else { return value }
        frames[frames.count - 1].elements.append(value)
        frames[frames.count - 1].remaining -= 1
        return try close()
    }

    /// Ends the aggregates that have all their elements.
    private mutating func close() throws(RESPError) -> RESPValue? {
        while let last = frames.last, last.remaining == 0 {
            frames.removeLast()
            // An attribute only describes what comes next.
            guard let value = Self.aggregate(last.kind, last.elements) else { continue }
            guard !frames.isEmpty else { return value }
            frames[frames.count - 1].elements.append(value)
            frames[frames.count - 1].remaining -= 1
        }
        return nil
    }

    private static func aggregate(_ kind: Kind, _ elements: [RESPValue]) -> RESPValue? {
        switch kind {
        case .array: .array(elements)
        case .map: .map(elements)
        case .set: .set(elements)
        case .push: .push(elements)
        case .attribute: nil
        }
    }

    private static func string(_ kind: UInt8, _ bytes: [UInt8]) -> RESPValue {
        switch kind {
        case UInt8(ascii: "!"): return .error(String(decoding: bytes, as: UTF8.self))
        case UInt8(ascii: "="):
            let format = String(decoding: bytes.prefix(3), as: UTF8.self)
            return .verbatim(format: format, text: String(decoding: bytes.dropFirst(4), as: UTF8.self))
        default: return .bulk(bytes)
        }
    }

    // MARK: Numbers

    private static func integer(_ digits: ArraySlice<UInt8>) throws(RESPError) -> Int {
        let unsigned = digits.first == UInt8(ascii: "+") ? digits.dropFirst() : digits
        guard let number = unsigned.withUnsafeBytes({ RESPNumber.integer($0) }) else {
            throw RESPError("'\(String(decoding: digits.prefix(40), as: UTF8.self))' is not a number")
        }
        return number
    }

    private static func double(_ digits: ArraySlice<UInt8>) throws(RESPError) -> Double {
        if String(decoding: digits, as: UTF8.self).lowercased().hasSuffix("nan") { return .nan }
        guard let value = digits.withUnsafeBytes({ RESPNumber.double($0) }) else {
            throw RESPError("'\(String(decoding: digits.prefix(40), as: UTF8.self))' is not a number")
        }
        return value
    }

    private static func digits(_ digits: ArraySlice<UInt8>) throws(RESPError) -> String {
        let unsigned = digits.first == 43 || digits.first == 45 ? digits.dropFirst() : digits
        guard !unsigned.isEmpty, unsigned.allSatisfy({ (48...57).contains($0) }) else {
            throw RESPError("'\(String(decoding: digits.prefix(40), as: UTF8.self))' is not a number")
        }
        return String(decoding: digits, as: UTF8.self)
    }
}
