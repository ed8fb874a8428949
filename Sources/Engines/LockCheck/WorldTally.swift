/// How often what happened in worlds: to see that something does.
public struct WorldTally: Equatable, Sendable {
    public enum Kind: Int, CaseIterable, Sendable {
        // What was done to the group.
        case crashes, powerFailures, powerFailuresInWrites, failedSyncs, slowDisks, pauses, cuts, splits, badLines
        case clockChanges, membershipChanges, transfers
        // What the group did.
        case elections, snapshotsTaken, snapshotsSent, leasesGranted, leasesEnded
        // What clients saw.
        case answers, unanswered, lockGrants, renewals, deadHolders, sleepingHolders, staleWritesRefused

        /// In a table.
        public var words: String {
            switch self {
            case .crashes: "processes killed"
            case .powerFailures: "power failures"
            case .powerFailuresInWrites: "power failures in a write"
            case .failedSyncs: "syncs that failed"
            case .slowDisks: "disks made slow"
            case .pauses: "members paused"
            case .cuts: "members cut off, in one direction or both"
            case .splits: "networks split"
            case .badLines: "lines made lossy, doubling or slow"
            case .clockChanges: "clocks made faster or slower"
            case .membershipChanges: "changes of membership"
            case .transfers: "leaders told to hand over"
            case .elections: "elections"
            case .snapshotsTaken: "snapshots made"
            case .snapshotsSent: "snapshots taken over"
            case .leasesGranted: "leases granted"
            case .leasesEnded: "leases that ran out"
            case .answers: "answers to clients"
            case .unanswered: "questions without an answer"
            case .lockGrants: "locks granted"
            case .renewals: "leases renewed"
            case .deadHolders: "holders that died"
            case .sleepingHolders: "holders that slept"
            case .staleWritesRefused: "writes refused for an old token"
            }
        }

        /// For programs.
        public var key: String {
            "\(self)".reduce(into: "") { $0 += $1.isUppercase ? "_" + $1.lowercased() : String($1) }
        }
    }

    private var counts = [Int](repeating: 0, count: Kind.allCases.count)

    public init() {}

    public subscript(kind: Kind) -> Int {
        get { counts[kind.rawValue] }
        set { counts[kind.rawValue] = newValue }
    }

    public static func += (a: inout WorldTally, b: WorldTally) {
        for place in a.counts.indices { a.counts[place] += b.counts[place] }
    }
}
