import KernelStructures
import Synchronization

/// What a `CircuitBreaker` tells those who listen. resilience4j's event types, in their order.
public enum BreakerEvent: Sendable {
    case success(LabDuration)
    case failure(LabDuration, (any Error)?)
    /// The call counts as neither: cancelled, or an error that is ignored.
    case ignored(LabDuration)
    case notPermitted
    /// A call ended that an earlier state had let through: its result changed nothing.
    case late(LabDuration)
    case stateChange(Transition)
    /// METRICS_ONLY: a threshold is exceeded, and nothing happens.
    case thresholdExceeded(Reason)

    var bit: UInt8 {
        switch self {
        case .success: 1
        case .failure: 2
        case .ignored: 4
        case .notPermitted: 8
        case .late: 16
        case .stateChange: 32
        case .thresholdExceeded: 64
        }
    }
}

/// Who listens to a breaker's events. Nobody listening costs one load.
final class BreakerListeners: Sendable {
    private struct Entry: Sendable {
        let kinds: UInt8
        let action: @Sendable (BreakerEvent) -> Void
    }

    private let entries = Mutex<[Entry]>([])
    private let kinds = Atomic<UInt8>(0)

    func add(_ kinds: UInt8, _ action: @escaping @Sendable (BreakerEvent) -> Void) {
        entries.withLock { $0.append(Entry(kinds: kinds, action: action)) }
        self.kinds.bitwiseOr(kinds, ordering: .releasing)
    }

    /// Calls those who want it, on this thread and without any lock.
    @inline(__always) func tell(_ bit: UInt8, _ event: @autoclosure () -> BreakerEvent) {
        if kinds.load(ordering: .acquiring) & bit != 0 { deliver(event()) }
    }

    private func deliver(_ event: BreakerEvent) {
        for entry in entries.withLock({ $0 }) where entry.kinds & event.bit != 0 { entry.action(event) }
    }
}
