import Testing

/// Bytes that a client may send, and what the balancer is to make of them.
///
/// Behind the request in question there nearly always lies a second one, `GET /smuggled`: whoever reads the first one
/// shorter or longer than the proxy did finds it, or loses it.
struct SmugglingCase: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let bytes: [UInt8]
    /// What the client gets, one status an answer.
    let statuses: [Int]
    /// What the origin gets, in the words of `StrictRequest.summary`.
    let seen: [String]
    /// The section that says so.
    let rule: String
    /// Why it is refused although both HAProxy and nginx accept it; nil if they need not.
    var strictness: String?

    var name: String { testDescription }
    var isRefused: Bool { statuses.first != 200 }
    /// The method of the first request, for reading the answer to it.
    var method: String { String(Latin1.text(bytes).prefix { $0 != " " }) }

    private init(
        _ name: String, _ text: String, _ statuses: [Int], seen: [String], rule: String, strictness: String? = nil
    ) {
        testDescription = name
        bytes = Latin1.bytes(text)
        self.statuses = statuses
        self.seen = seen
        self.rule = rule
        self.strictness = strictness
    }

    // MARK: What is to become of it

    /// Refused, and nothing of it reaches the origin. `0` is the end of the connection without a word.
    static func refused(_ status: Int, _ rule: String, _ name: String, _ text: String, butBoth: String? = nil)
        -> SmugglingCase
    {
        SmugglingCase(name, text, status == 0 ? [] : [status], seen: [], rule: rule, strictness: butBoth)
    }

    /// Passed on, as these requests.
    static func passes(_ rule: String, _ name: String, _ text: String, as seen: String...) -> SmugglingCase {
        SmugglingCase(name, text, seen.map { _ in 200 }, seen: seen, rule: rule)
    }

    /// The first request is passed on, and what is behind it is refused.
    static func half(_ status: Int, _ rule: String, _ name: String, _ text: String, as seen: String) -> SmugglingCase {
        SmugglingCase(name, text, [200, status], seen: [seen], rule: rule)
    }

    // MARK: Why stricter than both HAProxy and nginx

    static let bareLF = """
        RFC 9112 §2.2 lets a recipient take a bare LF for the end of a line. One that does before one that does not is
        how requests are smuggled.
        """
    static let blankInSize = """
        RFC 9112 §7.1.1 has blanks before an extension borne with and never sent. Nobody who is honest needs them.
        """
    static let limit = "RFC 9112 §7.1.1 asks for a limit to extensions, §7.1 for care with sizes: 256 bytes, 16 digits."
    static let noText = "RFC 9110 §5.5: control characters are dangerous; a value with NUL, CR or LF is to be refused."
    static let folding = "RFC 9112 §5.2: a server refuses a folded line, or makes it one. Making it one changes it."
    static let trailerName =
        "RFC 9112 §7.1.2: trailers are field lines. Sometimes HAProxy has passed them on before it looks."
    static let blanks = "RFC 9112 §3 lets a recipient be lenient about blanks, and says that this may be a weakness."
    static let expectation = "RFC 9110 §10.1.1 lets a server answer an expectation that it does not know with 417."
    static let scheme = "RFC 9110 §7.4: a server refuses what it has no authority for; it speaks for http and https."
    static let host = "RFC 9112 §3.2: a server must answer a Host with an invalid value with 400."

    // MARK: Texts

    static let second = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
    /// What the origin makes of `second`, for cases where it is meant to be a request of its own.
    static let secondSeen = "GET /smuggled @h "

    /// A head and what follows it, with the second request behind. A list of lines becomes one with CRLF.
    static func request(_ line: String, _ fields: [String], _ rest: String = "") -> String {
        ([line] + fields).map { $0 + "\r\n" }.joined() + "\r\n" + rest + second
    }

    static func get(_ fields: String...) -> String { request("GET /case HTTP/1.1", ["Host: h"] + fields) }

    /// `POST` with the five bytes `hello` behind these fields.
    static func post(_ fields: String..., rest: String = "hello") -> String {
        request("POST /case HTTP/1.1", ["Host: h"] + fields, rest)
    }

    /// `POST` with chunks as they are given.
    static func chunked(_ rest: String, coding: String = "Transfer-Encoding: chunked") -> String {
        request("POST /case HTTP/1.1", ["Host: h", coding], rest)
    }

    static let hello = "5\r\nhello\r\n0\r\n\r\n"
    static let helloSeen = "POST /case @h hello"

    static let all = framing + codings + chunks + lines + fields + targets + hosts + connections
}
