import KernelJSON
import KernelStructures

/// An experiment in chaos engineering: what is believed of a system, what is done to it, and how that is undone.
///
/// ## The problem
///
/// Every design has a drawing in which a part fails and the rest goes on. Whether it does is known only when the part
/// has failed; and it fails at night, by itself, with everybody's orders in it. So one lets it fail by day, on purpose,
/// for a minute, with a hand on the switch.
///
/// ## An everyday picture
///
/// A fire drill. First somebody makes sure that nothing burns already, since a drill in a burning house teaches
/// nothing. It is said beforehand what is expected ("everybody is out in three minutes"), one alarm is rung and not all
/// of them, somebody with a whistle can call it off, and at the end all are counted and the doors stand open again. A
/// drill without the counting is noise.
///
/// ## How
///
/// ```
/// steady state ──met──▶ method ──▶ rollbacks ──▶ steady state again ──▶ verdict
///      │ not met            │ guard fails, Ctrl-C, an action fails ──┘
///      └──▶ refused: nothing was touched
/// ```
///
/// The format is the Chaos Toolkit's (its journal, too), so its programs run what is written here and the other way
/// round; the documented YAML is a shorter way to write the same and is translated into it. What the lab can do to its
/// nodes is one more provider beside `http` and `process`: see `LabAction`.
///
/// ## Where it is wrong
///
/// `python` providers are read and checked and not run: there is no Python in here. And a hypothesis that held once
/// held once; `chaos search` asks the same question with a thousand schedules.
public struct ChaosExperiment: Sendable {
    public var title: String
    public var description: String
    /// The document in the Toolkit's format, secrets and variables still as references: what the journal keeps.
    public var document: JSONValue
    public var hypothesis: Hypothesis?
    public var method: [Activity]
    public var rollbacks: [Activity]
    /// Probes that end the experiment when they fail.
    public var guards: [Guard]
    /// What is looked at before, during and after: numbers for the report.
    public var measures: [Measure]
    /// What the metrics system is asked about the time before, during and after.
    public var metrics: MetricsPlan?
    public var controls: [Control]
    /// What the document says itself; the command line may say otherwise.
    public var hypothesisStrategy = HypothesisStrategy.default
    public var rollbackStrategy = RollbackStrategy.default
    /// Between two rounds of probes while the method runs.
    public var frequency = LabDuration.seconds(1)
    /// Programs of the machine that it starts.
    public var programs: [HostProgramPlan] = []
    /// How many nodes may be touched at a time; nil: any number.
    public var nodeBudget: Int?
    /// Whether it was written in the documented short form.
    public var isShortForm = false

    public struct Hypothesis: Sendable {
        public var title: String
        public var probes: [Activity]
    }

    public struct Guard: Sendable {
        public var probe: Activity
        public var every: LabDuration
    }

    /// A probe whose answer holds a number.
    public struct Measure: Sendable {
        public var probe: Activity
        /// Where in the answer; nil: the probe's latency in milliseconds.
        public var path: JSONPath?
    }

    /// Done around the experiment, or around one activity.
    public struct Control: Sendable {
        public enum Moment: String, Sendable, CaseIterable { case before, after }
        public var activity: Activity
        public var moments: [Moment]
    }

    /// When the hypothesis is looked at: the Toolkit's words.
    public enum HypothesisStrategy: String, Sendable, CaseIterable {
        case `default`
        case beforeMethodOnly = "before-method-only"
        case afterMethodOnly = "after-method-only"
        case duringMethodOnly = "during-method-only"
        case continuously
        case skip

        public var looksBefore: Bool { [.default, .beforeMethodOnly, .continuously].contains(self) }
        public var looksDuring: Bool { [.duringMethodOnly, .continuously].contains(self) }
        public var looksAfter: Bool { [.default, .afterMethodOnly, .continuously].contains(self) }
    }

    /// When rollbacks are carried out: the Toolkit's words.
    public enum RollbackStrategy: String, Sendable, CaseIterable {
        /// Whenever the method has begun, however it ended: completed, failed, called off, or interrupted.
        case `default`
        /// Also if the experiment was refused before its method.
        case always
        /// Never. The lab's faults end all the same: nobody leaves them behind.
        case never
        /// Only if the hypothesis did not hold.
        case deviated
    }
}

/// One thing that an experiment does or asks.
public struct Activity: Sendable {
    public enum Kind: String, Sendable { case probe, action }

    public var kind: Kind
    public var name: String
    public var provider: Provider
    /// What is expected of a probe; nil for one that only looks.
    public var tolerance: Tolerance?
    /// What is good enough while a fault is in force.
    public var degraded: Tolerance?
    public var pauseBefore = LabDuration.zero
    public var pauseAfter = LabDuration.zero
    /// Whether the next activity begins at once.
    public var isBackground = false
    public var controls: [ChaosExperiment.Control] = []
    /// As it stands in the document.
    public var document: JSONValue

    public init(kind: Kind, name: String, provider: Provider, document: JSONValue = .null) {
        self.kind = kind
        self.name = name
        self.provider = provider
        self.document = document
    }
}

/// What carries an activity out.
public enum Provider: Sendable {
    case http(HTTPRequestPlan)
    case process(ProcessPlan)
    case lab(LabAction)
    /// Read, and not run.
    case python(module: String, function: String)
}

/// A request as the Toolkit describes it.
public struct HTTPRequestPlan: Equatable, Sendable {
    public var url: String
    public var method = "GET"
    public var headers: [(name: String, value: String)] = []
    public var body: [UInt8]?
    public var timeout = LabDuration.seconds(30)
    public var verifiesTLS = true
    /// Each request has an `Idempotency-Key` of its own that begins with this.
    public var keyPrefix: String?

    public init(url: String) { self.url = url }

    public static func == (a: Self, b: Self) -> Bool {
        a.url == b.url && a.method == b.method && a.body == b.body && a.timeout == b.timeout
            && a.keyPrefix == b.keyPrefix
            && a.headers.map(\.name) == b.headers.map(\.name) && a.headers.map(\.value) == b.headers.map(\.value)
    }
}

/// A command with its words.
public struct ProcessPlan: Equatable, Sendable {
    public var path: String
    public var arguments: [String]
    public var timeout: LabDuration

    public init(path: String, arguments: [String] = [], timeout: LabDuration = .seconds(60)) {
        self.path = path
        self.arguments = arguments
        self.timeout = timeout
    }
}

/// What is wrong with an experiment, and where: a path such as `method[1].provider.url`, or a line of the file.
public struct ExperimentError: Error, Equatable, Sendable, CustomStringConvertible {
    public let place: String
    public let problem: String

    public init(_ place: String, _ problem: String) {
        self.place = place
        self.problem = problem
    }

    public var description: String { place.isEmpty ? problem : "\(place): \(problem)" }
}
