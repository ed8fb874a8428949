import FeatureFlagsEngine
import FeatureFlagsService
import KernelHosting
import KernelStructures
import KernelWorld

/// Has a service fail on purpose, because a flag says so.
///
/// A fire drill has a switch in the porter's lodge: nobody has to light anything, all see the same sign, and whoever
/// has turned it on can turn it off. The flag of `payments` is `fail-payments`, in whatever server of flags the service
/// follows; its rollout says how many requests fail. How they do is said by its variant:
///
/// | variant | what becomes of a request |
/// |---|---|
/// | none, `error` | 503 at once, and it has not been done |
/// | `slow` | it is done, so many milliseconds later as the payload says (3000) |
/// | `silent` | nothing is done, and nobody hears of that |
///
/// Probes and metrics are answered all the same: what the switch is for is what nobody's health check sees.
public final class FailureSwitch {
    public enum Failure: Hashable, Sendable {
        case error
        case slow(milliseconds: Int)
        case silent
    }

    /// `fail-payments`
    public let flag: String
    /// Called when it is turned on or off.
    public var onChange: ((_ isOn: Bool) -> Void)?
    public private(set) var failureCount = 0
    private let flags: NodeFlagClient
    private var wasOn = false
    /// Each request is somebody else: so a rollout hits its share of them, and one draw decides whether and how.
    private var requestCount = 0
    private let nodeName: String

    public static let defaultDelayMilliseconds = 3000
    static let delayRange = 0...600_000

    public init(_ node: Node, service: String, server: HostPort) {
        flag = "fail-\(service)"
        nodeName = node.name
        flags = NodeFlagClient(
            node, apiKey: "",
            FeatureFlagConfiguration(
                baseURL: "http://\(server)", appName: "shop-\(service)", instanceID: node.name), follows: true)
        flags.onChange = { [weak self] in self?.changed() }
    }

    public func start() { flags.start() }

    public func stop(_ done: @escaping () -> Void) { flags.stop(done) }

    private func changed() {
        let isOn = flags.client.set.definitions.flags.contains { one in
            one.name == flag && one.isEnabled
                && (one.strategies.isEmpty
                    || one.strategies.contains { !$0.isDisabled && $0.parameters["rollout"] != "0" })
        }
        guard isOn != wasOn else { return }
        wasOn = isOn
        onChange?(isOn)
    }

    /// What becomes of the next request; nil: it is answered as always.
    public func next() -> Failure? {
        guard wasOn else { return nil }
        requestCount = (requestCount + 1) % 1_000_000_000
        let context = FlagContext(userID: "\(nodeName)-\(requestCount)")
        guard flags.isEnabled(flag, context) else { return nil }
        failureCount += 1
        let variant = flags.variant(flag, context)
        switch variant.name {
        case "slow":
            let given = variant.payload.flatMap { Int($0.value) } ?? Self.defaultDelayMilliseconds
            return .slow(milliseconds: min(max(given, Self.delayRange.lowerBound), Self.delayRange.upperBound))
        case "silent": return .silent
        default: return .error
        }
    }
}
