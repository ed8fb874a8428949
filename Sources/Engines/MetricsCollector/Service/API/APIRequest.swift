import KernelHosting
import KernelStructures
import KernelWire
import MetricsCollectorEngine
import PromQLEngine
import TimeSeriesEngine

/// The parameters of one request to the API, from its query and its form.
struct APIRequest {
    private var items: [HTTPQuery.Item] = []
    let now: Int64

    init(_ exchange: HTTPExchange, now: Int64) throws(APIError) {
        self.now = now
        do {
            items = try exchange.query().items
            let type = exchange.field("Content-Type")?.lowercased() ?? ""
            if exchange.method == .post, type.hasPrefix("application/x-www-form-urlencoded") {
                items = try exchange.form().items + items
            }
        } catch {
            throw .badData("\(error)")
        }
    }

    subscript(name: String) -> String? { items.first { $0.name == name }?.value }
    func all(_ name: String) -> [String] { items.filter { $0.name == name }.map(\.value) }

    func required(_ name: String) throws(APIError) -> String {
        guard let value = self[name] else { throw .badData("invalid parameter \"\(name)\": it is missing") }
        return value
    }

    /// Seconds since 1970 with a fraction, or RFC 3339; in milliseconds.
    func moment(_ name: String) throws(APIError) -> Int64? {
        guard let text = self[name], !text.isEmpty else { return nil }
        if let seconds = Double(text), seconds.isFinite {
            return SampleTime.clamped(Int64(exactly: (seconds * 1000).rounded()) ?? (seconds < 0 ? .min : .max))
        }
        if let time = LabTime(parsing: text) { return SampleTime.clamped(time.nanoseconds / 1_000_000) }
        throw .badData("invalid parameter \"\(name)\": cannot parse \"\(text)\" to a valid timestamp")
    }

    /// Seconds, or a duration such as `1m30s`; in milliseconds.
    func duration(_ name: String) throws(APIError) -> Int64? {
        guard let text = self[name], !text.isEmpty else { return nil }
        if let seconds = Double(text), seconds.isFinite, abs(seconds) < 1e15 { return Int64(seconds * 1000) }
        if let time = SampleTime.duration(parsing: text) { return time }
        throw .badData("invalid parameter \"\(name)\": cannot parse \"\(text)\" to a valid duration")
    }

    func integer(_ name: String) throws(APIError) -> Int? {
        guard let text = self[name], !text.isEmpty else { return nil }
        guard let number = Int(text), number >= 0 else {
            throw .badData("invalid parameter \"\(name)\": '\(text)' is no number")
        }
        return number
    }

    /// `start` and `end`; all times where they are absent.
    func selection() throws(APIError) -> Selection {
        let from = try moment("start") ?? SampleTime.range.lowerBound
        let through = try moment("end") ?? SampleTime.range.upperBound
        if through < from { throw .badData("end timestamp must not be before start time") }
        return Selection(from: from, through: through)
    }

    /// The selectors of `match[]`.
    func matchers() throws(APIError) -> [[LabelMatcher]] {
        var lists: [[LabelMatcher]] = []
        for text in all("match[]") {
            do throws(PromQLError) {
                lists.append(try PromQLSelector.parse(text))
            } catch {
                throw .badData("invalid parameter \"match[]\": \(error)")
            }
        }
        for matchers in lists where matchers.allSatisfy(\.matchesEmpty) {
            throw .badData("match[] must contain at least one non-empty matcher")
        }
        return lists
    }
}

/// What went wrong, as Prometheus's API says it.
enum APIError: Error {
    case badData(String)
    case execution(String)
    case timeout(String)
    case canceled(String)
    case unavailable(String)
    case internalError(String)
    case notFound(String)

    var status: Int {
        switch self {
        case .badData: 400
        case .execution: 422
        case .timeout, .canceled, .unavailable: 503
        case .internalError: 500
        case .notFound: 404
        }
    }

    var type: String {
        switch self {
        case .badData: "bad_data"
        case .execution: "execution"
        case .timeout: "timeout"
        case .canceled: "canceled"
        case .unavailable: "unavailable"
        case .internalError: "internal"
        case .notFound: "not_found"
        }
    }

    var text: String {
        switch self {
        case .badData(let text), .execution(let text), .timeout(let text), .canceled(let text), .unavailable(let text),
            .internalError(let text), .notFound(let text):
            text
        }
    }
}
