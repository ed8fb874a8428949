import KernelStructures

/// Composes replies, in the form that its connection speaks.
///
/// What only RESP3 has is written in RESP2 as Redis does: a map as an array twice as long, a double as a bulk string,
/// a boolean as 0 or 1.
public struct RESPWriter: Sendable {
    public var version = RESPVersion.two
    public private(set) var bytes: [UInt8] = []

    public init(version: RESPVersion = .two) { self.version = version }

    public var count: Int { bytes.count }

    /// Bytes of storage that an empty writer may keep.
    static let retainedCapacity = 64 << 10

    /// Removes bytes from the front: they have been sent.
    public mutating func removeFirst(_ count: Int) {
        if count < bytes.count {
            bytes.removeFirst(count)
        } else if bytes.capacity > Self.retainedCapacity {
            bytes = []
        } else {
            bytes.removeAll(keepingCapacity: true)
        }
    }

    /// Removes what was written after the first `count` bytes: it is not to be said.
    public mutating func truncate(to count: Int) { bytes.removeLast(bytes.count - count) }

    // MARK: Simple replies

    public mutating func ok() { raw("+OK\r\n") }

    /// Bytes that are RESP already.
    public mutating func raw(_ text: StaticString) {
        bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    public mutating func raw(_ whole: [UInt8]) { bytes.append(contentsOf: whole) }

    /// A short text without line ends; those it has become blanks, and are left out at its end.
    public mutating func simple(_ text: String) { line("+", text) }

    /// An error, which begins with its code: `ERR unknown command`.
    public mutating func error(_ text: String) { line("-", text) }

    /// An error that repeats a word of the client's, whatever its bytes are.
    public mutating func error(_ before: String, _ word: [UInt8], _ after: String = "") {
        line("-", Array(before.utf8) + word + after.utf8)
    }

    private mutating func line(_ kind: Character, _ text: String) { line(kind, Array(text.utf8)) }

    private mutating func line(_ kind: Character, _ text: [UInt8]) {
        bytes.append(kind.asciiValue!)
        var rest = text[...]
        while let last = rest.last, last == 13 || last == 10 { rest.removeLast() }
        for byte in rest { bytes.append(byte == 13 || byte == 10 ? 32 : byte) }
        end()
    }

    public mutating func integer(_ number: Int) {
        if number == 0 { return raw(":0\r\n") }
        if number == 1 { return raw(":1\r\n") }
        head(UInt8(ascii: ":"), number)
    }

    public mutating func bulk(_ value: UnsafeRawBufferPointer) {
        head(UInt8(ascii: "$"), value.count)
        bytes.append(contentsOf: value)
        end()
    }

    public mutating func bulk(_ value: [UInt8]) {
        head(UInt8(ascii: "$"), value.count)
        bytes.append(contentsOf: value)
        end()
    }

    public mutating func bulk(_ text: String) {
        head(UInt8(ascii: "$"), text.utf8.count)
        bytes.append(contentsOf: text.utf8)
        end()
    }

    /// Nothing, where a string might be.
    public mutating func null() { if version == .three { raw("_\r\n") } else { raw("$-1\r\n") } }

    /// Nothing, where an array might be.
    public mutating func nullArray() { if version == .three { raw("_\r\n") } else { raw("*-1\r\n") } }

    public mutating func boolean(_ value: Bool) {
        if version == .three { raw(value ? "#t\r\n" : "#f\r\n") } else { integer(value ? 1 : 0) }
    }

    public mutating func double(_ value: Double) {
        if version == .three { line(",", RESPNumber.text(value)) } else { bulk(RESPNumber.text(value)) }
    }

    /// Digits of a number of any size.
    public mutating func bigNumber(_ digits: String) {
        if version == .three { line("(", digits) } else { bulk(digits) }
    }

    /// Text of a format named by three letters: `txt`, `mkd`.
    public mutating func verbatim(_ text: String, format: String = "txt") {
        guard version == .three else { return bulk(text) }
        precondition(format.utf8.count == 3, "a format has three letters")
        head(UInt8(ascii: "="), text.utf8.count + 4)
        bytes.append(contentsOf: format.utf8)
        bytes.append(UInt8(ascii: ":"))
        bytes.append(contentsOf: text.utf8)
        end()
    }

    // MARK: Aggregates

    /// The start of an array; that many replies must follow.
    public mutating func array(_ count: Int) { head(UInt8(ascii: "*"), count) }

    /// The start of a map; twice that many replies must follow.
    public mutating func map(_ pairCount: Int) {
        if version == .three { head(UInt8(ascii: "%"), pairCount) } else { array(pairCount * 2) }
    }

    /// A whole map.
    public mutating func map(_ fields: [(name: String, value: RESPValue)]) {
        map(fields.count)
        for (name, value) in fields {
            bulk(name)
            self.value(value)
        }
    }

    public mutating func set(_ count: Int) {
        if version == .three { head(UInt8(ascii: "~"), count) } else { array(count) }
    }

    /// The start of something that no request asked for.
    public mutating func push(_ count: Int) {
        if version == .three { head(UInt8(ascii: ">"), count) } else { array(count) }
    }

    public mutating func bulks(_ texts: [String]) {
        array(texts.count)
        for text in texts { bulk(text) }
    }

    /// A reply of any kind.
    public mutating func value(_ value: RESPValue) {
        switch value {
        case .simple(let text): simple(text)
        case .error(let text): error(text)
        case .integer(let number): integer(number)
        case .bulk(let bytes): bulk(bytes)
        case .null: null()
        case .double(let number): double(number)
        case .boolean(let truth): boolean(truth)
        case .bigNumber(let digits): bigNumber(digits)
        case .verbatim(let format, let text): verbatim(text, format: format)
        case .array(let values): array(values.count)
        case .map(let values): map(values.count / 2)
        case .set(let values): set(values.count)
        case .push(let values): push(values.count)
        }
        for element in value.elements ?? [] { self.value(element) }
    }

    private mutating func head(_ kind: UInt8, _ number: Int) {
        bytes.append(kind)
        bytes.append(decimal: number)
        end()
    }

    private mutating func end() {
        bytes.append(13)
        bytes.append(10)
    }
}
