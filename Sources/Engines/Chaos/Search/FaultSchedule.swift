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

        public let at: LabDuration
        public let fault: Fault
        /// How long it is in force; for a crash, when the node is started again.
        public let lasts: LabDuration

        public init(at: LabDuration, _ fault: Fault, lasts: LabDuration) {
            self.at = at
            self.fault = fault
            self.lasts = lasts
        }

        public var description: String {
            switch fault {
            case .inject(let words, let node): "\(words.joined(separator: " ")) on \(node) for \(lasts)"
            case .kill(let node): "kill -9 \(node), started again after \(lasts)"
            case .pause(let node): "pause \(node) for \(lasts)"
            }
        }
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

        public init(nodes: [String], faults: [String], horizon: LabDuration, most: Int) {
            self.nodes = nodes
            self.faults = faults
            self.horizon = horizon
            self.most = most
        }
    }

    /// The faults that can be drawn.
    public static let menu = [
        "latency", "loss", "partition", "blackhole", "reset", "refuse", "fail", "disk-full", "disk-slow", "fail-sync",
        "kill", "pause", "cpu",
    ]

    /// Draws a schedule: one fault to `most`, each somewhere in the first tenths of a second grid of the horizon, so
    /// that two seeds can meet at a moment.
    public static func draw(_ space: Space, _ random: inout SeededRandom) -> FaultSchedule {
        guard !space.nodes.isEmpty, !space.faults.isEmpty, space.most > 0 else { return FaultSchedule([]) }
        let step = LabDuration.milliseconds(100)
        let slots = max(1, Int(space.horizon.nanoseconds / step.nanoseconds))
        let count = 1 + random.below(space.most)
        var events: [Event] = []
        for _ in 0..<count {
            let node = space.nodes[random.below(space.nodes.count)]
            let name = space.faults[random.below(space.faults.count)]
            let at = step * random.below(slots)
            let lasts = step * (1 + random.below(slots))
            events.append(Event(at: at, fault(name, node, &random), lasts: lasts))
        }
        let order = events.indices.sorted { (events[$0].at, $0) < (events[$1].at, $1) }
        return FaultSchedule(order.map { events[$0] })
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
    public func experimentText(title: String, invariant: String) -> String {
        var lines = [
            "experiment:", "  name: \(JSONValue.string(title).text)", "  strategy: default", "  steady_state:",
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
    public var commands: [String] {
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
            if moment.at > now { lines.append("advance \(moment.at - now)") }
            now = max(now, moment.at)
            lines.append(moment.line)
        }
        return lines
    }

    /// When all of it is over.
    public var end: LabDuration { events.map { $0.at + $0.lasts }.max() ?? .zero }
}
