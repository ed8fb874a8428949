import KernelHosting
import KernelService
import KernelStorage
import KernelStructures
import KernelTelemetry
import KernelWorld
import LogStoreEngine

/// Runs an agent on a node: looks at its files several times a second, and keeps a connection to the collector.
public final class LogAgentHost: Service {
    public struct Settings {
        public var collector = HostPort(host: "localhost", port: 5140)
        /// Where cursors and spool are.
        public var directory = "/log-agent"
        public var agent = AgentSettings()
        /// What the lines' `host` is; the node's name if empty.
        public var hostName = ""
        public var scanInterval = LabDuration.milliseconds(250)

        public init() {}
    }

    public let runtime: ServiceRuntime
    public let settings: Settings
    /// Nil before it has started.
    public private(set) var agent: LogAgent?
    private var scanTimer: TimerID?
    /// There is room again, which a scan that has just ended did not know.
    private var scansAtOnce = false
    private var saveTimer: TimerID?
    private var retryTimer: TimerID?
    private var answerTimer: TimerID?
    private var link: AgentLink?
    private var isAccepted = false
    private var failures = 0
    private var toldProblems = 0
    private var toldFailure = ""
    /// Why the collector acknowledges nothing for now, as it says.
    private var delay = ""
    private var toldDropped = 0
    private var lastToldDropped: LabTime?
    /// When it was said last that a file has to wait.
    private var toldPutOff: [String: LabTime] = [:]
    /// Lines that were acknowledged and are not in the log yet.
    private var shippedLines = 0
    private var lastTold: LabTime?
    private var lastShipped: LabTime?
    /// Until more is said of what is shipped: doubles while lines keep coming.
    private var tellInterval = LogAgentHost.shortestTellInterval
    private var tellTimer: TimerID?

    public init(node: Node, settings: Settings, options: ServiceOptions = ServiceOptions()) {
        runtime = ServiceRuntime(node: node, tag: "AGENT", options: options)
        self.settings = settings
    }

    private var now: LabTime { node.world.now }

    // MARK: Life

    public func prepare() throws {
        let identity = node.draw { hexadecimal($0.next(), 16) }
        agent = try LogAgent(settings.agent, disk: node.disk, directory: settings.directory, identity: identity)
    }

    public func opened() {
        guard let agent else { return }
        scan(isFirst: true)
        if agent.paths.isEmpty {
            for pattern in settings.agent.patterns { runtime.log("Waiting for: \(pattern)") }
        }
        tell()
        connect()
        waitToSave()
    }

    public func stop(_ done: @escaping () -> Void) {
        for timer in [scanTimer, saveTimer, retryTimer, answerTimer, tellTimer] { node.cancel(timer) }
        link?.close()
        link = nil
        agent?.close()
        done()
    }

    // MARK: Reading

    private func scan(isFirst: Bool = false) {
        guard let agent, !runtime.isDraining else { return }
        scanTimer = nil
        let (found, hasMore) = agent.scan(now: now, clock: node.wallClock)
        for path in found { runtime.log("Tailing: \(path)") }
        tellProblems(agent)
        tellDropped(agent)
        send()
        node.afterDisk { [weak self] in
            guard let self else { return }
            let wait = hasMore || scansAtOnce ? LabDuration.zero : settings.scanInterval
            scansAtOnce = false
            scanTimer = node.after(wait) { [weak self] in self?.scan() }
        }
    }

    private func goOn() {
        guard scanTimer != nil else {
            scansAtOnce = true
            return
        }
        node.cancel(scanTimer)
        scanTimer = node.after(.zero) { [weak self] in self?.scan() }
    }

    private func tellProblems(_ agent: LogAgent) {
        for problem in agent.problems.dropFirst(min(toldProblems, agent.problems.count)) {
            runtime.log("\(problem)", level: .warning)
        }
        toldProblems = agent.problems.count
    }

    private static let saveInterval = LabDuration.seconds(1)

    private func waitToSave() {
        saveTimer = node.after(Self.saveInterval) { [unowned self] in
            agent?.save()
            node.afterDisk { [weak self] in self?.waitToSave() }
        }
    }

    // MARK: The connection

    private func connect() {
        guard link == nil, let agent else { return }
        let link = AgentLink(self)
        self.link = link
        isAccepted = false
        do throws(NetworkError) {
            try link.connect(node, to: settings.collector)
        } catch {
            return lost("\(error)")
        }
        let name = settings.hostName.isEmpty ? node.name : settings.hostName
        let hello = AgentProtocol.Hello(agent: agent.identity, host: name, takesLater: true, takesDelays: true)
        link.write(Array(hello.text.utf8))
        waitForAnswer()
    }

    /// Nothing came back for so long although something should: the connection is given up.
    private static let answerTimeout = LabDuration.seconds(30)

    private func waitForAnswer() {
        node.cancel(answerTimer)
        answerTimer = node.after(Self.answerTimeout) { [unowned self] in
            answerTimer = nil
            if !isAccepted || agent?.hasUnanswered == true { lost("no answer for \(Self.answerTimeout)") }
        }
    }

    func received(_ line: UnsafeRawBufferPointer) {
        guard let agent else { return }
        if !isAccepted {
            guard AgentProtocol.isWelcome(line) else { return lost("it is no log collector that acknowledges") }
            isAccepted = true
            failures = 0
            if !toldFailure.isEmpty { runtime.log("Connected to \("\(settings.collector)") again") }
            toldFailure = ""
            tellInterval = Self.shortestTellInterval
        } else if let acknowledgement = AgentProtocol.Acknowledgement(line) {
            shippedLines += agent.acknowledged(acknowledgement)
            if !delay.isEmpty {
                runtime.log("The collector stores lines again")
                delay = ""
                tellInterval = Self.shortestTellInterval
            }
            if agent.canGoOn { goOn() }
            if acknowledgement.rejected > 0 {
                runtime.log(
                    "The collector refused \(acknowledgement.rejected) lines: \(acknowledgement.reason)",
                    level: .warning)
            }
            tellSoon()
        } else if let later = AgentProtocol.Later(line) {
            if let path = agent.putOff(later.number) { tell(path, putOffFor: later.reason) }
        } else if let told = AgentProtocol.Delay(line) {
            if delay != told.reason {
                let reason = told.reason
                runtime.log(
                    "The collector stores nothing for now: \(reason) (backlog: \(agent.backlog))", level: .warning)
            }
            delay = told.reason
        } else {
            return lost("it said what no collector says")
        }
        waitForAnswer()
        send()
    }

    func send() {
        guard let agent, let link, isAccepted else { return }
        var hasSent = false
        while !link.isCongested, let batch = agent.nextToSend() {
            link.write(batch)
            hasSent = true
        }
        if hasSent { waitForAnswer() }
    }

    func lost(_ reason: String) {
        guard link != nil else { return }
        link?.close()
        link = nil
        isAccepted = false
        delay = ""
        node.cancel(answerTimer)
        agent?.disconnected()
        guard !runtime.isDraining else { return }
        failures += 1
        if toldFailure != reason {
            runtime.log(
                "No connection to \("\(settings.collector)"): \(reason) (backlog: \(agent?.backlog ?? 0))",
                level: .warning)
        }
        toldFailure = reason
        // Half a second, doubled up to half a minute, and nobody at the same time as all others.
        let longest = min(30_000, 500 << min(failures - 1, 6))
        let wait = node.draw { longest / 2 + $0.below(longest / 2 + 1) }
        retryTimer = node.after(.milliseconds(wait)) { [unowned self] in
            retryTimer = nil
            connect()
        }
    }

    // MARK: What it says

    private static let putOffInterval = LabDuration.seconds(60)

    /// Once a minute and file: it is tried again every few seconds.
    private func tell(_ path: String, putOffFor reason: String) {
        if let last = toldPutOff[path], now - last < Self.putOffInterval { return }
        if toldPutOff.count >= 1000 { toldPutOff = [:] }
        toldPutOff[path] = now
        runtime.log("The collector takes no more of \(path) for now: \(reason)", level: .warning)
    }

    private static let shortestTellInterval = LabDuration.seconds(1)
    private static let longestTellInterval = LabDuration.seconds(60)
    /// After that the next line is news again.
    private static let quietTime = LabDuration.seconds(10)

    /// At once; while lines keep coming after a second, two, four and so on, up to a minute.
    private func tellSoon() {
        guard shippedLines > 0 else { return }
        if let lastShipped, now - lastShipped >= Self.quietTime { tellInterval = Self.shortestTellInterval }
        lastShipped = now
        guard let lastTold, now - lastTold < tellInterval else {
            node.cancel(tellTimer)
            tellTimer = nil
            return tell()
        }
        guard tellTimer == nil else { return }
        tellTimer = node.after(tellInterval - (now - lastTold)) { [unowned self] in
            tellTimer = nil
            tellInterval = min(Self.longestTellInterval, tellInterval * 2)
            tell()
        }
    }

    private func tell() {
        runtime.log("Shipped \(counted(shippedLines, "line")) (backlog: \(agent?.backlog ?? 0))")
        shippedLines = 0
        lastTold = now
    }

    private static let droppedInterval = LabDuration.seconds(60)

    /// That lines are given up: at once, and then once a minute.
    private func tellDropped(_ agent: LogAgent) {
        let ledger = agent.ledger
        guard ledger.dropped.lines > toldDropped, lastToldDropped.map({ now - $0 >= Self.droppedInterval }) ?? true
        else { return }
        let unclear =
            ledger.unclear.lines == 0
            ? "" : "; \(ledger.unclear.lines) of them had been sent, and the collector may have them"
        runtime.log(
            "No room: \(counted(ledger.dropped.lines, "line")) given up so far\(unclear)", level: .warning)
        toldDropped = ledger.dropped.lines
        lastToldDropped = now
    }

    // MARK: Numbers

    public var complaints: [String] {
        guard isAccepted else { return ["no connection to the collector"] }
        if !delay.isEmpty { return ["the collector stores nothing for now: \(delay)"] }
        guard let held = agent?.heldPaths, let first = held.first else { return [] }
        return ["the collector takes nothing of \(first)\(held.count > 1 ? " and \(held.count - 1) more" : "") for now"]
    }

    public var statistics: [Statistic] {
        guard let agent else { return [] }
        let ledger = agent.ledger
        return [
            Statistic("read", ledger.read.lines, .counter("log_agent_lines_read_total", "Lines read from files")),
            Statistic("recovered", ledger.recovered.lines),
            Statistic(
                "stored", ledger.stored.lines,
                .counter("log_agent_lines_stored_total", "Lines that the collector has on its disk")),
            Statistic("waiting", ledger.waiting.lines, .gauge("log_agent_lines_waiting", "Lines that wait")),
            Statistic(
                "rejected", ledger.rejected.lines,
                .counter("log_agent_lines_rejected_total", "Lines that the collector will never take")),
            Statistic(
                "dropped", ledger.dropped.lines,
                .counter("log_agent_lines_dropped_total", "Lines that were given up for want of room")),
            Statistic(
                "dropped_unclear", ledger.unclear.lines,
                .counter(
                    "log_agent_lines_dropped_unclear_total",
                    "Of the dropped lines, those that had been sent: the collector may have them")),
            Statistic("balanced", ledger.isBalanced ? "yes" : "no"),
            Statistic("spooled_bytes", agent.spooledBytes),
            Statistic("files", agent.paths.count),
            Statistic("unread_bytes", agent.unreadBytes),
            Statistic("suspected_losses", ledger.suspectedLosses),
            Statistic("cut_lines", ledger.cutLines),
        ]
    }
}

/// The connection to a collector.
final class AgentLink: StreamHandler {
    private weak var host: LogAgentHost?
    private var stream: Stream?
    private var framing = LineFraming(limitBytes: 65_536, countsOctets: false)

    init(_ host: LogAgentHost) { self.host = host }

    func connect(_ node: Node, to destination: HostPort) throws(NetworkError) {
        stream = try node.connect(to: destination, handler: self)
    }

    var isCongested: Bool { stream?.isCongested ?? true }
    func write(_ bytes: [UInt8]) { stream?.write(bytes) }

    func close() {
        stream?.close()
        stream = nil
        host = nil
    }

    func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
        var framing = framing
        _ = framing.feed(bytes) { [weak self] line in
            self?.host?.received(line)
            return self?.host != nil
        }
        self.framing = framing
    }

    func streamDrained(_ stream: Stream) { host?.send() }
    func streamEnded(_ stream: Stream) { host?.lost("the collector has closed the connection") }
    func stream(_ stream: Stream, closed reason: CloseReason) { host?.lost("\(reason)") }
}
