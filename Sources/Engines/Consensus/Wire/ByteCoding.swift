/// Bytes put together: numbers of fixed width with the lowest byte first, and bytes behind their count.
struct ByteWriter {
    private(set) var bytes: [UInt8] = []

    mutating func put(_ byte: UInt8) { bytes.append(byte) }
    mutating func put(word: UInt32) {
        for shift in 0..<4 { bytes.append(UInt8(truncatingIfNeeded: word >> (shift * 8))) }
    }

    /// 8 bytes; not negative.
    mutating func put(number: Int) {
        for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: number >> (shift * 8))) }
    }

    mutating func put(bytes more: [UInt8]) {
        put(word: UInt32(clamping: more.count))
        bytes.append(contentsOf: more)
    }

    mutating func put(raw more: [UInt8]) { bytes.append(contentsOf: more) }

    mutating func put(numbers: [Int]) {
        put(word: UInt32(clamping: numbers.count))
        for number in numbers { put(number: number) }
    }
}

/// Bytes taken apart again; every answer is nil where they do not have what is asked for.
struct ByteReader {
    private let source: ArraySlice<UInt8>
    private var place: Int

    /// No number that is read is larger, so that counting on from one never overflows.
    static let largestNumber = 1 << 60

    init(_ bytes: [UInt8]) { self.init(bytes[...]) }

    init(_ bytes: ArraySlice<UInt8>) {
        source = bytes
        place = bytes.startIndex
    }

    var isAtEnd: Bool { place == source.endIndex }
    var remainingCount: Int { source.endIndex - place }

    var rest: [UInt8] { Array(source[place...]) }

    mutating func byte() -> UInt8? {
        guard place < source.endIndex else { return nil }
        defer { place += 1 }
        return source[place]
    }

    private mutating func unsigned(_ count: Int) -> UInt64? {
        guard remainingCount >= count else { return nil }
        var value: UInt64 = 0
        for offset in 0..<count { value |= UInt64(source[place + offset]) << (offset * 8) }
        place += count
        return value
    }

    mutating func skip(_ count: Int) { place = min(place + max(0, count), source.endIndex) }

    mutating func word() -> UInt32? { unsigned(4).map { UInt32($0) } }

    mutating func number() -> Int? {
        guard let value = unsigned(8), value <= UInt64(Self.largestNumber) else { return nil }
        return Int(value)
    }

    mutating func take(_ count: Int) -> [UInt8]? {
        guard count >= 0, remainingCount >= count else { return nil }
        defer { place += count }
        return Array(source[place..<place + count])
    }

    mutating func bytes() -> [UInt8]? { word().flatMap { take(Int($0)) } }

    mutating func numbers() -> [Int]? {
        guard let count = word(), remainingCount / 8 >= Int(count) else { return nil }
        var numbers: [Int] = []
        for _ in 0..<count {
            guard let number = number() else { return nil }
            numbers.append(number)
        }
        return numbers
    }

    mutating func flag() -> Bool? {
        switch byte() {
        case 0: false
        case 1: true
        default: nil
        }
    }
}
