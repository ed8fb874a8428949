import KernelStructures
import LogStoreEngine
import TimeSeriesEngine

/// The collector's half of `AgentProtocol`, for one connection: reads batches, and takes of each what it does not have.
final class AgentSession {
    private let hello: AgentProtocol.Hello
    private unowned let host: LogCollectorHost
    private var pending: [UInt8] = []
    /// The batch whose lines are being taken, and which of them is next, and where.
    private var head: AgentProtocol.BatchHead?
    private var line = 0
    private var lineOffset = 0
    /// Which of the head's times is that of the next line; -1 before the first.
    private var timeIndex = -1
    private var fileOffset = 0
    private var labels: [String: LineLabels] = [:]
    private var due: AgentProtocol.Acknowledgement?
    private var rejected = 0
    private var reason = ""
    /// Files of which a batch was put off, and none was sent again.
    private var putOff: Set<LogFileSource> = []
    private var laters: [AgentProtocol.Later] = []
    /// The store has no room now.
    private(set) var isWaiting = false
    /// What came is not what agents say.
    private(set) var isBroken = false

    private static let fileLimit = 10_000

    init(_ hello: AgentProtocol.Hello, _ host: LogCollectorHost) {
        self.hello = hello
        self.host = host
    }

    /// Whether it wants to hear why nothing is acknowledged.
    var takesDelays: Bool { hello.takesDelays }

    /// Bytes of what is not whole.
    var pendingBytes: Int { pending.count }

    func feed(_ bytes: UnsafeRawBufferPointer) {
        pending.append(contentsOf: bytes)
        isWaiting = false
        var start = 0
        while !isBroken, !isWaiting {
            if let head {
                guard pending.count - start >= head.byteCount else { break }
                takeLines(head, from: start)
                if isWaiting { break }
                start += head.byteCount
                self.head = nil
            } else {
                guard let end = pending[start...].firstIndex(of: 10) else {
                    isBroken = pending.count - start > AgentProtocol.headLimitBytes
                    break
                }
                guard let read = pending[start..<end].withUnsafeBytes({ try? AgentProtocol.BatchHead($0) }) else {
                    isBroken = true
                    break
                }
                head = read
                line = 0
                lineOffset = 0
                timeIndex = -1
                fileOffset = read.from
                start = end + 1
            }
        }
        if start > 0 { pending.removeFirst(start) }
    }

    private func takeLines(_ head: AgentProtocol.BatchHead, from start: Int) {
        guard let store = host.store else {
            isWaiting = true
            return
        }
        let source = LogFileSource(agent: hello.agent, inode: head.inode, generation: head.generation)
        if line == 0 {
            if head.isAgain { putOff.remove(source) }
            if putOff.contains(source) {
                return laters.append(.init(number: head.number, reason: "what stands before it was put off"))
            }
        }
        let known = store.offset(of: source) ?? 0
        var isPutOff = false
        if labels.count >= Self.fileLimit { labels = [:] }
        var own = labels[head.path] ?? LineLabels([("host", hello.host), ("filename", head.path)])
        while line < head.lengths.count {
            let end = fileOffset + head.spans[line]
            while timeIndex + 1 < head.times.count, head.times[timeIndex + 1].line <= line { timeIndex += 1 }
            let readTime = timeIndex < 0 ? nil : head.times[timeIndex].time(ofLine: line)
            if end <= known {
                host.counts.repeated += 1
            } else {
                let range = start + lineOffset..<start + lineOffset + head.lengths[line]
                let refusal = pending.withUnsafeBytes {
                    host.take(UnsafeRawBufferPointer(rebasing: $0[range]), &own, readAt: readTime, isHeld: true)
                }
                if let refusal {
                    if refusal.status == 429 {
                        // Later: the agent waits, and its applications do not.
                        isPutOff = hello.takesLater && refusal != .overloaded && putOff.count < Self.fileLimit
                        isWaiting = !isPutOff
                        if isPutOff { laters.append(.init(number: head.number, reason: refusal.description)) }
                        break
                    }
                    if rejected == 0 { reason = refusal.description }
                    rejected += 1
                }
            }
            lineOffset += head.lengths[line]
            fileOffset = end
            line += 1
        }
        labels[head.path] = own
        if fileOffset > known { store.note(source, offset: fileOffset, now: host.now) }
        if isPutOff {
            putOff.insert(source)
        } else if !isWaiting {
            due = AgentProtocol.Acknowledgement(
                number: head.number, rejected: (due?.rejected ?? 0) + rejected,
                reason: due?.reason.isEmpty == false ? due?.reason ?? "" : reason)
            rejected = 0
            reason = ""
        }
    }

    /// What was put off, to be said at once.
    func takeLaters() -> [AgentProtocol.Later] {
        defer { laters = [] }
        return laters
    }

    /// What is to be acknowledged once it is durable.
    func takeDue() -> AgentProtocol.Acknowledgement? {
        defer { due = nil }
        return due
    }

    func giveBack(_ acknowledgement: AgentProtocol.Acknowledgement) {
        due = AgentProtocol.Acknowledgement(
            number: max(due?.number ?? 0, acknowledgement.number),
            rejected: (due?.rejected ?? 0) + acknowledgement.rejected,
            reason: acknowledgement.reason.isEmpty ? due?.reason ?? "" : acknowledgement.reason)
    }
}
