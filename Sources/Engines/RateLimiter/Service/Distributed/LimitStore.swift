import KernelHosting
import KernelStructures
import RateLimiterEngine

/// Where counts are kept that several limiters share.
///
/// The answer comes later, and may not come: a store that cannot be asked within its time answers `failed`, once, and
/// then each rule says for itself whether that means open, closed or alone.
protocol LimitStore: AnyObject {
    /// Decides about a request under several policies, all or nothing, in one step at the store.
    ///
    /// - Parameter completion: called once, perhaps before this returns.
    func decide(
        _ charges: [RateLimiter.Charge], _ policies: [RateLimitPolicy], completion: @escaping (StoreAnswer) -> Void)
    /// What each policy would think of a request; nothing is taken or counted.
    ///
    /// - Parameter completion: called once, perhaps before this returns.
    func look(
        _ charges: [RateLimiter.Charge], _ policies: [RateLimitPolicy], completion: @escaping (StoreAnswer) -> Void)
    /// The way to it.
    var link: RESPStoreLink { get }
    /// What only a store that can count answers without an error.
    static var checkQuestion: [String] { get }
    /// What it did so far.
    var counters: StoreCounters { get }
    func close()
}

extension LimitStore {
    /// Called when it answers again after it could not be asked.
    var onReturn: (() -> Void)? {
        get { link.onReturn }
        set { link.onReturn = newValue }
    }

    /// Asks whether it is one that can count.
    ///
    /// - Parameter completion: called once, perhaps before this returns, with what is wrong.
    func check(completion: @escaping (StoreProblem?) -> Void) {
        link.ask(Self.checkQuestion.map { Array($0.utf8) }) { result in
            switch result {
            case .failure(let failure): completion(.unreachable(failure.text))
            case .success(let value): completion(value.errorText.map { .unsuitable($0) })
            }
        }
    }
}

enum StoreProblem {
    /// It may be back in a moment.
    case unreachable(String)
    /// It answers, and is none: what it says.
    case unsuitable(String)
}

enum StoreAnswer {
    /// What each policy thought, in the order of the charges, and whether the request was admitted and charged.
    case decided([Assessment])
    /// The reason, for people.
    case failed(String)
}

public struct StoreCounters: Equatable, Sendable {
    /// Round trips to the store.
    public var asked = 0
    /// Decided from a lease, without a round trip.
    public var fromLease = 0
    public var failed = 0
    /// Tokens of leases that were never used and went back to nobody.
    public var leaseLost = 0
}
