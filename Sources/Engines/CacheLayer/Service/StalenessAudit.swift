import KernelStructures
import KernelWorld

/// How old the cache's answers really are, measured and not estimated: of a share of all hits the database is asked for
/// the row that it has at that moment.
///
/// An answer is stale if the database had a newer version when the question reached it, or another value under the same
/// version: whoever changes a row by hand seldom thinks of a column that counts changes. What write-behind has not
/// brought to the database yet is newer than that, and not compared.
///
/// How stale: from the row's own date (`updated_at`) to the answer; with several versions in between, that is the least
/// it can be, and it is counted so. A date that is no later than the moment at which the answer was loaded belongs to
/// the version that was loaded: then nobody has written down when the change took place, and its age counts from when
/// the audit first saw it (`undated`). That is the least it can be as well.
public struct StalenessAudit: Sendable {
    /// What was given out.
    public struct Served: Sendable {
        let user: User
        let version: UInt64
        let loadedAt: LabTime
        let time: LabTime

        /// - Parameters:
        ///   - version: the cache's own of it, which may be newer than what the value says of itself.
        ///   - loadedAt: when its load was over, or it was written.
        ///   - time: when it was given out.
        public init(_ user: User, version: UInt64, loadedAt: LabTime, at time: LabTime) {
            self.user = user
            self.version = max(version, user.version)
            self.loadedAt = loadedAt
            self.time = time
        }
    }

    /// What the database has.
    public struct Truth: Sendable {
        public let user: User
        public let updatedAt: LabTime

        /// - Parameter updatedAt: since when, as the row itself says.
        public init(user: User, updatedAt: LabTime) {
            self.user = user
            self.updatedAt = updatedAt
        }
    }

    /// A change without a date: since when the audit knows that what was loaded at `loadedAt` is no longer true.
    private struct Sighting {
        let loadedAt: LabTime
        let since: LabTime
    }

    /// Of 100 hits, so many are checked.
    public let percent: Int
    public private(set) var checked = 0
    public private(set) var stale = 0
    /// Of the stale ones, those of which the database does not say since when.
    public private(set) var undated = 0
    public private(set) var removed = 0
    public private(set) var failed = 0
    public private(set) var oldest = LabDuration.zero
    public private(set) var total = LabDuration.zero
    public private(set) var mostVersionsBehind: UInt64 = 0
    /// Checks under way; further ones are left out.
    private var underWay = 0
    private var sightings: [Int: Sighting] = [:]

    static let limit = 1_000
    /// Users of whom it is remembered since when they are known to have changed.
    static let sightingLimit = 10_000

    public init(percent: Int) { self.percent = min(100, max(0, percent)) }

    /// Whether this hit is to be checked.
    public mutating func begins(_ random: inout SeededRandom) -> Bool {
        guard percent > 0, underWay < Self.limit, random.below(100) < percent else { return false }
        underWay += 1
        return true
    }

    /// - Parameters:
    ///   - truth: what the database had; nil where the row is gone.
    ///   - now: when that was known.
    public mutating func ended(_ served: Served, truth: Result<Truth?, LayerHost.SourceFailure>, now: LabTime) {
        underWay -= 1
        switch truth {
        case .failure: failed += 1
        case .success(nil):
            checked += 1
            removed += 1
        case .success(let truth?):
            checked += 1
            compare(served, truth, now)
        }
    }

    private mutating func compare(_ served: Served, _ truth: Truth, _ now: LabTime) {
        // Without a version (written here, and in the database since) the values say it.
        let hasVersion = served.version > 0
        let isNewer = hasVersion && truth.user.version > served.version
        let isOther = truth.user.name != served.user.name || truth.user.email != served.user.email
        let differs = isOther && (!hasVersion || truth.user.version == served.version)
        guard isNewer || differs else { return }
        let isDated = truth.updatedAt > served.loadedAt
        // A change after the answer does not make it stale.
        if isDated, truth.updatedAt > served.time { return }
        let since = isDated ? truth.updatedAt : firstSeen(served, now)
        stale += 1
        if !isDated { undated += 1 }
        let age = max(.zero, served.time - since)
        oldest = max(oldest, age)
        total = total + age
        if isNewer { mostVersionsBehind = max(mostVersionsBehind, truth.user.version - served.version) }
    }

    private mutating func firstSeen(_ served: Served, _ now: LabTime) -> LabTime {
        if let known = sightings[served.user.id], known.loadedAt == served.loadedAt { return known.since }
        if sightings.count >= Self.sightingLimit { sightings.removeAll(keepingCapacity: true) }
        sightings[served.user.id] = Sighting(loadedAt: served.loadedAt, since: now)
        return now
    }

    /// Of the stale answers.
    public var meanAge: LabDuration {
        stale == 0 ? .zero : LabDuration(nanoseconds: total.nanoseconds / Int64(stale))
    }
    public var staleShare: Double { checked == 0 ? 0 : Double(stale) / Double(checked) }
}
