import KernelStorage

/// Reads a log, block by block, and says what it finds: records, and damage where something is that is no record.
/// What damage means is for the caller to decide.
final class LogReader {
    enum Item {
        /// Valid until the next call.
        case record(Bytes, offset: Int)
        case damage(Damage)
        case end
    }

    struct Damage: Equatable {
        let offset: Int
        let reason: String
        /// The file ends before the record does: what an append leaves that was cut short.
        let isCutShort: Bool
    }

    private let file: any DiskFile
    private let size: Int
    private let block: UnsafeMutablePointer<UInt8>
    private var blockOffset = 0
    private var blockCount = 0
    private var position = 0
    private let record = ByteBuffer(capacity: 4096)
    /// Where the record begins whose fragments are being gathered; nil between records.
    private var recordOffset: Int?

    init(file: any DiskFile) {
        self.file = file
        size = file.size
        block = .allocate(capacity: LogFormat.blockByteCount)
    }

    deinit { block.deallocate() }

    /// Where reading stands, in bytes.
    var offset: Int { blockOffset + position }
    var byteCount: Int { size }

    func next() throws(DiskError) -> Item {
        while true {
            if blockCount - position < LogFormat.headerByteCount {
                // What is too short for a header is filling, except at the very end.
                let isEnd = blockOffset + blockCount >= size
                if isEnd {
                    if let damage = damageAtEnd() { return .damage(damage) }
                    return .end
                }
                try loadBlock(at: blockOffset + blockCount)
                continue
            }
            switch fragment() {
            case .damage(let damage):
                record.count = 0
                recordOffset = nil
                return .damage(damage)
            case .data(let type, let data, let offset):
                if let item = take(type, data, offset) { return item }
            }
        }
    }

    /// After the end: half a header, or a record whose last fragments are missing.
    private func damageAtEnd() -> Damage? {
        let place = recordOffset ?? offset
        let rest = blockCount - position
        let isRecordOpen = recordOffset != nil
        position = blockCount
        recordOffset = nil
        record.count = 0
        // Fewer than seven bytes before a block's end are filling.
        let isFilling = blockOffset + blockCount == blockOffset + LogFormat.blockByteCount
        guard isRecordOpen || rest > 0 && !isFilling else { return nil }
        return Damage(offset: place, reason: "the record is not complete", isCutShort: true)
    }

    private func loadBlock(at offset: Int) throws(DiskError) {
        blockOffset = offset
        position = 0
        let wanted = min(LogFormat.blockByteCount, size - offset)
        blockCount = try file.read(at: offset, into: UnsafeMutableRawBufferPointer(start: block, count: wanted))
        if blockCount < wanted { throw .failed("log", operation: "read") }
    }

    private enum Fragment {
        case data(LogFormat.FragmentType, Bytes, offset: Int)
        case damage(Damage)
    }

    private func fragment() -> Fragment {
        let header = UnsafePointer(block + position)
        let place = offset
        let length = Int(header[4]) | Int(header[5]) << 8
        let end = position + LogFormat.headerByteCount + length
        if header[6] == 0, length == 0, header.fixed32 == 0 {
            // A file can have got its size before its bytes.
            return damage(place, "zeros where a record should be", isCutShort: true)
        }
        if end > blockCount {
            if blockOffset + blockCount >= size, blockCount < LogFormat.blockByteCount {
                return cutShort(place, header)
            }
            return damage(place, "the record's length points beyond its block")
        }
        let data = Bytes(header + LogFormat.headerByteCount, length)
        guard MaskedChecksum.of(header[6], then: data) == header.fixed32 else {
            return damage(place, "checksum mismatch")
        }
        guard let type = LogFormat.FragmentType(rawValue: header[6]) else {
            return damage(place, "a record of an unknown type")
        }
        position = end
        return .data(type, data, offset: place)
    }

    /// The file ends before the fragment does, unless it is only the length that is wrong.
    private func cutShort(_ place: Int, _ header: UnsafePointer<UInt8>) -> Fragment {
        let rest = Bytes(header + LogFormat.headerByteCount, blockCount - position - LogFormat.headerByteCount)
        if MaskedChecksum.of(header[6], then: rest) == header.fixed32 {
            return damage(place, "the record's length is wrong")
        }
        let hasMore = findFragment(from: position + 1)
        if !hasMore { position = blockCount }
        return .damage(Damage(offset: place, reason: "the record is not complete", isCutShort: !hasMore))
    }

    private func damage(_ place: Int, _ reason: String, isCutShort: Bool = false) -> Fragment {
        if !findFragment(from: position + 1) { position = blockCount }
        return .damage(Damage(offset: place, reason: reason, isCutShort: isCutShort))
    }

    /// Looks in this block for the next place where a sound fragment begins, and goes there.
    private func findFragment(from start: Int) -> Bool {
        var place = start
        while place + LogFormat.headerByteCount <= blockCount {
            let header = UnsafePointer(block + place)
            let length = Int(header[4]) | Int(header[5]) << 8
            if LogFormat.FragmentType(rawValue: header[6]) != nil,
                place + LogFormat.headerByteCount + length <= blockCount,
                MaskedChecksum.of(header[6], then: Bytes(header + LogFormat.headerByteCount, length)) == header.fixed32
            {
                position = place
                return true
            }
            place += 1
        }
        return false
    }

    /// Adds a fragment to the record; returns what is finished by it.
    private func take(_ type: LogFormat.FragmentType, _ data: Bytes, _ offset: Int) -> Item? {
        let isStart = type == .full || type == .first
        if isStart != (recordOffset == nil) {
            let place = recordOffset ?? offset
            record.count = 0
            recordOffset = nil
            if isStart {
                // The fragment is looked at again, as the beginning that it is.
                position -= LogFormat.headerByteCount + data.count
            }
            let reason = isStart ? "a record without an end" : "a record without a beginning"
            return .damage(Damage(offset: place, reason: reason, isCutShort: false))
        }
        switch type {
        case .full: return .record(data, offset: offset)
        case .first:
            recordOffset = offset
            record.append(data)
            return nil
        case .middle:
            record.append(data)
            return nil
        case .last:
            record.append(data)
            let place = recordOffset!
            recordOffset = nil
            // Emptied by the next first fragment's append, not before the caller has seen it.
            defer { record.count = 0 }
            return .record(record.bytes, offset: place)
        }
    }
}
