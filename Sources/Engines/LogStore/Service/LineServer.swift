import KernelHosting
import KernelStructures
import KernelWorld
import LogStoreEngine

/// The port for lines: whoever comes is recognized by what he begins with.
///
/// ```
/// {"sdlab_agent":1…   an agent: batches and acknowledgements
/// <34>1 …             syslog, a line a message
/// 97 <34>1 …          syslog, with the length in front
/// anything else       lines, of JSON or not; nothing is ever answered
/// ```
final class LineServer {
    private unowned let host: LogCollectorHost
    private(set) var server: StreamServer!
    private var connections: [UInt64: LineConnection] = [:]
    private let gathered: GatheredBytes

    init(_ host: LogCollectorHost) {
        self.host = host
        gathered = GatheredBytes(limit: host.settings.gatheredLimitBytes)
        let gathered = gathered
        server = StreamServer(node: host.node) { [unowned self, unowned host] stream, _, early in
            let connection = LineConnection(stream, host, gathered, early: early) { [unowned self] in ended($0) }
            connections[stream.number] = connection
            return connection
        }
    }

    private func ended(_ stream: Stream) {
        connections[stream.number] = nil
        server.ended(stream)
    }

    private var all: [LineConnection] { connections.sorted { $0.key < $1.key }.map(\.value) }

    /// What waited for room may go on.
    func goOn() { if !host.isBusy { for connection in all where connection.isWaiting { connection.goOn() } } }

    /// The service stops: senders of lines say when they are done by hanging up, and would not.
    func closeAll() { for connection in all { connection.close() } }
}

/// One sender.
final class LineConnection: StreamHandler {
    private let stream: Stream
    private unowned let host: LogCollectorHost
    private let gathered: GatheredBytes
    /// This connection's part of it.
    private var gatheredBytes = 0
    private let onEnd: (Stream) -> Void
    private var mode: Mode?
    /// What has come before it is clear who comes.
    private var opening: [UInt8]
    private(set) var isWaiting = false
    private var isEnded = false
    private var isOver = false
    private var retryTimer: TimerID?
    /// Lines that were too long, as far as they were counted.
    private var tooLongCount = 0
    /// What is said once a connection.
    private var hasToldLimit = false
    private var hasToldRefusal = false
    /// When an agent was told last that it has to wait.
    private var lastDelay: LabTime?

    private enum Mode {
        case lines(LineFraming, LineLabels)
        case syslog(LineFraming)
        case agent(AgentSession)
    }

    init(
        _ stream: Stream, _ host: LogCollectorHost, _ gathered: GatheredBytes, early: [UInt8],
        onEnd: @escaping (Stream) -> Void
    ) {
        self.stream = stream
        self.host = host
        self.gathered = gathered
        self.onEnd = onEnd
        opening = early
    }

    private var isAgent: Bool { if case .agent? = mode { true } else { false } }
    private var senderName: String { host.senderName(stream.remote.address) }

    // MARK: StreamHandler

    func streamOpened(_ stream: Stream) { if !opening.isEmpty { begin() } }

    func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
        guard mode != nil else {
            opening.append(contentsOf: bytes)
            return begin()
        }
        feed(bytes)
    }

    /// Counts what is not whole, and hangs up where all of it together is too much.
    private func countGathered() {
        var bytes = opening.count + held.reduce(0) { $0 + $1.count }
        switch mode {
        case .lines(let framing, _), .syslog(let framing): bytes += framing.pendingBytes
        case .agent(let session): bytes += session.pendingBytes
        case nil: break
        }
        gathered.change(by: bytes - gatheredBytes)
        gatheredBytes = bytes
        guard gathered.isTooMuch, !isOver else { return }
        let limit = byteCountText(gathered.limit)
        host.runtime.log(
            "\(senderName): messages that are not whole have more than \(limit) together; its connection is closed",
            level: .warning)
        stream.close()
        over()
    }

    func streamEnded(_ stream: Stream) {
        isEnded = true
        if mode == nil { begin(isComplete: true) }
        if !isWaiting { finish() }
    }

    func stream(_ stream: Stream, closed reason: CloseReason) {
        // An agent sends again what was not acknowledged. Of others what came is taken, as soon as it can be.
        if isAgent { return over() }
        isEnded = true
        if !isWaiting { finish() }
    }

    /// The host may be gone already.
    func streamLost(_ stream: Stream) {
        isOver = true
        mode = nil
    }

    private func over() {
        guard !isOver else { return }
        isOver = true
        gathered.change(by: -gatheredBytes)
        gatheredBytes = 0
        host.node.cancel(retryTimer)
        onEnd(stream)
    }

    func close() {
        takeRest()
        stream.close()
        over()
    }

    /// All has come; the connection is over once it is taken.
    private func finish() {
        holdRest()
        guard takeHeld() else { return wait() }
        host.noteWork()
        stream.close()
        over()
    }

    // MARK: Who comes

    /// More than any of them needs to be recognized.
    private static let openingLimitBytes = 4096

    private func begin(isComplete: Bool = false) {
        guard let first = opening.first else { return }
        switch first {
        case UInt8(ascii: "<"): mode = .syslog(framing(countsOctets: true))
        case UInt8(ascii: "0")...UInt8(ascii: "9"):
            let digits = opening.prefix { $0 &- 48 < 10 }.count
            if digits + 2 > opening.count, digits < 10, !isComplete { return }
            let isCounted = digits < 10 && opening[digits...].starts(with: [0x20, UInt8(ascii: "<")])
            mode = isCounted ? .syslog(framing(countsOctets: true)) : lines
        case UInt8(ascii: "{"):
            guard let end = opening.firstIndex(of: 10) else {
                if opening.count >= Self.openingLimitBytes || isComplete { mode = lines } else { return }
                break
            }
            if let hello = opening[..<end].withUnsafeBytes({ AgentProtocol.Hello($0) }) {
                opening.removeFirst(end + 1)
                stream.write(AgentProtocol.welcome)
                mode = .agent(AgentSession(hello, host))
            } else {
                mode = lines
            }
        default: mode = lines
        }
        let bytes = opening
        opening = []
        bytes.withUnsafeBytes { feed($0) }
    }

    private var lines: Mode { .lines(framing(countsOctets: false), LineLabels([("host", senderName)])) }

    private func framing(countsOctets: Bool) -> LineFraming {
        LineFraming(limitBytes: max(1, host.settings.limits.lineBytes), countsOctets: countsOctets)
    }

    // MARK: Lines

    private func feed(_ bytes: UnsafeRawBufferPointer) {
        var isFull = false
        var isLost = false
        switch mode {
        case .lines(var framing, var labels):
            mode = nil
            isLost = framing.feed(bytes) { line in takeLine(line, &labels, &isFull) } == .lost
            note(framing)
            mode = .lines(framing, labels)
        case .syslog(var framing):
            mode = nil
            isLost = framing.feed(bytes) { line in takeSyslog(line, &isFull) } == .lost
            note(framing)
            mode = .syslog(framing)
        case .agent(let session):
            session.feed(bytes)
            answer(session)
            isFull = session.isWaiting
            isLost = session.isBroken
        case nil: return
        }
        host.noteWork()
        if isLost { return lost() }
        countGathered()
        if isOver { return }
        if isFull || host.isBusy { wait() }
    }

    /// What was too long is counted, and said once a connection: its sender will not be told.
    private func note(_ framing: LineFraming) {
        guard framing.tooLongCount > tooLongCount else { return }
        if tooLongCount == 0 {
            host.runtime.log(
                "\(senderName): a line of more than \(host.settings.limits.lineBytes) bytes is left out",
                level: .warning)
        }
        host.counts.skippedTooLong(framing.tooLongCount - tooLongCount)
        tooLongCount = framing.tooLongCount
    }

    /// Lines of somebody who cannot be told are kept back where they only have to wait, and gone where they cannot be
    /// taken; `/metrics` counts them by reason.
    private func takeLine(_ line: UnsafeRawBufferPointer, _ labels: inout LineLabels, _ isFull: inout Bool) -> Bool {
        goesOn(line, host.take(line, &labels, isTold: false, isHeld: true), &isFull)
    }

    private func takeSyslog(_ line: UnsafeRawBufferPointer, _ isFull: inout Bool) -> Bool {
        goesOn(line, host.takeSyslog(line, from: senderName, isHeld: true), &isFull)
    }

    /// - Returns: whether the next line may be taken.
    private func goesOn(_ line: UnsafeRawBufferPointer, _ refusal: LogRefusal?, _ isFull: inout Bool) -> Bool {
        switch refusal {
        case nil: return true
        case .rateLimited?, .overloaded?:
            // The line was taken off already; it is put in front again by being the first of what waits.
            held.append(Array(line))
            isFull = true
            if case .rateLimited(let stream, _, let limit)? = refusal, !hasToldLimit {
                hasToldLimit = true
                let rate = byteCountText(limit)
                host.runtime.log(
                    "\(senderName) is read more slowly: stream '\(stream)' has had all that it may (\(rate)/s)",
                    level: .warning)
            }
            return false
        case let refusal?:
            // For a stream more there may be no room for an hour: nobody waits for that. It was not counted.
            if refusal.status == 429 { host.counts.refused(refusal) }
            if !hasToldRefusal {
                hasToldRefusal = true
                host.runtime.log(
                    "\(senderName): a line is refused (log_lines_refused_total counts them): \(refusal.description)",
                    level: .warning)
            }
            return true
        }
    }

    /// The line that was cut off its stream when there was no room, and at the end what came behind it.
    private var held: [[UInt8]] = []

    /// The line that had to wait.
    ///
    /// - Returns: whether it is taken, or gone.
    private func takeHeld() -> Bool {
        let waiting = held
        held = []
        var isFull = false
        for line in waiting { line.withUnsafeBytes { takeAny($0, &isFull) } }
        return !isFull
    }

    private func takeAny(_ line: UnsafeRawBufferPointer, _ isFull: inout Bool) {
        switch mode {
        case .lines(let framing, var labels):
            _ = takeLine(line, &labels, &isFull)
            mode = .lines(framing, labels)
        default: _ = takeSyslog(line, &isFull)
        }
    }

    /// What came without an end is a line all the same.
    private func holdRest() {
        switch mode {
        case .lines(var framing, let labels):
            framing.finish { held.append(Array($0)) }
            mode = .lines(framing, labels)
        case .syslog(var framing):
            framing.finish { held.append(Array($0)) }
            mode = .syslog(framing)
        case .agent, nil: break
        }
    }

    /// Now or never.
    private func takeRest() {
        holdRest()
        if !takeHeld() {
            for _ in held { host.counts.refused(.overloaded) }
            host.runtime.log(
                "\(senderName): \(held.count) lines came too fast, and are lost now that it ends", level: .warning)
        }
        held = []
        host.noteWork()
    }

    private func lost() {
        host.runtime.log(
            "\(senderName): a length was expected in front of a message; the connection is closed", level: .warning)
        stream.close()
        over()
    }

    // MARK: Waiting

    private static let retryInterval = LabDuration.milliseconds(100)

    private func wait() {
        isWaiting = true
        tellDelay()
        stream.pauseReading()
        guard retryTimer == nil else { return }
        retryTimer = host.node.after(Self.retryInterval) { [weak self] in
            guard let self else { return }
            retryTimer = nil
            goOn()
        }
    }

    func goOn() {
        guard isWaiting, !isOver else { return }
        if host.isBusy { return wait() }
        isWaiting = false
        guard takeHeld() else { return wait() }
        feed(UnsafeRawBufferPointer(start: nil, count: 0))
        if isWaiting || isOver { return }
        stream.resumeReading()
        if isEnded { finish() }
    }

    // MARK: Agents

    private func answer(_ session: AgentSession) {
        for later in session.takeLaters() { stream.write(later.text) }
        guard let due = session.takeDue() else { return }
        host.whenDurable { [weak self] failure in
            guard let self, !isOver else { return }
            if failure != nil {
                // Not lost: it is acknowledged with what comes next, or when the disk takes writes again.
                session.giveBack(due)
                tellDelay()
                host.node.after(LabDuration.seconds(1)) { [weak self] in self?.answer(session) }
                return
            }
            lastDelay = nil
            stream.write(due.text)
        }
    }

    private static let delayInterval = LabDuration.seconds(5)

    /// An agent that waits for an acknowledgement hears every few seconds why there is none.
    private func tellDelay() {
        guard let reason = host.whyNothingIsStored, case .agent(let session)? = mode, session.takesDelays else {
            return
        }
        let now = host.node.world.now
        if let lastDelay, now - lastDelay < Self.delayInterval { return }
        lastDelay = now
        stream.write(AgentProtocol.Delay(reason: reason).text)
    }
}
