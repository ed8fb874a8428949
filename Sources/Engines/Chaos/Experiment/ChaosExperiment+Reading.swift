import KernelJSON
import KernelStructures

extension ChaosExperiment {
    /// Reads a file's bytes: JSON or YAML, the Toolkit's format or the short one.
    ///
    /// - Parameters:
    ///   - variables: take the place of what `configuration` says.
    ///   - environment: what `type: env` asks; nil for a variable that is not set.
    /// - Throws: `ExperimentError`, which names the place.
    public init(
        parsing bytes: [UInt8], file: String, variables: [(name: String, value: String)] = [],
        environment: (String) -> String? = { _ in nil }
    ) throws(ExperimentError) {
        let (document, isShort) = try ExperimentDocument.read(bytes, file: file)
        do throws(ExperimentError) {
            try self.init(document, variables: variables, environment: environment)
        } catch {
            throw ExperimentError(
                error.place.isEmpty || error.place == "$" ? file : "\(file): \(error.place)", error.problem)
        }
        isShortForm = isShort
    }

    /// Reads a document in the Toolkit's format.
    public init(
        _ document: JSONValue, variables: [(name: String, value: String)] = [],
        environment: (String) -> String? = { _ in nil }
    ) throws(ExperimentError) {
        let raw = JSONCursor(document)
        guard case .object = document else { throw ExperimentError("", "an experiment is an object of JSON") }
        let substitution = try Substitution(raw, variables: variables, environment: environment)
        let cursor = JSONCursor(try substitution.applied(to: document))
        self.document = document
        title = try Self.required(cursor["title"], "an experiment requires a title")
        description = try reading { () throws(JSONTypeError) in try cursor["description"].ifPresent?.string() ?? "" }
        guard cursor["method"].value != nil else {
            throw ExperimentError(
                "", "an experiment requires a method; it may be empty, to look at the hypothesis only")
        }
        var reader = ActivityReader()
        if let steady = cursor["steady-state-hypothesis"].ifPresent {
            hypothesis = try reader.hypothesis(steady)
        } else {
            hypothesis = nil
        }
        guards = []
        measures = []
        controls = []
        method = try reader.activities(cursor["method"])
        rollbacks =
            try cursor["rollbacks"].ifPresent.map { (one) throws(ExperimentError) in
                try reader.activities(one)
            } ?? []
        controls = try reader.controls(cursor["controls"])
        try readExtensions(cursor, &reader)
        guard method.count + rollbacks.count + (hypothesis?.probes.count ?? 0) <= Self.activityLimit else {
            throw ExperimentError("", "more than \(Self.activityLimit) activities")
        }
        try checkIsNotEmpty()
    }

    static let activityLimit = 10_000

    private func checkIsNotEmpty() throws(ExperimentError) {
        if method.isEmpty, hypothesis == nil {
            throw ExperimentError("", "neither a method nor a hypothesis: there is nothing to do")
        }
    }

    /// Of a text that must be there and say something.
    private static func required(_ cursor: JSONCursor, _ complaint: String) throws(ExperimentError) -> String {
        guard cursor.ifPresent != nil else { throw ExperimentError("", complaint) }
        let text = try reading { () throws(JSONTypeError) in try cursor.string() }
        if text.isEmpty { throw ExperimentError("", complaint) }
        return text
    }

    /// What is the lab's own: strategies, guards, measures and the budget, under `lab`.
    private mutating func readExtensions(_ cursor: JSONCursor, _ reader: inout ActivityReader) throws(ExperimentError) {
        if let strategy = cursor["runtime"]["hypothesis"]["strategy"].ifPresent {
            hypothesisStrategy = try strategy.choice(HypothesisStrategy.self)
        }
        if let strategy = cursor["runtime"]["rollbacks"]["strategy"].ifPresent {
            rollbackStrategy = try strategy.choice(RollbackStrategy.self)
        }
        if let every = try reading({ () throws(JSONTypeError) in
            try cursor["runtime"]["hypothesis"]["frequency"].lasting()
        }) {
            frequency = every
        }
        guard let lab = cursor["lab"].ifPresent else { return }
        try reading { () throws(JSONTypeError) in
            try lab.expectNoMembers(besides: ["guards", "measures", "metrics", "node_budget", "programs"])
        }
        nodeBudget = try reading { () throws(JSONTypeError) in
            try lab["node_budget"].ifPresent?.integer(in: 1...100_000)
        }
        programs = try HostProgramPlan.all(lab["programs"])
        if let plan = lab["metrics"].ifPresent { metrics = try MetricsPlan(plan) }
        for entry in try lab["guards"].elements() {
            let probe = try reader.activity(entry, needsTolerance: true)
            let every = try reading { () throws(JSONTypeError) in try entry["every"].lasting() }
            guards.append(Guard(probe: probe, every: every ?? .seconds(1)))
        }
        for entry in try lab["measures"].elements() {
            let probe = try reader.activity(entry, needsTolerance: false)
            let path = try reading { () throws(JSONTypeError) in try entry["path"].ifPresent?.string() }
            measures.append(
                Measure(
                    probe: probe,
                    path: try path.map { (text) throws(ExperimentError) in
                        do throws(JSONPath.Malformed) { return try JSONPath(parsing: text) } catch {
                            throw ExperimentError(entry["path"].path, error.description)
                        }
                    }))
        }
    }
}

extension JSONCursor {
    func elements() throws(ExperimentError) -> [JSONCursor] {
        guard let present = ifPresent else { return [] }
        return try reading { () throws(JSONTypeError) in try present.array() }
    }

    func choice<T: RawRepresentable & CaseIterable>(_ kind: T.Type) throws(ExperimentError) -> T
    where T.RawValue == String {
        let text = try reading { () throws(JSONTypeError) in try string() }
        guard let value = T(rawValue: text) else {
            let names = T.allCases.map(\.rawValue)
            let hint = didYouMean(text, among: names)
            throw ExperimentError(
                path, "'\(text)' is unknown" + (hint.isEmpty ? "; it can be \(names.joined(separator: ", "))" : hint))
        }
        return value
    }
}
