import KernelConfiguration
import KernelStructures

/// What `chaos search` is to try: a platform, what is done to it, and what must hold afterwards.
///
/// ```yaml
/// search:
///   setup: |                      # typed into a fresh lab
///     spawn 2 backend --port 8081 --name web
///   workload: |                   # typed beside the faults; it may fail as it likes
///     curl -s http://web-1:8081/ &
///   invariant: curl -sf http://web-1:8081/      # must succeed once the faults are over
///   always: ledger check --live   # asked again and again meanwhile; status 1 says that it is broken
///   nodes: [web-*]                # whom faults may hit (all services)
///   faults: [kill, latency, partition]          # which ones (all)
///   horizon: 30s                  # within which they begin
///   settle: 10s                   # what the platform has to recover
///   most: 4                       # faults at a time
/// ```
public struct SearchPlan: Sendable {
    public var setup: String
    public var workload: String
    public var invariant: String
    /// What must hold at every moment. Only the status 1 says that it does not: whoever cannot be asked has another.
    public var always: String?
    public var nodes: [String]
    public var faults: [String]
    public var horizon: LabDuration
    public var settle: LabDuration
    public var most: Int

    /// - Throws: `ConfigurationError` with line and column.
    public init(parsing bytes: [UInt8], file: String) throws(ConfigurationError) {
        let root = try ConfigurationMapping(try YAML.parse(bytes, file: file), what: "the file", keys: ["search"])
        guard let value = root["search"] else {
            throw ConfigurationError(root.place, "the search is missing: search: with setup and invariant below it")
        }
        let search = try ConfigurationMapping(
            value, what: "a search",
            keys: ["setup", "workload", "invariant", "always", "nodes", "faults", "horizon", "settle", "most"])
        guard let invariant = try search.text("invariant") else {
            throw ConfigurationError(search.place, "a search requires an invariant: a command that must succeed")
        }
        self.invariant = invariant
        setup = try search.text("setup") ?? ""
        workload = try search.text("workload") ?? ""
        always = try search.text("always")
        nodes = []
        for node in try search["nodes"]?.list(for: "nodes") ?? [] { nodes.append(try node.text(for: "a node")) }
        faults = []
        for fault in try search["faults"]?.list(for: "faults") ?? [] {
            let name = try fault.text(for: "a fault")
            guard FaultSchedule.menu.contains(name) else {
                let hint = didYouMean(name, among: FaultSchedule.menu)
                throw ConfigurationError(
                    fault.place,
                    "'\(name)' cannot be searched with"
                        + (hint.isEmpty ? "; there are \(FaultSchedule.menu.joined(separator: ", "))" : hint))
            }
            faults.append(name)
        }
        if faults.isEmpty { faults = FaultSchedule.menu }
        horizon = try search.duration("horizon") ?? .seconds(30)
        settle = try search.duration("settle", allowsZero: true) ?? .seconds(10)
        most = try search.integer("most", in: 1...100) ?? 4
        guard horizon <= .seconds(86_400), settle <= .seconds(86_400) else {
            throw ConfigurationError(search.place, "horizon and settle are a day at most")
        }
    }
}
