import KernelStructures
import KernelWorld

/// How old the cache's answers really are, measured and not estimated: of a share of all hits the database is asked for
/// the version that it has at that moment.
///
/// An answer is stale if the database had a newer version when the question reached it. How stale: from the newer
/// version's own date to the answer; with several versions in between, that is the least it can be, and it is counted
/// so.
public struct StalenessAudit: Sendable {
    /// Of 100 hits, so many are checked.
    public let percent: Int
    public private(set) var checked = 0
    public private(set) var stale = 0
    public private(set) var removed = 0
    public private(set) var failed = 0
    public private(set) var oldest = LabDuration.zero
    public private(set) var total = LabDuration.zero
    public private(set) var mostVersionsBehind: UInt64 = 0
    /// Checks under way; further ones are left out.
    private var underWay = 0

    static let limit = 1_000

    public init(percent: Int) { self.percent = min(100, max(0, percent)) }

    /// Whether this hit is to be checked.
    mutating func begins(_ random: inout SeededRandom) -> Bool {
        guard percent > 0, underWay < Self.limit, random.below(100) < percent else { return false }
        underWay += 1
        return true
    }

    /// - Parameters:
    ///   - served: the version that was given out, at `time`.
    ///   - truth: what the database had, and since when; nil where the row is gone.
    mutating func ended(served: UInt64, at time: LabTime, truth: Result<(UInt64, LabTime)?, LayerHost.SourceFailure>) {
        underWay -= 1
        switch truth {
        case .failure: failed += 1
        case .success(nil):
            checked += 1
            removed += 1
        case .success((let version, let since)?):
            checked += 1
            // A change after the answer does not make it stale.
            guard version > served, since <= time else { return }
            stale += 1
            let age = time - since
            oldest = max(oldest, age)
            total = total + age
            mostVersionsBehind = max(mostVersionsBehind, version - served)
        }
    }

    /// Of the stale answers.
    public var meanAge: LabDuration {
        stale == 0 ? .zero : LabDuration(nanoseconds: total.nanoseconds / Int64(stale))
    }
    public var staleShare: Double { checked == 0 ? 0 : Double(stale) / Double(checked) }
}
