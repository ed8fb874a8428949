import KernelStructures

/// What members send one another, each in a message of its own.
///
/// ```
///   CRC-32C of the rest (4) │ kind (1) │ content
/// ```
///
/// The checksum is there because a lab's lines flip bits: a number that changed on its way could change what is agreed
/// on.
public enum RaftFrame: Equatable, Sendable {
    /// The first one: which group, who speaks, and to whom it believes to speak; and the identities of the disks of
    /// both as the speaker knows them, 0 where it does not.
    case hello(group: String, from: Int, to: Int, fromDisk: Int = 0, toDisk: Int = 0)
    case message(RaftMessage)
    /// A message of a snapshot without its data, which follows in pieces.
    case snapshotStart(RaftMessage, totalBytes: Int)
    case snapshotPart([UInt8])

    /// Bytes of a snapshot's data in one frame.
    public static let partBytes = 64 << 10
    private static let groupLimitBytes = 255

    public var encoded: [UInt8] {
        var content = ByteWriter()
        switch self {
        case .hello(let group, let from, let to, let fromDisk, let toDisk):
            content.put(1)
            content.put(bytes: Array(group.utf8))
            for number in [from, to, fromDisk, toDisk] { content.put(number: number) }
        case .message(let message):
            content.put(2)
            content.put(raw: message.encoded)
        case .snapshotStart(let message, let totalBytes):
            content.put(3)
            content.put(number: totalBytes)
            content.put(raw: message.encoded)
        case .snapshotPart(let bytes):
            content.put(4)
            content.put(raw: bytes)
        }
        var frame = ByteWriter()
        frame.put(word: CRC32C.of(content.bytes))
        frame.put(raw: content.bytes)
        return frame.bytes
    }

    /// - Returns: nil if the bytes are none of `encoded`.
    public init?(encoded bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        guard let sum = reader.word(), CRC32C.of(reader.rest) == sum else { return nil }
        switch reader.byte() {
        case 1:
            guard let name = reader.bytes(), name.count <= Self.groupLimitBytes,
                let group = String(validating: name, as: UTF8.self), let from = reader.number(),
                let to = reader.number(), let fromDisk = reader.number(), let toDisk = reader.number(), reader.isAtEnd
            else { return nil }
            self = .hello(group: group, from: from, to: to, fromDisk: fromDisk, toDisk: toDisk)
        case 2:
            guard let message = RaftMessage(encoded: reader.rest) else { return nil }
            self = .message(message)
        case 3:
            guard let totalBytes = reader.number(), let message = RaftMessage(encoded: reader.rest),
                message.kind == .snapshot, message.snapshot?.data.isEmpty == true
            else { return nil }
            self = .snapshotStart(message, totalBytes: totalBytes)
        case 4:
            let part = reader.rest
            if part.isEmpty || part.count > Self.partBytes { return nil }
            self = .snapshotPart(part)
        default: return nil
        }
    }
}

/// Puts a snapshot together from its pieces.
public struct SnapshotAssembly: Sendable {
    private var message: RaftMessage
    private let totalBytes: Int
    private var data: [UInt8] = []

    /// - Returns: nil where there is too much to hold.
    public init?(_ start: RaftMessage, totalBytes: Int, limitBytes: Int) {
        guard totalBytes <= limitBytes, start.snapshot != nil else { return nil }
        message = start
        self.totalBytes = totalBytes
    }

    /// The message, if this is all of it.
    public var whole: RaftMessage? {
        guard data.count == totalBytes else { return nil }
        var message = message
        message.snapshot?.data = data
        return message
    }

    /// Returns false if it is more than was announced.
    public mutating func add(_ part: [UInt8]) -> Bool {
        guard part.count <= totalBytes - data.count else { return false }
        data += part
        return true
    }
}
