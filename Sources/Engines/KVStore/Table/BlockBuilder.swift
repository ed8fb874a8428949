/// Puts sorted entries into a block.
///
///     block := entry*, restart (4 bytes)*, number of restarts (4 bytes)
///     entry := shared (varint), unshared (varint), value length (varint), key's unshared bytes, value
///
/// Neighbours in sorted order look alike, so an entry stores only what its key does not share with the one before.
/// Every `restartInterval` entries one stores its key whole, and the block's end lists where: these are what a binary
/// search can jump to.
struct BlockBuilder {
    let buffer: ByteBuffer
    private let restartInterval: Int
    private let restarts: ByteBuffer
    private let lastKey: ByteBuffer
    private var sinceRestart = 0

    init(restartInterval: Int, capacity: Int = 8192) {
        self.restartInterval = restartInterval
        buffer = ByteBuffer(capacity: capacity)
        restarts = ByteBuffer(capacity: 256)
        lastKey = ByteBuffer(capacity: 64)
        reset()
    }

    mutating func reset() {
        buffer.count = 0
        restarts.count = 0
        restarts.append32(0)
        lastKey.count = 0
        sinceRestart = 0
    }

    @inline(__always) var isEmpty: Bool { buffer.count == 0 }
    /// Bytes that the finished block will take.
    @inline(__always) var byteCount: Int { buffer.count &+ restarts.count &+ 4 }
    var key: Bytes { lastKey.bytes }

    /// - Parameter key: larger than the one before.
    @inline(__always) mutating func add(_ key: Bytes, _ value: Bytes) {
        var shared = 0
        if sinceRestart < restartInterval {
            let limit = min(lastKey.count, key.count)
            let last = UnsafePointer(lastKey.start)
            while shared &+ 8 <= limit {
                let x = UnsafeRawPointer(last + shared).loadUnaligned(as: UInt64.self)
                let y = UnsafeRawPointer(key.start + shared).loadUnaligned(as: UInt64.self)
                if x != y {
                    shared &+= (x ^ y).trailingZeroBitCount / 8
                    break
                }
                shared &+= 8
            }
            while shared < limit, last[shared] == key.start[shared] { shared &+= 1 }
        } else {
            restarts.append32(UInt32(truncatingIfNeeded: buffer.count))
            sinceRestart = 0
        }
        let unshared = key.dropFirst(shared)
        buffer.reserve(30 &+ unshared.count &+ value.count)
        buffer.appendVarint(UInt64(shared))
        buffer.appendVarint(UInt64(unshared.count))
        buffer.appendVarint(UInt64(value.count))
        buffer.append(unshared)
        buffer.append(value)
        lastKey.count = shared
        lastKey.append(unshared)
        sinceRestart &+= 1
    }

    /// Adds the restarts and returns the block, valid until `reset`.
    mutating func finish() -> Bytes {
        buffer.append(restarts.bytes)
        buffer.append32(UInt32(restarts.count / 4))
        return buffer.bytes
    }
}
