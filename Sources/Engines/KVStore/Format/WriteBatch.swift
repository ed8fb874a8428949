import KernelStructures

/// Writes that take effect together or not at all, in LevelDB's form:
///
///     batch  := sequence (8 bytes), count (4 bytes), record × count
///     record := 1, key, value       a value is put
///             | 0, key              a key is deleted
///     key, value := length (varint), bytes
///
/// This is also what the log stores: one record of the log a batch, which is why a batch is atomic.
public struct WriteBatch {
    static let headerByteCount = 12
    let buffer: ByteBuffer
    public private(set) var count = 0
    /// What is too large in it, or nil.
    private(set) var complaint: String?

    /// An empty batch. Batches share their bytes when copied: add to one of the copies only.
    public init() {
        buffer = ByteBuffer(capacity: 256)
        clear()
    }

    /// Bytes that it takes in the log.
    public var byteCount: Int { buffer.count }

    public mutating func clear() {
        buffer.count = 0
        buffer.append64(0)
        buffer.append32(0)
        count = 0
        complaint = nil
        buffer.shrink(to: 1 << 20)
    }

    public mutating func put(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        put(Bytes(key), Bytes(value))
    }

    public mutating func put(_ key: some Collection<UInt8>, _ value: some Collection<UInt8>) {
        withBytes(of: key) { key in withBytes(of: value) { value in put(key, value) } }
    }

    public mutating func delete(_ key: UnsafeRawBufferPointer) { delete(Bytes(key)) }
    public mutating func delete(_ key: some Collection<UInt8>) { withBytes(of: key) { delete($0) } }

    @inline(__always) mutating func put(_ key: Bytes, _ value: Bytes) {
        check(key.count, value.count)
        buffer.append(ValueKind.value.rawValue)
        buffer.appendString(key)
        buffer.appendString(value)
        count &+= 1
    }

    @inline(__always) private mutating func check(_ keyByteCount: Int, _ valueByteCount: Int) {
        if keyByteCount > KVStoreOptions.keyByteLimit || valueByteCount > KVStoreOptions.valueByteLimit
            || buffer.count > KVStoreOptions.batchByteLimit
        {
            complain(keyByteCount, valueByteCount)
        }
    }

    private mutating func complain(_ keyByteCount: Int, _ valueByteCount: Int) {
        complaint =
            if keyByteCount > KVStoreOptions.keyByteLimit {
                "a key of \(keyByteCount) bytes; the limit is \(KVStoreOptions.keyByteLimit)"
            } else if valueByteCount > KVStoreOptions.valueByteLimit {
                "a value of \(valueByteCount) bytes; the limit is \(KVStoreOptions.valueByteLimit)"
            } else {
                "a batch of more than \(KVStoreOptions.batchByteLimit) bytes"
            }
    }

    @inline(__always) mutating func delete(_ key: Bytes) {
        check(key.count, 0)
        buffer.append(ValueKind.deletion.rawValue)
        buffer.appendString(key)
        count &+= 1
    }

    /// Writes sequence number and count into the header.
    @inline(__always) func seal(sequence: UInt64) -> Bytes {
        buffer.start.store64(sequence)
        (buffer.start + 8).store32(UInt32(count))
        return buffer.bytes
    }
}

/// What a record of a batch, or an entry of a table, says about its key.
enum ValueKind: UInt8 {
    case deletion = 0
    case value = 1
}

/// A batch as read back from a log.
struct BatchReader {
    let sequence: UInt64
    let count: Int
    private var reader: ByteReader
    private var left: Int

    struct Entry {
        let kind: ValueKind
        let key: Bytes
        let value: Bytes
    }

    /// Nil if there is not even a header.
    init?(_ bytes: Bytes) {
        reader = ByteReader(bytes)
        guard let sequence = reader.fixed64(), let count = reader.fixed32() else { return nil }
        self.sequence = sequence
        self.count = Int(count)
        left = Int(count)
    }

    /// The next record; nil at the end. Throws if what follows is no record, or the count was wrong.
    @inline(__always) mutating func next() throws(BatchDamage) -> Entry? {
        if left == 0 {
            if !reader.isEmpty { throw BatchDamage() }
            return nil
        }
        left &-= 1
        guard let tag = reader.byte(), let kind = ValueKind(rawValue: tag), let key = reader.string() else {
            throw BatchDamage()
        }
        if kind == .deletion { return Entry(kind: kind, key: key, value: .empty) }
        guard let value = reader.string() else { throw BatchDamage() }
        return Entry(kind: kind, key: key, value: value)
    }

    /// Whether all of it can be read, checked before any of it is applied.
    func isSound() -> Bool {
        var copy = self
        do throws(BatchDamage) {
            while try copy.next() != nil {}
            return true
        } catch {
            return false
        }
    }
}

struct BatchDamage: Error {}
