import KernelStructures

/// An entry as it stands in the shared cache.
///
/// ```
/// entry    = magic kind schema id version loadedAt loadDuration freshUntil staleUntil errorUntil origin
///            tags present value crc
/// magic    = 0xC5 0x01          the second byte is this format's version
/// kind     = 1 entry / 2 lease
/// schema   = the program's own version of what `value` means
/// id       = two numbers by chance: no two entries are alike, even with the same value
/// tags     = count, then tag and generation of each
/// crc      = CRC-32C of all before it, 4 bytes, the lowest first
/// ```
///
/// Whatever cannot be read (another format, another schema, a bit that fell over, something that somebody else put
/// there) is a miss and never an error: the source still has the truth.
public struct SharedEntry: Equatable, Sendable {
    public var id: (UInt64, UInt64)
    /// A lease holds the key's place for whoever loads it: nothing but its id matters.
    public var isLease: Bool
    public var version: UInt64 = 0
    public var loadedAt = LabTime(nanoseconds: 0)
    public var loadDuration = LabDuration.zero
    public var freshUntil = LabTime(nanoseconds: 0)
    public var staleUntil = LabTime(nanoseconds: 0)
    public var errorUntil = LabTime(nanoseconds: 0)
    public var tags: [StoredTag] = []
    /// nil: the source has nothing under this key.
    public var value: [UInt8]?

    /// A tag with the word that stood for its generation when the load began.
    public struct StoredTag: Equatable, Sendable {
        public let tag: String
        public let word: [UInt8]
        public init(tag: String, word: [UInt8]) {
            self.tag = tag
            self.word = word
        }
    }

    /// Why bytes are no entry.
    public enum Unreadable: Error, Equatable, Sendable {
        /// Not ours, cut off, or changed.
        case corrupt
        /// Another version of the format, or of what the program stores.
        case otherVersion
    }

    private static let magic: [UInt8] = [0xC5, 1]
    private static let tagLimit = 64

    public init(id: (UInt64, UInt64), isLease: Bool) {
        self.id = id
        self.isLease = isLease
    }

    public static func == (a: SharedEntry, b: SharedEntry) -> Bool {
        a.id == b.id && a.isLease == b.isLease && a.version == b.version && a.loadedAt == b.loadedAt
            && a.loadDuration == b.loadDuration && a.freshUntil == b.freshUntil && a.staleUntil == b.staleUntil
            && a.errorUntil == b.errorUntil && a.tags == b.tags && a.value == b.value
    }

    public func encoded(schema: UInt32) -> [UInt8] {
        var writer = RecordWriter()
        writer.append(byte: Self.magic[0])
        writer.append(byte: Self.magic[1])
        writer.append(byte: isLease ? 2 : 1)
        writer.append(UInt64(schema))
        writer.append(id.0)
        writer.append(id.1)
        writer.append(version)
        for time in [loadedAt, freshUntil, staleUntil, errorUntil] { writer.append(time.nanoseconds) }
        writer.append(loadDuration.nanoseconds)
        writer.append(tags.prefix(Self.tagLimit)) { writer, tag in
            writer.append(tag.tag)
            writer.append(tag.word)
        }
        writer.append(value != nil)
        writer.append(value ?? [])
        var bytes = writer.bytes
        let check = CRC32C.of(bytes)
        for shift in stride(from: UInt32(0), to: 32, by: 8) { bytes.append(UInt8(truncatingIfNeeded: check >> shift)) }
        return bytes
    }

    /// - Throws: `Unreadable`.
    public init(decoding bytes: [UInt8], schema: UInt32) throws(Unreadable) {
        guard bytes.count > 6, bytes[0] == Self.magic[0] else { throw .corrupt }
        guard bytes[1] == Self.magic[1] else { throw .otherVersion }
        var check: UInt32 = 0
        for byte in bytes.suffix(4).reversed() { check = check << 8 | UInt32(byte) }
        guard check == CRC32C.of(bytes.dropLast(4)) else { throw .corrupt }
        var reader = RecordReader(Array(bytes.dropLast(4)), from: 2)
        do throws(RecordReader.Malformed) {
            let kind = try reader.byte()
            let foundSchema = try reader.unsigned()
            self.init(id: (try reader.unsigned(), try reader.unsigned()), isLease: kind == 2)
            version = try reader.unsigned()
            loadedAt = LabTime(nanoseconds: try reader.signed())
            freshUntil = LabTime(nanoseconds: try reader.signed())
            staleUntil = LabTime(nanoseconds: try reader.signed())
            errorUntil = LabTime(nanoseconds: try reader.signed())
            loadDuration = LabDuration(nanoseconds: try reader.signed())
            tags = try reader.elements { reader throws(RecordReader.Malformed) in
                StoredTag(tag: try reader.text(), word: try reader.data())
            }
            let isPresent = try reader.flag()
            let data = try reader.data()
            try reader.expectEnd()
            value = isPresent ? data : nil
            if kind != 1 && kind != 2 { throw RecordReader.Malformed(position: 2) }
            if foundSchema != UInt64(schema) { throw RecordReader.Malformed(position: -1) }
        } catch {
            throw error.position == -1 ? .otherVersion : .corrupt
        }
    }
}
