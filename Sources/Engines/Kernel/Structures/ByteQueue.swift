/// Bytes waiting in order: appended at the back, consumed from the front, contiguous in memory.
///
/// Consumed space is reclaimed when the queue runs empty or when it outweighs what is left, so each byte is moved
/// at most once on average. A queue that ran empty gives back any storage beyond `retainedCapacity`.
public struct ByteQueue {
    public private(set) var storage: [UInt8] = []
    private var head = 0

    /// Bytes of storage that an empty queue may keep.
    public static let retainedCapacity = 16 * 1024

    public init() {}

    public var count: Int { storage.count - head }
    public var isEmpty: Bool { storage.count == head }

    public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        if bytes.isEmpty { return }
        reclaim()
        storage.append(contentsOf: bytes)
    }

    public mutating func append(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { append($0) }
    }

    public mutating func consume(_ byteCount: Int) {
        precondition(byteCount <= count, "consumed more bytes than the queue holds")
        head += byteCount
        if head == storage.count { removeAll() }
    }

    public mutating func removeAll() {
        head = 0
        if storage.capacity > Self.retainedCapacity {
            storage = []
        } else {
            storage.removeAll(keepingCapacity: true)
        }
    }

    public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try storage.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[head...])) }
    }

    private mutating func reclaim() {
        guard head > 4096, head > storage.count / 2 else { return }
        storage.removeFirst(head)
        head = 0
    }
}

extension Array where Element == UInt8 {
    /// Appends the UTF-8 bytes of `text` without an intermediate array.
    @inlinable public mutating func append(utf8 text: String) { append(contentsOf: text.utf8) }

    /// Appends a number in decimal without making a `String` of it.
    @inlinable public mutating func append(decimal number: Int) {
        var magnitude = number.magnitude
        if number >= 0, magnitude < 10 { return append(UInt8(ascii: "0") + UInt8(magnitude)) }
        // Twenty digits and a sign at most, from the right; appended in one go, as each append looks whether there is
        // room.
        var digits: (UInt64, UInt64, UInt64) = (0, 0, 0)
        Swift.withUnsafeMutableBytes(of: &digits) { digits in
            var place = digits.count
            repeat {
                place -= 1
                digits[place] = UInt8(ascii: "0") + UInt8(magnitude % 10)
                magnitude /= 10
            } while magnitude > 0
            if number < 0 {
                place -= 1
                digits[place] = UInt8(ascii: "-")
            }
            append(contentsOf: UnsafeRawBufferPointer(rebasing: digits[place...]))
        }
    }
}
