/// What a time series is called: names with values, `{__name__="up", job="node"}`.
///
/// The identity of a series is the *set* of its labels: their order does not matter, a label with an empty value is the
/// same as none, and two names that look alike but have other bytes are two names. So the labels are held in one piece
/// of bytes, sorted by name, from which all of that follows: equality is one comparison of memory, whatever they say.
///
/// ```
/// labels = { length name length value }       ; in rising order of the names' bytes, each name once, no value empty
/// length = 1 byte below 255 | 255 and 4 bytes, the lowest first
/// ```
///
/// (`String` would not do: it takes `é` in one and in two characters for equal.)
public struct Labels: Hashable, Sendable {
    /// As described above.
    public private(set) var bytes: [UInt8]

    public init() { bytes = [] }

    /// From names and values in any order. Of a name that stands there twice the last one counts; empty values are left
    /// out.
    public init(_ pairs: some Sequence<(String, String)>) {
        var sorted: [(name: String, value: String, place: Int)] = []
        for (name, value) in pairs { sorted.append((name, value, sorted.count)) }
        sorted.sort { left, right in
            let order = byteOrder(left.name, right.name)
            return order != 0 ? order < 0 : left.place < right.place
        }
        bytes = []
        for (index, pair) in sorted.enumerated() {
            let isLast = index + 1 == sorted.count || byteOrder(sorted[index + 1].name, pair.name) != 0
            if isLast, !pair.value.isEmpty { append(pair.name, pair.value) }
        }
    }

    /// From bytes in the form described above, which are not checked: what a reader walks over ends at the first
    /// length that does not fit.
    public init(packed bytes: [UInt8]) { self.bytes = bytes }

    /// Adds a label whose name follows all that are there (the caller's promise), and whose value is not empty.
    public mutating func append(_ name: String, _ value: String) {
        var name = name
        var value = value
        name.withUTF8 { name in
            value.withUTF8 { append(UnsafeRawBufferPointer(name), UnsafeRawBufferPointer($0)) }
        }
    }

    /// As `append` with texts.
    public mutating func append(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        appendLength(name.count)
        bytes.append(contentsOf: name)
        appendLength(value.count)
        bytes.append(contentsOf: value)
    }

    private mutating func appendLength(_ count: Int) {
        if count < 255 { return bytes.append(UInt8(count)) }
        bytes.append(255)
        let length = UInt32(clamping: count)
        for shift in stride(from: UInt32(0), to: 32, by: 8) { bytes.append(UInt8(truncatingIfNeeded: length >> shift)) }
    }

    public var isEmpty: Bool { bytes.isEmpty }

    /// How many there are.
    public var count: Int {
        var count = 0
        forEachBytes { _, _ in count += 1 }
        return count
    }

    /// Calls `body` with every name and value in order, as bytes that are valid during the call.
    @inlinable
    public func forEachBytes(_ body: (_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Void) {
        bytes.withUnsafeBytes { all in
            var offset = 0
            while let name = Labels.next(all, &offset), let value = Labels.next(all, &offset) { body(name, value) }
        }
    }

    @inlinable
    static func next(_ all: UnsafeRawBufferPointer, _ offset: inout Int) -> UnsafeRawBufferPointer? {
        guard offset < all.count else { return nil }
        var length = Int(all[offset])
        offset += 1
        if length == 255 {
            guard all.count - offset >= 4 else { return nil }
            length = Int(UInt32(littleEndian: all.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
            offset += 4
        }
        guard length <= all.count - offset else { return nil }
        defer { offset += length }
        return UnsafeRawBufferPointer(rebasing: all[offset..<offset + length])
    }

    /// Names and values in order.
    public var pairs: [(name: String, value: String)] {
        var pairs: [(name: String, value: String)] = []
        forEachBytes { name, value in
            pairs.append((String(decoding: name, as: UTF8.self), String(decoding: value, as: UTF8.self)))
        }
        return pairs
    }

    /// The value of a label; empty if there is none, which is the same.
    public subscript(name: String) -> String {
        withValue(of: name) { String(decoding: $0, as: UTF8.self) }
    }

    public func has(_ name: String) -> Bool { withValue(of: name) { !$0.isEmpty } }

    /// Calls `body` with the value's bytes, which are none if there is no such label.
    public func withValue<R>(of name: String, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        var name = name
        return name.withUTF8 { wanted in
            bytes.withUnsafeBytes { all in
                var offset = 0
                while let name = Labels.next(all, &offset), let value = Labels.next(all, &offset) {
                    if name.count == wanted.count, name.elementsEqual(UnsafeRawBufferPointer(wanted)) {
                        return body(value)
                    }
                }
                return body(UnsafeRawBufferPointer(start: nil, count: 0))
            }
        }
    }

    public var metricName: String { self[Labels.metricNameLabel] }

    /// The label that holds a metric's name.
    public static let metricNameLabel = "__name__"
}

/// Less than, equal to or greater than 0 as `left` stands before `right`, by their bytes.
public func byteOrder(_ left: String, _ right: String) -> Int {
    var left = left
    var right = right
    return left.withUTF8 { left in
        right.withUTF8 { byteOrder(UnsafeRawBufferPointer(left), UnsafeRawBufferPointer($0)) }
    }
}

public func byteOrder(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
    for (a, b) in zip(left, right) where a != b { return a < b ? -1 : 1 }
    return left.count - right.count
}
