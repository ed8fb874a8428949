import CircuitBreakerEngine
import KernelStructures

/// Why a call came to no result.
public struct CallFailure: Hashable, Sendable {
    public enum Kind: String, CaseIterable, Sendable {
        /// The circuit is open, or its trial calls are all under way.
        case notPermitted
        /// Too many calls run, and too many wait.
        case bulkheadFull
        /// It waited for a place as long as it may.
        case bulkheadTimeout
        /// The attempt took longer than it may.
        case timedOut
        /// The service failed, or could not be reached.
        case failed
    }

    public let kind: Kind
    /// For people: `connection refused`, `status 503`.
    public let text: String
    /// How long the service, or the circuit, asked to be left alone.
    public let retryAfter: LabDuration

    public init(_ kind: Kind, _ text: String = "", retryAfter: LabDuration = .zero) {
        self.kind = kind
        self.text = text.isEmpty ? kind.rawValue : text
        self.retryAfter = retryAfter
    }

    /// Whether another attempt could end differently soon, and would not make things worse. An open circuit and a full
    /// bulkhead are there to keep calls away.
    public var mayPass: Bool { kind == .timedOut || kind == .failed }
}
