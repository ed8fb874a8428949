/// One record of a manifest: what changes from one version to the next.
///
///     edit  := field*
///     field := 1, comparator's name          | 2, number of the oldest log still needed
///            | 3, next free file number      | 4, last sequence number
///            | 5, level, internal key: where this level's compaction goes on
///            | 6, level, number: a table that is no longer part of it
///            | 7, level, number, byte count, smallest, largest internal key: a new table
///            | 9, number of a log that was being flushed (of old versions of LevelDB)
///
/// All numbers are varints. The state of the store is what all edits of the manifest amount to, in order.
struct VersionEdit: Equatable {
    static let comparatorName = "leveldb.BytewiseComparator"

    var comparator: String?
    var logNumber: UInt64?
    var previousLogNumber: UInt64?
    var nextFileNumber: UInt64?
    var lastSequence: UInt64?
    var compactPointers: [CompactPointer] = []
    var deletedFiles: [DeletedFile] = []
    var newFiles: [NewFile] = []

    struct CompactPointer: Equatable {
        var level: Int
        var key: [UInt8]
    }

    struct DeletedFile: Equatable {
        var level: Int
        var number: UInt64
    }

    struct NewFile: Equatable {
        var level: Int
        var number: UInt64
        var byteCount: Int
        var smallest: [UInt8]
        var largest: [UInt8]
        /// Known to whoever wrote the table; not part of the record.
        var entryCount = 0
    }

    private enum Field: UInt32 {
        case comparator = 1
        case logNumber = 2
        case nextFileNumber = 3
        case lastSequence = 4
        case compactPointer = 5
        case deletedFile = 6
        case newFile = 7
        case previousLogNumber = 9
    }

    init() {}

    func encoded() -> ByteBuffer {
        let buffer = ByteBuffer()
        func put(_ field: Field, _ number: UInt64?) {
            guard let number else { return }
            buffer.appendVarint(UInt64(field.rawValue))
            buffer.appendVarint(number)
        }
        func put(_ bytes: some Collection<UInt8>) { withBytes(of: bytes) { buffer.appendString($0) } }
        if let comparator {
            buffer.appendVarint(UInt64(Field.comparator.rawValue))
            put(comparator.utf8)
        }
        put(.logNumber, logNumber)
        put(.previousLogNumber, previousLogNumber)
        put(.nextFileNumber, nextFileNumber)
        put(.lastSequence, lastSequence)
        for pointer in compactPointers {
            put(.compactPointer, UInt64(pointer.level))
            put(pointer.key)
        }
        for file in deletedFiles {
            put(.deletedFile, UInt64(file.level))
            buffer.appendVarint(file.number)
        }
        for file in newFiles {
            put(.newFile, UInt64(file.level))
            buffer.appendVarint(file.number)
            buffer.appendVarint(UInt64(file.byteCount))
            put(file.smallest)
            put(file.largest)
        }
        return buffer
    }

    /// Nil if the bytes are no edit, or one of RocksDB's own kinds.
    init?(_ bytes: Bytes) {
        var reader = ByteReader(bytes)
        while !reader.isEmpty {
            guard let tag = reader.varint32(), let field = Field(rawValue: tag), read(field, &reader) else {
                return nil
            }
        }
    }

    private mutating func read(_ field: Field, _ reader: inout ByteReader) -> Bool {
        switch field {
        case .comparator:
            guard let name = reader.string() else { return false }
            comparator = String(decoding: name.raw, as: UTF8.self)
        case .logNumber: return Self.read(&logNumber, &reader)
        case .previousLogNumber: return Self.read(&previousLogNumber, &reader)
        case .nextFileNumber: return Self.read(&nextFileNumber, &reader)
        case .lastSequence: return Self.read(&lastSequence, &reader)
        case .compactPointer:
            guard let level = Self.level(&reader), let key = Self.internalKey(&reader) else { return false }
            compactPointers.append(CompactPointer(level: level, key: key))
        case .deletedFile:
            guard let level = Self.level(&reader), let number = reader.varint64() else { return false }
            deletedFiles.append(DeletedFile(level: level, number: number))
        case .newFile:
            guard let level = Self.level(&reader), let number = reader.varint64(), let byteCount = reader.varint64(),
                byteCount < 1 << 50, let smallest = Self.internalKey(&reader), let largest = Self.internalKey(&reader)
            else { return false }
            newFiles.append(
                NewFile(level: level, number: number, byteCount: Int(byteCount), smallest: smallest, largest: largest))
        }
        return true
    }

    private static func read(_ number: inout UInt64?, _ reader: inout ByteReader) -> Bool {
        number = reader.varint64()
        return number != nil
    }

    private static func level(_ reader: inout ByteReader) -> Int? {
        guard let level = reader.varint32(), level < KVStoreOptions.levelCount else { return nil }
        return Int(level)
    }

    private static func internalKey(_ reader: inout ByteReader) -> [UInt8]? {
        guard let key = reader.string(), key.count >= InternalKey.tagByteCount else { return nil }
        return key.array
    }
}
