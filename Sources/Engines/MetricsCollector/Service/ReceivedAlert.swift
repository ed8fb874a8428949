import KernelHosting
import KernelJSON
import KernelStructures
import KernelWorld
import PromQLEngine
import TimeSeriesEngine

/// An alert as Alertmanager's API v2 takes and gives it (`api/v2/openapi.yaml`: postableAlert, gettableAlert).
struct ReceivedAlert {
    let labels: Labels
    private(set) var annotations: [(name: String, text: String)]
    private let startsAt: LabTime
    private(set) var endsAt: LabTime
    private var updatedAt: LabTime
    private var generatorURL: String

    /// How long an alert without an end lasts: Alertmanager's `resolve_timeout`.
    private static let patience = LabDuration.seconds(300)

    init(_ cursor: JSONCursor, now: LabTime) throws {
        func moment(_ key: String) throws -> LabTime? {
            try cursor[key].ifPresent.flatMap { LabTime(parsing: try $0.string()) }
        }
        func texts(_ key: String) throws -> [(name: String, text: String)] {
            var texts: [(name: String, text: String)] = []
            guard let present = cursor[key].ifPresent else { return [] }
            for (name, value) in try present.members() { texts.append((name, try value.string())) }
            return texts.sorted { byteOrder($0.name, $1.name) < 0 }
        }
        labels = Labels(try texts("labels").map { ($0.name, $0.text) })
        annotations = try texts("annotations")
        startsAt = try moment("startsAt") ?? now
        endsAt = try moment("endsAt") ?? now + Self.patience
        updatedAt = now
        generatorURL = try cursor["generatorURL"].ifPresent?.string() ?? ""
    }

    /// The same alert has come again. It began when it came first.
    mutating func update(with newer: ReceivedAlert) {
        annotations = newer.annotations
        endsAt = newer.endsAt
        updatedAt = newer.updatedAt
        generatorURL = newer.generatorURL
    }

    /// Of the labels: FNV-1a over names and values with a byte 255 behind each, as Prometheus has it
    /// (`model.LabelSet.Fingerprint`).
    var fingerprint: String {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        func add(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        for (name, value) in labels.pairs {
            name.utf8.forEach(add)
            add(255)
            value.utf8.forEach(add)
            add(255)
        }
        return hexadecimal(hash, 16)
    }

    /// All members that a gettableAlert must have: clients read them without looking whether they are there.
    var json: JSONValue {
        .object([
            ("annotations", .object(annotations.map { ($0.name, .string($0.text)) })),
            ("endsAt", .string(endsAt.description)), ("fingerprint", .string(fingerprint)),
            ("receivers", .array([.object([("name", .string(Self.receiver))])])),
            ("startsAt", .string(startsAt.description)),
            (
                "status",
                .object([
                    ("inhibitedBy", .array([])), ("silencedBy", .array([])), ("state", .string("active")),
                ])
            ),
            ("updatedAt", .string(updatedAt.description)), ("generatorURL", .string(generatorURL)),
            ("labels", .object(labels.pairs.map { ($0.name, .string($0.value)) })),
        ])
    }

    /// Where all alerts go.
    static let receiver = "log"
}

/// Which alerts a client wants: the parameters of `GET /api/v2/alerts`.
struct AlertSelection {
    private let matchers: [LabelMatcher]
    private let wantsActive: Bool
    private let receiver: LabelMatcher?

    private static let filterLimit = 100

    init(_ exchange: HTTPExchange) throws {
        var query = try exchange.query()
        var matchers: [LabelMatcher] = []
        for filter in query.takeAll("filter").prefix(Self.filterLimit) { matchers += try Self.parse(filter) }
        self.matchers = matchers
        wantsActive = try query.take("active").map { $0 == "true" } ?? true
        // Nothing is silenced, inhibited or unprocessed here, so whether those are wanted makes no difference.
        for name in ["silenced", "inhibited", "unprocessed"] { _ = try query.take(name) }
        do {
            receiver = try query.take("receiver").map { try LabelMatcher("receiver", .matches, $0) }
        } catch {
            throw HTTPProblem(400, "receiver: \(error)")
        }
        try query.expectNothingElse()
    }

    /// `severity="page"`, `severity=page` as amtool hands it on, or several in braces.
    private static func parse(_ filter: String) throws -> [LabelMatcher] {
        if let plain = try unquoted(filter) { return [plain] }
        let words = filter.hasPrefix("{") && filter.hasSuffix("}") ? filter.dropFirst().dropLast() : filter[...]
        // A metric's name in front makes a selector of any condition.
        do throws(PromQLError) {
            return try PromQLSelector.parse("x{\(words)}").filter { $0.name != Labels.metricNameLabel }
        } catch {
            throw HTTPProblem(400, "filter '\(filter)': \(error)", remedy: "such as severity=\"page\"")
        }
    }

    /// Nil for what is in braces or has quotes.
    private static func unquoted(_ filter: String) throws -> LabelMatcher? {
        guard !filter.contains("\""), !filter.hasPrefix("{") else { return nil }
        let name = filter.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
        let rest = filter.dropFirst(name.count)
        let kinds: [LabelMatcher.Kind] = [.matches, .doesNotMatch, .notEqual, .equal]
        guard !name.isEmpty, let kind = kinds.first(where: { rest.hasPrefix($0.rawValue) }) else { return nil }
        do {
            return try LabelMatcher(String(name), kind, String(rest.dropFirst(kind.rawValue.count)))
        } catch {
            throw HTTPProblem(400, "filter '\(filter)': \(error)")
        }
    }

    func includes(_ alert: ReceivedAlert) -> Bool {
        wantsActive && receiver?.matches(ReceivedAlert.receiver) != false
            && matchers.allSatisfy { $0.matches(alert.labels) }
    }
}
