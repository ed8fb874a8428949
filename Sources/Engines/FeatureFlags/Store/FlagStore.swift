import KernelStructures

/// What a server of flags knows: flags in their environments, segments, schedules, and who has changed what.
///
/// A value: a copy is a sketch in which a change can be tried (`diff`, `--dry-run`). Each change is checked as a whole
/// and then made as a whole, moves the revision on, is written into the audit log, and leaves behind which documents
/// are to be stored (`takeDocuments`).
public struct FlagStore: Sendable {
    /// In the order in which they were made; the first one is meant where none is named.
    public internal(set) var environments: [String]
    public internal(set) var flags: [String: FlagRecord] = [:]
    public internal(set) var segments: [Int: FlagSegment] = [:]
    /// By `environment/flag`.
    public internal(set) var schedules: [String: RolloutSchedule] = [:]
    public internal(set) var tokens: [String: FlagToken] = [:]
    /// Counts changes that clients see.
    public internal(set) var revision = 0
    /// The newest last.
    public internal(set) var audit: [FlagAuditEntry] = []
    var nextAuditID = 1
    var nextSegmentID = 1
    var nextStrategyID = 1
    var recentChanges: [RecentChange] = []
    var dirty: [DocumentKey] = []
    var dirtySet: Set<DocumentKey> = []

    /// What has changed for clients, for those who follow.
    struct RecentChange: Sendable {
        let revision: Int
        let subject: Subject
        /// Nil for all of them.
        let environment: String?
        enum Subject: Hashable, Sendable { case flag(String), segment(Int) }
    }

    public static let flagLimit = 10_000
    public static let strategyLimit = 100
    public static let variantLimit = 100
    public static let segmentLimit = 1_000
    public static let environmentLimit = 32
    public static let scheduleLimit = 1_000
    /// Entries of the audit log that are kept at hand.
    public static let auditLimit = 10_000
    /// Changes that followers can catch up with; who is further behind gets everything.
    static let recentLimit = 1_000
    static let nameLengthLimit = 100

    /// - Parameter environments: at least one.
    public init(environments: [String] = ["production", "development"]) {
        self.environments = environments.isEmpty ? ["production"] : environments
        touch(.meta)
    }

    // MARK: Questions

    public var defaultEnvironment: String { environments[0] }

    /// In the order of their names, without those that are archived.
    public var activeFlags: [FlagRecord] {
        flags.values.filter { !$0.isArchived }.sorted { $0.name < $1.name }
    }

    /// - Throws: `FlagError.missing`.
    public func flag(_ name: String) throws(FlagError) -> FlagRecord {
        guard let flag = flags[name] else {
            let hint = didYouMean(name, among: flags.keys.sorted())
            throw FlagError(.missing, "there is no flag '\(name)'\(hint)", remedy: "flags-cli list shows them")
        }
        if flag.isArchived {
            throw FlagError(.missing, "flag '\(name)' is archived", remedy: "flags-cli revive \(name) brings it back")
        }
        return flag
    }

    /// - Throws: `FlagError.missing`.
    public func environment(_ name: String?) throws(FlagError) -> String {
        guard let name else { return defaultEnvironment }
        guard environments.contains(name) else {
            throw FlagError(
                .missing, "there is no environment '\(name)'\(didYouMean(name, among: environments))",
                remedy: "there are \(environments.joined(separator: ", "))")
        }
        return name
    }

    /// What clients in that environment decide with.
    public func definitions(in environment: String) -> FlagDefinitions {
        FlagDefinitions(
            activeFlags.map { $0.definition(in: environment) },
            segments: segments.values.sorted { $0.id < $1.id })
    }

    public func schedule(of flag: String, in environment: String) -> RolloutSchedule? {
        schedules["\(environment)/\(flag)"]
    }

    // MARK: Writing down

    mutating func note(
        _ kind: String, flag: String? = nil, environment: String? = nil, _ text: String, by who: String, _ now: LabTime
    ) {
        audit.append(
            FlagAuditEntry(
                id: nextAuditID, at: now, who: who, kind: kind, flag: flag, environment: environment, text: text))
        touch(.audit(nextAuditID))
        nextAuditID += 1
        if audit.count > Self.auditLimit + Self.auditLimit / 10 { audit.removeFirst(audit.count - Self.auditLimit) }
        touch(.meta)
    }

    mutating func publish(_ subject: RecentChange.Subject, in environment: String?) {
        revision += 1
        recentChanges.append(RecentChange(revision: revision, subject: subject, environment: environment))
        if recentChanges.count > 2 * Self.recentLimit {
            recentChanges.removeFirst(recentChanges.count - Self.recentLimit)
        }
        switch subject {
        case .flag(let name): touch(.flag(name))
        case .segment(let id): touch(.segment(id))
        }
        touch(.meta)
    }
}
