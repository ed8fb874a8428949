import Glibc

/// Bytes at an address that stays while they are only read. What was long is given back.
public struct RawBytes: ~Copyable {
    private var start: UnsafeMutableRawPointer?
    private var capacity = 0
    public private(set) var count = 0

    public init() {}

    deinit { free(start) }

    public var all: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start, count: count) }

    public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return }
        if count + bytes.count > capacity {
            let wider = max(1024, count + bytes.count, capacity * 2)
            start = realloc(start, wider)
            guard start != nil else { fatalError("no memory for \(wider) bytes of a message") }
            capacity = wider
        }
        memcpy(start! + count, source, bytes.count)
        count += bytes.count
    }

    public mutating func removeAll() {
        count = 0
        if capacity > 64 << 10 {
            free(start)
            start = nil
            capacity = 0
        }
    }
}
