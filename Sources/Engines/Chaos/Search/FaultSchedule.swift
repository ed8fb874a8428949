import KernelJSON
import KernelStructures

/// Faults at certain times: what a search tries.
public struct FaultSchedule: Equatable, Sendable {
    /// One of them, in the words of `inject` with its place and its duration, or a crash.
    public struct Event: Equatable, Sendable {
        public enum Fault: Equatable, Sendable {
            /// Words of `inject` up to the place, and the node.
            case inject([String], node: String)
            case kill(node: String)
            case pause(node: String)
        }

        /// When it begins. With a moment it begins at that, wherever it is, and this is when it is expected at the
        /// latest.
        public let at: LabDuration
        public let fault: Fault
        /// How long it is in force; for a crash, when the node is started again.
        public let lasts: LabDuration
        /// Between which two things that happen it begins; nil: at its time.
        public let moment: FaultMoment?

        public init(at: LabDuration, _ fault: Fault, lasts: LabDuration, moment: FaultMoment? = nil) {
            self.at = at
            self.fault = fault
            self.lasts = lasts
            self.moment = moment
        }

        public var description: String {
            let text =
                switch fault {
                case .inject(let words, let node): "\(words.joined(separator: " ")) on \(node) for \(lasts)"
                case .kill(let node): "kill -9 \(node), started again after \(lasts)"
                case .pause(let node): "pause \(node) for \(lasts)"
                }
            return text + (moment.map { "; \($0) is under way" } ?? "")
        }

        /// Of the menu: `kill`, `disk-slow`.
        public var name: String {
            switch fault {
            case .inject(let words, _): words[0]
            case .kill: "kill"
            case .pause: "pause"
            }
        }

        /// The same, made shorter.
        func lasting(_ time: LabDuration) -> Event { Event(at: at, fault, lasts: time, moment: moment) }
    }

    /// In the order of their times.
    public var events: [Event]

    public init(_ events: [Event]) { self.events = events }

    /// What schedules are drawn from.
    public struct Space: Sendable {
        public var nodes: [String]
        /// Names of `Menu`.
        public var faults: [String]
        /// Within which all faults begin.
        public var horizon: LabDuration
        public var most: Int
        /// Who sends how many messages to whom within the horizon when nothing is done to anybody. Without any there
        /// are faults at times alone.
        public var traffic: [FaultMoment.Link: Int]

        public init(
            nodes: [String], faults: [String], horizon: LabDuration, most: Int, traffic: [FaultMoment.Link: Int] = [:]
        ) {
            self.nodes = nodes
            self.faults = faults
            self.horizon = horizon
            self.most = most
            self.traffic = traffic
        }
    }

    /// The faults that can be drawn.
    public static let menu = [
        "latency", "loss", "partition", "blackhole", "reset", "refuse", "fail", "disk-full", "disk-slow", "fail-sync",
        "kill", "pause", "cpu",
    ]

    /// Draws a schedule: one fault to `most`, each somewhere in the first tenths of a second grid of the horizon, so
    /// that two seeds can meet at a moment. Of a platform that is at work most of them are not at a time but between
    /// two of its messages: see `FaultMoment`. Each link is as likely as any other, however much is said on it: what is
    /// done seldom is as likely to be done wrong.
    public static func draw(_ space: Space, _ random: inout SeededRandom) -> FaultSchedule {
        guard !space.nodes.isEmpty, !space.faults.isEmpty, space.most > 0 else { return FaultSchedule([]) }
        let step = LabDuration.milliseconds(100)
        let slots = max(1, Int(space.horizon.nanoseconds / step.nanoseconds))
        let count = 1 + random.below(space.most)
        let links = space.traffic.filter { space.nodes.contains($0.key.from) || space.nodes.contains($0.key.to) }
            .sorted { $0.key < $1.key }
        var events: [Event] = []
        for _ in 0..<count {
            if !links.isEmpty, random.chance(momentShare) {
                let (link, messages) = links[random.below(links.count)]
                events.append(draw(at: link, messages, space, step * (1 + random.below(slots)), &random))
                continue
            }
            let node = space.nodes[random.below(space.nodes.count)]
            let name = space.faults[random.below(space.faults.count)]
            let at = step * random.below(slots)
            let lasts = step * (1 + random.below(slots))
            events.append(Event(at: at, fault(name, node, &random), lasts: lasts))
        }
        let order = events.indices.sorted { (events[$0].at, $0) < (events[$1].at, $1) }
        return FaultSchedule(order.map { events[$0] })
    }

    /// Of a platform at work, the faults that begin between two messages.
    private static let momentShare = 0.8

    /// Those that decide whether a message arrives. Where they are to be had others do not begin at a moment: they
    /// would only be late.
    private static let sharpFaults: Set<String> = ["kill", "pause", "partition", "blackhole", "reset"]

    /// One of the two ends is hit while a message is between them.
    private static func draw(
        at link: FaultMoment.Link, _ messages: Int, _ space: Space, _ lasts: LabDuration, _ random: inout SeededRandom
    ) -> Event {
        let ends = [link.from, link.to].filter { space.nodes.contains($0) }
        let node = ends[random.below(ends.count)]
        let sharp = space.faults.filter { sharpFaults.contains($0) }
        let faults = sharp.isEmpty ? space.faults : sharp
        // Nothing parts two effects as a crash does.
        let isKill = faults.contains("kill") && random.chance(0.5)
        let name = isKill ? "kill" : faults[random.below(faults.count)]
        let moment = FaultMoment(link, number: 1 + random.below(max(1, messages)))
        return Event(at: space.horizon, fault(name, node, &random), lasts: lasts, moment: moment)
    }

    private static func fault(_ name: String, _ node: String, _ random: inout SeededRandom) -> Event.Fault {
        switch name {
        case "kill": .kill(node: node)
        case "pause": .pause(node: node)
        case "latency": .inject(["latency", "\([50, 200, 1000, 5000][random.below(4)])ms"], node: node)
        case "loss": .inject(["loss", "\([5, 20, 50][random.below(3)])%"], node: node)
        case "disk-slow": .inject(["disk-slow", "\([10, 100, 1000][random.below(3)])ms"], node: node)
        case "cpu": .inject(["cpu", "\([50, 90, 99][random.below(3)])%"], node: node)
        case "fail": .inject(["fail", "http", "\([500, 503][random.below(2)])"], node: node)
        default: .inject([name], node: node)
        }
    }

    // MARK: As text

    /// The short form of an experiment that does the same: the faults run beside one another, in the background.
    ///
    /// An experiment begins with a platform that stands. What makes this one, and what it is at work with, stands in
    /// front as remarks.
    ///
    /// - Parameters:
    ///   - isMeanwhile: the invariant is broken while the faults are in force, and not afterwards.
    ///   - before: what is typed before the experiment: the platform.
    ///   - beside: what is typed beside it, in another terminal.
    public func experimentText(
        title: String, invariant: String, isMeanwhile: Bool = false, before: String = "", beside: String = ""
    ) -> String {
        func remark(_ heading: String, _ text: String) -> [String] {
            let typed = text.split(separator: "\n").map { "#   \($0)" }
            return typed.isEmpty ? [] : ["# \(heading)"] + typed
        }
        var lines =
            remark("First, in a fresh lab:", before)
            + remark("Then this, in the background, and chaos-runner --config at once beside it:", beside)
        lines += [
            "experiment:", "  name: \(JSONValue.string(title).text)",
            "  strategy: \(isMeanwhile ? "continuously" : "default")", "  steady_state:",
            "    - probe: process", "      name: invariant", "      command: \(JSONValue.string(invariant).text)",
            "  method:",
        ]
        var now = LabDuration.zero
        for event in events {
            let wait = event.at - now
            now = event.at
            lines += Self.lines(event.fault)
            lines.append("      duration: \(event.lasts)")
            lines.append("      background: true")
            if wait > .zero { lines.append("      pauses: {before: \(wait)}") }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func lines(_ fault: Event.Fault) -> [String] {
        switch fault {
        case .kill(let node): return ["    - action: process-kill", "      target: \(node)"]
        case .pause(let node): return ["    - action: process-pause", "      target: \(node)"]
        case .inject(let words, let node):
            let entry = FaultAction.faults.first { Array(words.prefix($0.words.count)) == $0.words }
            var lines = ["    - action: \(entry?.name ?? words[0])", "      target: \(node)"]
            let values = words.dropFirst(entry?.words.count ?? 1)
            for (parameter, value) in zip(entry?.parameters ?? [], values) {
                lines.append("      \(parameter.hasSuffix("?") ? String(parameter.dropLast()) : parameter): \(value)")
            }
            return lines
        }
    }

    /// The commands that do it at the prompt, with the times between them.
    ///
    /// - Parameter last: no further than to this time, and up to it; nil: all of them.
    public func commands(until last: LabDuration? = nil) -> [String] {
        var moments: [(at: LabDuration, order: Int, line: String)] = []
        for (index, event) in events.enumerated() {
            switch event.fault {
            case .inject(let words, let node):
                let place = words[0] == "partition" ? node : "on \(node)"
                moments.append((event.at, index, "inject \(words.joined(separator: " ")) \(place) for \(event.lasts)"))
            case .kill(let node):
                moments.append((event.at, index, "kill -9 \(node)"))
                moments.append((event.at + event.lasts, index + events.count, "restart \(node)"))
            case .pause(let node): moments.append((event.at, index, "pause \(node) for \(event.lasts)"))
            }
        }
        var lines: [String] = []
        var now = LabDuration.zero
        for moment in moments.sorted(by: { ($0.at, $0.order) < ($1.at, $1.order) }) {
            if let last, moment.at > last { continue }
            if moment.at > now { lines.append("advance \(moment.at - now)") }
            now = max(now, moment.at)
            lines.append(moment.line)
        }
        if let last, last > now { lines.append("advance \(last - now)") }
        return lines
    }

    /// When all of it is over.
    public var end: LabDuration { events.map { $0.at + $0.lasts }.max() ?? .zero }
}
