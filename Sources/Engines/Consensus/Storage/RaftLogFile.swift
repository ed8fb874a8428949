import KernelStorage
import KernelStructures

/// The file of a member's log, as bytes.
///
/// ```
///   "SDLABRL1" │ batch │ batch │ …
///   batch:  magic (4) │ number (8) │ synced (8) │ length (4) │ CRC of records (4) │ CRC of the above (4) │ records
///   record: 1 base (index, term, lives) │ 2 hard state (term, vote, commit) │ 3 entry
/// ```
///
/// ## Torn, or damaged
///
/// After a crash the end of the file may be anything: it was being written, and nobody was told that it was there. Such
/// a *torn tail* is cut off. Bytes that change later, in what was promised, look the same at first sight. The
/// difference is what comes behind: each batch says how far the file was *synced* when it was written, so a batch that
/// can be read, behind one that cannot, witnesses that it was promised. Only the very last batch has no witness.
enum RaftLogFile {
    static let magic = Array("SDLABRL1".utf8)
    private static let batchMagic: UInt32 = 0x6261_7463
    static let headerBytes = 32

    struct Content: Equatable {
        var base = LogPosition.start
        var lives = 0
        var hardState = HardState()
        var entries: [RaftEntry] = []

        var lastIndex: Int { base.index + entries.count }

        /// Puts entries where they belong; what is there from the first one's place on is gone.
        ///
        /// - Returns: false if there would be a gap.
        mutating func put(_ new: [RaftEntry]) -> Bool {
            guard let first = new.first else { return true }
            guard first.index > base.index, first.index <= lastIndex + 1 else { return false }
            if first.index <= lastIndex { entries.removeLast(lastIndex - first.index + 1) }
            entries.append(contentsOf: new)
            return true
        }
    }

    // MARK: Writing

    static func batch(_ records: [UInt8], number: Int, syncedBytes: Int) -> [UInt8] {
        var writer = ByteWriter()
        writer.put(word: batchMagic)
        writer.put(number: number)
        writer.put(number: syncedBytes)
        writer.put(word: UInt32(clamping: records.count))
        writer.put(word: CRC32C.of(records))
        writer.put(word: CRC32C.of(writer.bytes))
        writer.put(raw: records)
        return writer.bytes
    }

    static func records(base content: Content) -> [UInt8] {
        var writer = ByteWriter()
        writer.put(1)
        for number in [content.base.index, content.base.term, content.lives] { writer.put(number: number) }
        writer.put(raw: records(content.hardState, content.entries))
        return writer.bytes
    }

    static func records(_ hardState: HardState?, _ entries: [RaftEntry]) -> [UInt8] {
        var writer = ByteWriter()
        for entry in entries {
            writer.put(3)
            entry.put(into: &writer)
        }
        if let hardState {
            writer.put(2)
            for number in [hardState.term, hardState.vote, hardState.commit] { writer.put(number: number) }
        }
        return writer.bytes
    }

    // MARK: Reading

    /// - Returns: what can be read, and how many bytes at the end are torn.
    /// - Throws: `RaftDiskError.damaged`.
    static func read(_ bytes: [UInt8], path: String) throws(RaftDiskError) -> (content: Content, tornBytes: Int) {
        guard bytes.starts(with: magic) else {
            throw .damaged(path: path, offsetBytes: 0, "it does not begin as a log does")
        }
        var content = Content()
        var place = magic.count
        var number = 0
        while place < bytes.count {
            guard let header = header(bytes, at: place), header.number == number, header.syncedBytes <= place,
                let records = records(bytes, at: place, header), take(records, into: &content)
            else {
                try refuseIfPromised(bytes, from: place, path)
                return (content, bytes.count - place)
            }
            place += headerBytes + records.count
            number += 1
        }
        return (content, 0)
    }

    private struct Header {
        let number: Int
        let syncedBytes: Int
        let length: Int
        let sum: UInt32
    }

    private static func header(_ bytes: [UInt8], at place: Int) -> Header? {
        guard bytes.count - place >= headerBytes else { return nil }
        var reader = ByteReader(bytes[place..<place + headerBytes])
        guard reader.word() == batchMagic, let number = reader.number(), let synced = reader.number(),
            let length = reader.word(), let sum = reader.word(), let own = reader.word(),
            own == CRC32C.of(Array(bytes[place..<place + headerBytes - 4]))
        else { return nil }
        return Header(number: number, syncedBytes: synced, length: Int(length), sum: sum)
    }

    private static func records(_ bytes: [UInt8], at place: Int, _ header: Header) -> [UInt8]? {
        let start = place + headerBytes
        guard header.length <= bytes.count - start else { return nil }
        let records = Array(bytes[start..<start + header.length])
        return CRC32C.of(records) == header.sum ? records : nil
    }

    /// Returns false, perhaps after a part of it, if they are not what this writes.
    private static func take(_ records: [UInt8], into content: inout Content) -> Bool {
        var reader = ByteReader(records)
        var new = content
        while !reader.isAtEnd {
            switch reader.byte() {
            case 1:
                guard let index = reader.number(), let term = reader.number(), let lives = reader.number() else {
                    return false
                }
                new = Content(base: .init(index: index, term: term), lives: lives)
            case 2:
                guard let term = reader.number(), let vote = reader.number(), let commit = reader.number() else {
                    return false
                }
                new.hardState = HardState(term: term, vote: vote, commit: commit)
            case 3: guard let entry = RaftEntry(&reader), new.put([entry]) else { return false }
            default: return false
            }
        }
        content = new
        return true
    }

    /// Looks for a witness behind `place` that says it was promised.
    private static func refuseIfPromised(_ bytes: [UInt8], from place: Int, _ path: String) throws(RaftDiskError) {
        let first = UInt8(truncatingIfNeeded: batchMagic)
        var at = place
        while at + headerBytes <= bytes.count {
            if bytes[at] == first, let witness = header(bytes, at: at), witness.syncedBytes > place {
                throw .damaged(path: path, offsetBytes: place, "batch \(witness.number) behind it says it was synced")
            }
            at += 1
        }
    }
}
