import KernelStructures
import KernelWorld

/// What is wrong with a program's network, as one line for tc(8).
///
/// All of it is one queueing discipline at its interface: netem for delay and loss (tc-netem(8)), or, where the kernel
/// has none and only the rate is limited, a token bucket (tc-tbf(8)).
struct NetworkEmulation: Equatable {
    private(set) var delay = LabDuration.zero
    private(set) var jitter = LabDuration.zero
    private(set) var loss = 0.0
    private(set) var corruption = 0.0
    private(set) var duplication = 0.0
    private(set) var reordering = 0.0
    private(set) var bytesPerSecond: Int?

    /// What several faults are together: delays add up, shares of the packets are independent, the lowest rate holds.
    init(_ kinds: [FaultKind]) {
        func either(_ a: Double, _ b: Double) -> Double { 1 - (1 - a) * (1 - b) }
        for kind in kinds {
            switch kind {
            case .latency(let time, let spread):
                delay += time
                jitter += spread
            case .loss(let share): loss = either(loss, share)
            case .corrupt(let share): corruption = either(corruption, share)
            case .duplicate(let share): duplication = either(duplication, share)
            case .reorder(let share): reordering = either(reordering, share)
            case .throttle(let rate): bytesPerSecond = min(bytesPerSecond ?? rate, rate)
            default: break
            }
        }
    }

    /// Whether tc(8) has a word for it.
    static func canExpress(_ kind: FaultKind) -> Bool {
        switch kind {
        case .latency, .loss, .corrupt, .duplicate, .reorder, .throttle: true
        default: false
        }
    }

    /// Whether a token bucket is enough.
    var isRateOnly: Bool {
        delay == .zero && loss == 0 && corruption == 0 && duplication == 0 && reordering == 0 && bytesPerSecond != nil
    }

    private var isNothing: Bool { !isRateOnly && self == NetworkEmulation([]) }

    /// `tc qdisc replace dev eth0 root netem delay 2000ms`; takes all of it away if there is nothing.
    func command(hasNetem: Bool) -> String {
        if isNothing { return Self.removal }
        let bits = bytesPerSecond.map { $0.multipliedReportingOverflow(by: 8) }.map { $1 ? Int.max : $0 }
        if isRateOnly, let bits, !hasNetem {
            // As much as comes in 10 ms may come at once, and waits for 400 ms at most.
            let burst = min(max(bits / 800, 16_384), 1 << 20)
            return "tc qdisc replace dev eth0 root tbf rate \(bits)bit burst \(burst) latency 400ms"
        }
        var words = ["tc qdisc replace dev eth0 root netem"]
        // Others are overtaken only by those that do not wait.
        let waits = reordering > 0 ? max(delay, .milliseconds(10)) : delay
        if waits > .zero { words.append("delay \(Self.text(waits))" + (jitter > .zero ? " \(Self.text(jitter))" : "")) }
        for (word, share) in [
            ("loss", loss), ("corrupt", corruption), ("duplicate", duplication), ("reorder", reordering),
        ] where share > 0 { words.append("\(word) \(trimmedDecimal(share * 100, places: 3))%") }
        if let bits { words.append("rate \(bits)bit") }
        return words.joined(separator: " ")
    }

    static let removal = "tc qdisc del dev eth0 root"

    /// Whole milliseconds where they are, as people write it: `2000ms`.
    private static func text(_ time: LabDuration) -> String {
        let microseconds = time.nanoseconds / 1000
        return microseconds % 1000 == 0 ? "\(microseconds / 1000)ms" : "\(microseconds)us"
    }
}
