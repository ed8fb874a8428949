import CircuitBreakerEngine
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld

/// One breaker's side of what several share in a store: tells what it has found, looks for what others have, and asks
/// for the lease before it tries. See `SharedFinding`.
final class SharedCircuit {
    struct Settings {
        let store: HostPort
        /// How often it looks.
        var interval = LabDuration.seconds(1)
        /// How long a lease lasts at most.
        var trial = LabDuration.seconds(30)
        var answerTimeout = LabDuration.seconds(1)
    }

    private let node: Node
    private let settings: Settings
    private let key: String
    private let owner: String
    private let link: RESPStoreLink
    /// What stood in the store when it last looked, or what it wrote itself.
    private var known: String?
    private var hasLease = false
    private var asksForLease = false

    /// Others have found something out.
    var onFinding: (SharedFinding, _ remaining: LabDuration) -> Void = { _, _ in }
    /// Whether it has to wait for the lease before it tries.
    var onBar: (Bool) -> Void = { _ in }
    /// What the state of the circuit is now.
    var state: () -> (CircuitState, openUntil: LabTime) = { (.closed, .distantFuture) }

    init(node: Node, settings: Settings, name: String, owner: String) {
        self.node = node
        self.settings = settings
        key = "breaker:\(name)"
        self.owner = owner
        link = RESPStoreLink(node: node, destination: settings.store, timeout: settings.answerTimeout)
        node.whenEnded { [weak self] in self?.link.letGo() }
    }

    func start() { look() }

    private func ask(_ words: [String], then: @escaping (RESPValue?) -> Void) {
        link.ask(words.map { Array($0.utf8) }) { result in
            if case .success(let value) = result, value.errorText == nil { then(value) } else { then(nil) }
        }
    }

    // MARK: Telling

    /// The circuit changed its state.
    func changed(_ change: Transition) {
        if case .shared = change.reason {
            hasLease = false
            if change.to == .open { bar() }
            return
        }
        switch change.to {
        case .open:
            publish(isOpen: true, for: change.wait ?? .seconds(1))
            bar()
        case .closed: publish(isOpen: false, for: .seconds(3600))
        default: break
        }
    }

    private func publish(isOpen: Bool, for duration: LabDuration) {
        let finding = SharedFinding(isOpen: isOpen, owner: owner)
        known = finding.text
        ask(["SET", key, finding.text, "PX", "\(max(1, Int(duration.milliseconds)))"]) { _ in }
        if hasLease { ask(["DEL", "\(key):trial"]) { _ in } }
        hasLease = false
    }

    // MARK: Looking

    private func look() {
        ask(["GET", key]) { [self] value in
            guard let text = value?.text else {
                // Nobody says anything, or nobody can be asked.
                known = nil
                return goOn(isAlone: value == nil)
            }
            guard text != known, let finding = SharedFinding(parsing: text), finding.owner != owner else {
                return goOn(isAlone: false)
            }
            ask(["PTTL", key]) { [self] value in
                if let milliseconds = value?.integer, milliseconds > 0 {
                    known = text
                    onFinding(finding, .milliseconds(milliseconds))
                }
                goOn(isAlone: value == nil)
            }
        }
    }

    private func goOn(isAlone: Bool) {
        if isAlone { onBar(false) } else { askForLease() }
        let (state, until) = state()
        // The moment at which it may try is worth being awake for.
        let now = node.world.now
        let next = state == .open && until > now ? min(settings.interval, until - now) : settings.interval
        node.after(max(next, .milliseconds(1))) { [self] in look() }
    }

    // MARK: The lease

    private func bar() { if !hasLease { onBar(true) } }

    private func askForLease() {
        let (state, until) = state()
        guard state == .open, until <= node.world.now, !hasLease, !asksForLease else { return }
        asksForLease = true
        ask(["SET", "\(key):trial", owner, "NX", "PX", "\(max(1, Int(settings.trial.milliseconds)))"]) { [self] value in
            asksForLease = false
            // No answer at all: everybody is on his own.
            guard value == nil || value?.text == "OK" else { return }
            hasLease = value != nil
            onBar(false)
        }
    }
}
