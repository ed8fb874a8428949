import KernelLog
import KernelStorage
import KernelStructures

/// One file that is being followed: what was read of it, and the beginning of a line that has not ended.
///
/// It is the file, not its name: when it gets another one (rotation), it is read to its end under that, and what stands
/// under its old name then is another file.
final class TailedFile {
    /// Under which it was found.
    let path: String
    let identity: UInt64
    /// No two of an agent's files ever have the same, emptied ones included: see `LogFileSource`.
    private(set) var generation: Int
    private let file: any DiskFile

    /// Bytes that were read.
    private(set) var readOffset: Int
    /// Where the message begins that is not complete.
    private(set) var messageOffset: Int
    /// Bytes of the file from `messageOffset` on, behind `takenBytes` of messages that were taken: those go with the
    /// next reading, all at once.
    private var pending: [UInt8] = []
    private var takenBytes = 0
    /// How much of `pending` belongs to lines that are whole: the message so far.
    private var messageBytes = 0
    private var messageLines = 0
    private var scanned = 0
    private var lastGrowth: LabTime
    private var head: Fingerprint
    /// Whether something else has its name.
    var isRotated = false

    struct Line {
        /// As it is to be sent: without its end, and cut if it was too long. To be used before the next reading.
        let text: ArraySlice<UInt8>
        /// Bytes that it takes in the file.
        let span: Int
        let isCut: Bool
    }

    init(
        _ file: any DiskFile, path: String, generation: Int, offset: Int, head: Fingerprint? = nil, now: LabTime
    ) {
        self.file = file
        self.path = path
        identity = file.identity
        self.generation = generation
        readOffset = offset
        messageOffset = offset
        lastGrowth = now
        self.head = head ?? Fingerprint(file)
    }

    var hasUnread: Bool { file.size > readOffset }
    /// Bytes that are in the file and not read.
    var unreadBytes: Int { max(0, file.size - readOffset) }
    var fingerprint: Fingerprint { head }

    /// Whether it was emptied under us: it is shorter than what was read, or begins with something else.
    func wasEmptied() -> Bool {
        let size = file.size
        if size < readOffset { return true }
        if size == readOffset { return false }
        if head.count < Fingerprint.limit, readOffset >= head.count {
            let longer = Fingerprint(file)
            if !head.isBeginning(of: file) { return true }
            head = longer
            return false
        }
        return !head.isBeginning(of: file)
    }

    /// Begins anew after it was emptied.
    func restart(generation: Int, now: LabTime) {
        self.generation = generation
        readOffset = 0
        messageOffset = 0
        pending = []
        takenBytes = 0
        messageBytes = 0
        messageLines = 0
        scanned = 0
        head = Fingerprint(file)
        lastGrowth = now
    }

    /// Reads what has come, at most so much.
    ///
    /// - Returns: whether something has come.
    func read(limitBytes: Int, now: LabTime) throws(DiskError) -> Bool {
        let bytes = try file.read(at: readOffset, count: limitBytes)
        if bytes.isEmpty { return false }
        pending.removeFirst(takenBytes)
        takenBytes = 0
        pending.append(contentsOf: bytes)
        readOffset += bytes.count
        lastGrowth = now
        return true
    }

    /// The next message that is complete; nil if there is none.
    func nextMessage(_ settings: AgentSettings, now: LabTime) -> Line? {
        guard let rule = settings.multiline else {
            guard let end = endOfLine(from: 0, settings) else { return nil }
            return take(end, settings)
        }
        while let end = endOfLine(from: messageBytes, settings) {
            let begins = withPending { bytes in
                rule.begins(
                    UnsafeRawBufferPointer(rebasing: bytes[messageBytes..<Self.trimmed(bytes, messageBytes, end)]))
            }
            if messageBytes > 0, begins || messageLines >= rule.lineLimit || end > settings.lineLimitBytes {
                return take(messageBytes, settings)
            }
            messageBytes = end
            messageLines += 1
        }
        let isOver = now - lastGrowth >= settings.multilineTimeout
        return messageBytes > 0 && isOver && messageBytes == pendingCount ? take(messageBytes, settings) : nil
    }

    /// What is left when nothing more will come: a line without its end.
    func rest(_ settings: AgentSettings) -> Line? { pendingCount == 0 ? nil : take(pendingCount, settings) }

    private var pendingCount: Int { pending.count - takenBytes }

    private func withPending<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        pending.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[takenBytes...])) }
    }

    /// Whether nobody has written for so long.
    func isQuiet(for duration: LabDuration, now: LabTime) -> Bool { now - lastGrowth >= duration }

    private static func trimmed(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ end: Int) -> Int {
        var end = end
        if end > start, bytes[end - 1] == 10 { end -= 1 }
        if end > start, bytes[end - 1] == 13 { end -= 1 }
        return end
    }

    /// Where the line ends that begins at `start`, its line feed included. One that is far too long ends anywhere.
    private func endOfLine(from start: Int, _ settings: AgentSettings) -> Int? {
        var place = max(start, scanned)
        let count = pendingCount
        withPending { bytes in while place < count, bytes[place] != 10 { place += 1 } }
        scanned = place
        if place < count {
            scanned = place + 1
            return place + 1
        }
        // Not more is kept of it: the rest is a line of its own.
        return count - start >= 2 * settings.lineLimitBytes ? count : nil
    }

    private func take(_ end: Int, _ settings: AgentSettings) -> Line {
        let last = withPending { Self.trimmed($0, 0, end) }
        let isCut = last > settings.lineLimitBytes
        let text = pending[takenBytes..<takenBytes + min(last, settings.lineLimitBytes)]
        takenBytes += end
        messageOffset += end
        messageBytes = 0
        messageLines = 0
        // A line that was looked at and does not belong to it begins the next one.
        scanned = 0
        return Line(text: text, span: end, isCut: isCut)
    }

    func close() { file.close() }
}

/// How a file begins: tells one that was emptied and has grown again from one that has only grown.
struct Fingerprint: Equatable {
    let count: Int
    let sum: UInt32

    /// Bytes that are looked at.
    static let limit = 256

    init(_ file: any DiskFile, count: Int = limit) {
        let bytes = (try? file.read(at: 0, count: count)) ?? []
        self.count = bytes.count
        sum = bytes.withUnsafeBytes { LogBatch.checksum($0) }
    }

    init(count: Int, sum: UInt32) {
        self.count = count
        self.sum = sum
    }

    func isBeginning(of file: any DiskFile) -> Bool { Fingerprint(file, count: count) == self }
}
