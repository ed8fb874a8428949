import KernelClock
import KernelStructures
import Synchronization

/// Feature flags for programs: many threads and tasks may ask at the same time, and no question leaves the process.
///
/// ```swift
/// let flags = FeatureFlagClient("api-key", .init(baseURL: "http://flags.internal", refreshInterval: .seconds(30)))
///
/// if flags.isEnabled("new-checkout-flow", user) { return newCheckout(cart) }
/// return oldCheckout(cart)
///
/// switch flags.variant("button-color", user).name {
/// case "red": return redButton()
/// case "blue": return blueButton()
/// default: return defaultButton()
/// }
/// ```
///
/// Definitions are held here and evaluated here. `run` keeps them up to date for as long as its task lives; before it
/// has ever been answered, what was on the disk holds (`backup`), or else what was built in (`bootstrap`), and with
/// neither every flag is off. While the server is away, everything goes on with the last definitions that were good.
public final class FeatureFlagClient: Sendable {
    private let state: Mutex<State>
    private let clock: @Sendable () -> LabTime
    private let backup: FlagBackup?
    private let chanceCount: Atomic<UInt64>

    private struct State {
        var snapshot: FlagSnapshot
        var poller: FlagPoller
    }

    /// - Parameters:
    ///   - apiKey: the server's for this program; empty for a server that asks for none.
    ///   - backup: where the last good definitions are kept for the next start.
    ///   - clock: what time it is; the machine's unless given.
    ///   - seed: of the chance in pauses, and for people of whom nothing is known.
    public init(
        _ apiKey: String, _ configuration: FeatureFlagConfiguration = .init(), backup: FlagBackup? = nil,
        clock: (@Sendable () -> LabTime)? = nil, seed: UInt64? = nil
    ) {
        self.backup = backup
        let clock = clock ?? { HostClock.wallTime }
        self.clock = clock
        let now = clock()
        let seed = seed ?? SeededRandom.processSeed ^ UInt64(bitPattern: now.nanoseconds)
        chanceCount = Atomic(mixed(seed))
        let kept = backup?.read().flatMap { try? FlagDefinitions(parsing: $0) }
        let snapshot = FlagSnapshot(
            FlagSet(kept ?? configuration.bootstrap ?? FlagDefinitions(), hostName: configuration.hostName), after: nil)
        state = Mutex(
            State(
                snapshot: snapshot, poller: FlagPoller(configuration, apiKey: apiKey, now: now, seed: mixed(seed ^ 1))))
    }

    // MARK: Questions

    /// Whether somebody sees a feature.
    ///
    /// - Parameter default: for a flag that nobody knows here.
    public func isEnabled(_ flag: String, _ context: FlagContext = .init(), default: Bool = false) -> Bool {
        let snapshot = state.withLock { $0.snapshot }
        guard let place = snapshot.set.place(of: flag) else { return `default` }
        let isOn = snapshot.set.isEnabled(at: place, context, now: context.currentTime ?? clock(), chance: chance)
        snapshot.tallies[place].count(isOn)
        return isOn
    }

    /// What somebody is shown; the variant called `disabled` for those who see nothing.
    public func variant(_ flag: String, _ context: FlagContext = .init()) -> FlagVariant {
        let snapshot = state.withLock { $0.snapshot }
        guard let place = snapshot.set.place(of: flag) else { return .disabled(isFeatureEnabled: false) }
        let variant = snapshot.set.variant(at: place, context, now: context.currentTime ?? clock(), chance: chance)
        snapshot.tallies[place].count(variant)
        return variant
    }

    /// Why somebody sees a feature, or does not. It is not counted.
    public func explain(_ flag: String, _ context: FlagContext = .init()) -> FlagExplanation {
        set.explain(flag, context, now: context.currentTime ?? clock(), chance: chance)
    }

    /// What decides at present.
    public var set: FlagSet { state.withLock { $0.snapshot.set } }

    /// When the definitions last were those of the server; nil before that was ever so.
    public var freshAt: LabTime? { state.withLock { $0.poller.freshAt } }

    private var chance: UInt64 { mixed(chanceCount.wrappingAdd(1, ordering: .relaxed).newValue) }

    // MARK: Staying up to date, a step at a time

    /// What is to be asked now, and when to look again. For hosts with a loop of their own; `run` does it for a task.
    public func due(now: LabTime) -> (requests: [FlagRequest], next: LabTime) {
        state.withLock { state in
            let snapshot = state.snapshot
            let configuration = state.poller.configuration
            let requests = state.poller.due(now: now) { snapshot.takeUsage(configuration) }
            return (requests, state.poller.nextDeadline)
        }
    }

    /// A report of what was counted so far; nil if nothing was.
    public func report(now: LabTime) -> FlagRequest? {
        state.withLock { state in
            let snapshot = state.snapshot
            let configuration = state.poller.configuration
            return state.poller.report(now: now) { snapshot.takeUsage(configuration) }.first
        }
    }

    /// An answer has come.
    ///
    /// - Returns: whether there is something new.
    @discardableResult
    public func answered(_ request: FlagRequest, _ response: FlagResponse, now: LabTime) -> Bool {
        let definitions = state.withLock { $0.poller.answered(request, response, now: now) }
        guard let definitions else { return false }
        install(definitions)
        backup?.write(response.body)
        return true
    }

    /// No answer came.
    public func failed(_ request: FlagRequest, now: LabTime) { state.withLock { $0.poller.failed(request, now: now) } }

    /// Looks at the server at the next opportunity: something is new there.
    public func hurry(now: LabTime) { state.withLock { $0.poller.hurry(now: now) } }

    /// Decides by other definitions from now on.
    public func install(_ definitions: FlagDefinitions) {
        let hostName = state.withLock { $0.poller.configuration.hostName }
        // Compiled outside of the lock: patterns may take a while.
        let set = FlagSet(definitions, hostName: hostName)
        state.withLock { $0.snapshot = FlagSnapshot(set, after: $0.snapshot) }
    }

    var now: LabTime { clock() }
    /// When there is something to ask again.
    public var nextDeadline: LabTime { state.withLock { $0.poller.nextDeadline } }
}

/// Definitions made ready, and how often they were asked.
final class FlagSnapshot: Sendable {
    let set: FlagSet
    /// In the order of the flags. Those of flags that stay are taken along, so nothing that was counted is lost.
    let tallies: [FlagTally]

    init(_ set: FlagSet, after old: FlagSnapshot?) {
        self.set = set
        tallies = set.names.map { name in
            old.flatMap { old in old.set.place(of: name).map { old.tallies[$0] } } ?? FlagTally()
        }
    }

    func takeUsage(_ configuration: FeatureFlagConfiguration) -> FlagUsage {
        var usage = FlagUsage(appName: configuration.appName, environment: configuration.environment)
        for (name, tally) in zip(set.names, tallies) {
            let cell = tally.take()
            if cell.total > 0 { usage.flags[name] = cell }
        }
        return usage
    }
}

/// How often one flag said yes and no.
final class FlagTally: Sendable {
    private let yes = Atomic<Int>(0)
    private let no = Atomic<Int>(0)
    private let variants = Mutex<[String: Int]>([:])

    @inline(__always)
    func count(_ isOn: Bool) {
        if isOn { yes.wrappingAdd(1, ordering: .relaxed) } else { no.wrappingAdd(1, ordering: .relaxed) }
    }

    func count(_ variant: FlagVariant) {
        count(variant.isFeatureEnabled)
        variants.withLock { $0[variant.name, default: 0] &+= 1 }
    }

    func take() -> FlagCounts.Cell {
        FlagCounts.Cell(
            yes: yes.exchange(0, ordering: .relaxed), no: no.exchange(0, ordering: .relaxed),
            variants: variants.withLock { table in
                defer { table = [:] }
                return table
            })
    }
}
