import Glibc

/// A place in a block, and the ways from there: to the neighbours, to the ends, to a key.
///
/// What it reads has passed its checksum, but may have been written by a program with errors, or by an enemy: every
/// length is checked before it is believed.
struct BlockCursor {
    /// The block's entries, without restarts.
    private var entries = Bytes.empty
    private var restarts = Bytes.nowhere
    private var restartCount = 0
    /// Where the entry begins, and where the next does.
    private var position = 0
    private var nextPosition = 0
    private let keyBuffer = ByteBuffer(capacity: 64)
    private(set) var value = Bytes.empty
    private(set) var isValid = false
    /// What was read is no block.
    private(set) var isDamaged = false
    /// Whether keys are internal keys, which are eight bytes at least.
    private let holdsInternalKeys: Bool

    init(holdsInternalKeys: Bool = true) { self.holdsInternalKeys = holdsInternalKeys }

    @inline(__always) var key: Bytes { keyBuffer.bytes }

    /// Looks at another block; the bytes must outlive the cursor's stay. False if they are no block.
    mutating func open(_ block: Bytes) -> Bool {
        isValid = false
        isDamaged = true
        guard block.count >= 4 else { return false }
        let count = Int((block.end - 4).fixed32)
        guard count >= 1, count <= (block.count - 4) / 4 else { return false }
        entries = block.prefix(block.count - 4 - count * 4)
        restarts = entries.end
        restartCount = count
        isDamaged = false
        return true
    }

    @inline(__always) private mutating func fail() {
        isValid = false
        isDamaged = true
    }

    @inline(__always) private func restart(_ index: Int) -> Int { Int((restarts + index * 4).fixed32) }

    /// Reads the entry at a position, whose predecessor's key is in the buffer. Without an entry there, it is at none.
    @inline(__always) private mutating func read(at place: Int) {
        position = place
        let left = entries.count &- place
        if left <= 0 {
            isValid = false
            if left < 0 { isDamaged = true }
            return
        }
        let start = entries.start + place
        if left >= 3, (start[0] | start[1] | start[2]) < 0x80 {
            finish(Int(start[0]), Int(start[1]), Int(start[2]), Bytes(start + 3, left &- 3))
        } else {
            readLong(Bytes(start, left))
        }
    }

    @inline(never) private mutating func readLong(_ bytes: Bytes) {
        var reader = ByteReader(bytes)
        guard let shared = reader.varint32(), let unshared = reader.varint32(), let length = reader.varint32() else {
            return fail()
        }
        finish(Int(shared), Int(unshared), Int(length), reader.rest)
    }

    @inline(__always)
    private mutating func finish(_ shared: Int, _ unshared: Int, _ length: Int, _ rest: Bytes) {
        let keyByteCount = shared &+ unshared
        if shared > keyBuffer.count || unshared &+ length > rest.count
            || holdsInternalKeys && keyByteCount < InternalKey.tagByteCount
        {
            return fail()
        }
        keyBuffer.count = shared
        keyBuffer.reserve(unshared)
        memcpy(keyBuffer.start + shared, rest.start, unshared)
        keyBuffer.count = keyByteCount
        value = Bytes(rest.start + unshared, length)
        nextPosition = value.end - entries.start
        isValid = true
    }

    @inline(__always) mutating func next() { read(at: nextPosition) }

    private mutating func goToRestart(_ index: Int) {
        keyBuffer.count = 0
        read(at: restart(index))
    }

    mutating func seekToFirst() { goToRestart(0) }

    mutating func seekToLast() {
        goToRestart(restartCount - 1)
        while isValid, nextPosition < entries.count { next() }
    }

    mutating func previous() {
        let target = position
        var index = restartCount - 1
        while index > 0, restart(index) >= target { index -= 1 }
        if restart(index) >= target {
            isValid = false
            return
        }
        goToRestart(index)
        while isValid, nextPosition < target { next() }
        if isValid, nextPosition != target { fail() }
    }

    /// To the first entry at or after a user key and a tag, in a block of internal keys.
    @inline(__always) mutating func seek(_ userKey: Bytes, _ tag: UInt64) {
        var low = 0
        var high = restartCount &- 1
        while low < high {
            let middle = (low &+ high &+ 1) / 2
            guard let order = compareRestart(middle, userKey, tag) else { return fail() }
            if order < 0 { low = middle } else { high = middle &- 1 }
        }
        goToRestart(low)
        while isValid, InternalKey.compare(key, userKey, tag) < 0 { next() }
    }

    /// Compares the whole key that stands at a restart; nil if there is none.
    @inline(__always) private func compareRestart(_ index: Int, _ userKey: Bytes, _ tag: UInt64) -> Int? {
        let place = restart(index)
        guard place < entries.count else { return nil }
        let start = entries.start + place
        let left = entries.count &- place
        if left >= 3, start[0] == 0, (start[1] | start[2]) < 0x80 {
            let length = Int(start[1])
            if length < InternalKey.tagByteCount || length > left &- 3 { return nil }
            return InternalKey.compare(Bytes(start + 3, length), userKey, tag)
        }
        var reader = ByteReader(Bytes(start, left))
        guard reader.varint32() == 0, let length = reader.varint32(), reader.varint32() != nil,
            Int(length) >= InternalKey.tagByteCount, let key = reader.take(Int(length))
        else { return nil }
        return InternalKey.compare(key, userKey, tag)
    }
}
