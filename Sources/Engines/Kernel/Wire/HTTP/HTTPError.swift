/// What is wrong with a message, and the status that tells its sender so.
public struct HTTPError: Error, Equatable, Sendable, CustomStringConvertible {
    /// 400, 413, 414, 417, 431, 501 or 505 for a request; 502 for a response.
    public let status: Int
    /// One line, for people: what was found where.
    public let text: String

    public init(_ status: Int, _ text: String) {
        self.status = status
        self.text = text
    }

    public var description: String { "\(status) \(HTTPStatus.reason(status)): \(text)" }
}

/// How much of a message a reader accepts.
public struct HTTPLimits: Sendable {
    /// Bytes of the start line; a longer one is 414.
    public var startLineBytes = 8 * 1024
    /// Bytes of the whole head; a longer one is 431.
    public var headBytes = 32 * 1024
    /// Fields; more are 431.
    public var fieldCount = 100
    /// Bytes of a body; a longer one is 413.
    public var bodyBytes = Int.max
    /// Bytes of a chunk's size line, extensions included.
    public var chunkLineBytes = 256
    /// Whether answers are read as curl 7.88 reads them, which bears with nearly everything: of two lengths the last
    /// counts, a length is the digits that it begins with, names and values of fields may have any form, and
    /// `HTTP/2 200` is a status line. For one who only looks: a proxy that read so would pass on what it had guessed.
    public var readsAsCurl = false

    public init() {}
}

public enum HTTPStatus {
    /// The reason phrase of RFC 9110 and its companions; empty for a status without one.
    public static func reason(_ status: Int) -> String {
        switch status {
        case 100: "Continue"
        case 101: "Switching Protocols"
        case 103: "Early Hints"
        case 200: "OK"
        case 201: "Created"
        case 202: "Accepted"
        case 204: "No Content"
        case 206: "Partial Content"
        case 301: "Moved Permanently"
        case 302: "Found"
        case 303: "See Other"
        case 304: "Not Modified"
        case 307: "Temporary Redirect"
        case 308: "Permanent Redirect"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 410: "Gone"
        case 411: "Length Required"
        case 412: "Precondition Failed"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 415: "Unsupported Media Type"
        case 417: "Expectation Failed"
        case 418: "I'm a teapot"
        case 422: "Unprocessable Content"
        case 425: "Too Early"
        case 426: "Upgrade Required"
        case 428: "Precondition Required"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        case 507: "Insufficient Storage"
        default: ""
        }
    }
}
