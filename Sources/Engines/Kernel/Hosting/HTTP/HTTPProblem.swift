import KernelJSON
import KernelStructures
import KernelWire

/// What went wrong with a request, for programs and for people: problem details, RFC 9457.
///
/// ```
/// { "type": "about:blank", "title": "Bad Request", "status": 400,
///   "detail": "rf: '0' is not a whole number of 1 to 64", "remedy": "give a number of 1 to 64" }
/// ```
///
/// `remedy` is the lab's own member: what to do about it. A client in a terminal shows the same words, `detail;
/// remedy`, whether it got them as JSON or as text.
public struct HTTPProblem: Error, Equatable, Sendable, CustomStringConvertible {
    public var status: Int
    /// A URI that names the kind of problem; `about:blank` for those that the status says all about.
    public var type = "about:blank"
    public var title: String
    public var detail: String
    public var remedy: String?
    /// Further members, in order. Their names must not be those above.
    public var members: [(key: String, value: JSONValue)] = []
    /// Fields of the answer: `Allow`, `Retry-After` …
    public var fields: [(name: String, value: String)] = []

    public static let contentType = "application/problem+json"

    public init(_ status: Int, _ detail: String, remedy: String? = nil) {
        self.status = status
        self.detail = detail
        self.remedy = remedy
        title = HTTPStatus.reason(status)
    }

    /// The same with a field of the answer.
    public init(_ status: Int, _ detail: String, remedy: String? = nil, field name: String, _ value: String) {
        self.init(status, detail, remedy: remedy)
        fields = [(name, value)]
    }

    public init(_ error: HTTPError) { self.init(error.status, error.text) }

    /// One line, for a terminal.
    public var description: String { remedy.map { "\(detail); \($0)" } ?? detail }

    public var json: JSONValue {
        var members: [(key: String, value: JSONValue)] = [
            ("type", .string(type)), ("title", .string(title)), ("status", .integer(status)),
            ("detail", .string(detail)),
        ]
        if let remedy { members.append(("remedy", .string(remedy))) }
        return .object(members + self.members)
    }

    public static func == (a: HTTPProblem, b: HTTPProblem) -> Bool {
        a.json == b.json && a.fields.map(\.name) == b.fields.map(\.name)
            && a.fields.map(\.value) == b.fields.map(\.value)
    }

    // MARK: Reading

    /// Bytes of a problem that a client reads.
    public static let limitBytes = 64 * 1024

    /// What an answer with an error's status says: a problem as JSON, or the first line of a text.
    public init(status: Int, contentType: String?, body: [UInt8]) {
        let kind = (contentType ?? "").prefix { $0 != ";" }.lowercased()
        let isJSON = kind == Self.contentType || kind == "application/json"
        if isJSON, let value = try? JSONValue(parsing: body, limits: JSONLimits(bytes: Self.limitBytes)),
            let problem = HTTPProblem(value, status: status)
        {
            self = problem
            return
        }
        let line = body.prefix { $0 != 10 && $0 != 13 }.prefix(1024)
        let isText = !line.isEmpty && !isJSON && !kind.hasSuffix("html")
        self.init(
            status, isText ? String(decoding: line, as: UTF8.self) : "\(status) \(HTTPStatus.reason(status))")
    }

    private init?(_ value: JSONValue, status: Int) {
        func text(_ name: String) -> String? {
            if case .string(let text)? = value[name], !text.isEmpty { text } else { nil }
        }
        guard let detail = text("detail") ?? text("title") else { return nil }
        self.init(status, detail, remedy: text("remedy"))
        type = text("type") ?? type
        title = text("title") ?? title
        if case .object(let all) = value {
            members = all.filter { !["type", "title", "status", "detail", "remedy"].contains($0.key) }
        }
    }
}
