/// What a server of mail answers (RFC 5321 section 4.2): three digits, and a text of one or several lines.
public struct SMTPReply: Equatable, Sendable {
    public let code: Int
    public let lines: [String]

    public init(_ code: Int, _ lines: String...) {
        self.code = code
        self.lines = lines
    }

    init(code: Int, lines: [String]) {
        self.code = code
        self.lines = lines
    }

    /// 4: it may go better later. 5: never.
    public var severity: Int { code / 100 }
    public var text: String { "\(code) \(lines.joined(separator: " "))" }

    /// `250-first`, `250 last`
    public var bytes: [UInt8] {
        lines.enumerated().flatMap { index, line in
            Array("\(code)\(index == lines.count - 1 ? " " : "-")\(line)\r\n".utf8)
        }
    }
}

/// Reads replies from bytes that come in pieces.
struct SMTPReplyReader {
    private var buffer: [UInt8] = []
    private var lines: [String] = []
    private var code: Int?

    static let lineLimitBytes = 1024
    static let lineLimit = 100

    struct Malformed: Error {}

    mutating func append(_ bytes: [UInt8]) { buffer += bytes }

    /// The next reply that is complete; nil: more is needed.
    mutating func next() throws(Malformed) -> SMTPReply? {
        while let end = buffer.firstIndex(of: 10) {
            var line = buffer[..<end]
            if line.last == 13 { line.removeLast() }
            guard line.count >= 3, line.count <= Self.lineLimitBytes, let code = Self.number(line.prefix(3)),
                self.code == nil || self.code == code, lines.count < Self.lineLimit
            else { throw Malformed() }
            let separator = line.dropFirst(3).first
            guard separator == nil || separator == UInt8(ascii: " ") || separator == UInt8(ascii: "-") else {
                throw Malformed()
            }
            lines.append(String(decoding: line.dropFirst(4), as: UTF8.self))
            buffer.removeFirst(end + 1)
            guard separator == UInt8(ascii: "-") else {
                defer {
                    lines = []
                    self.code = nil
                }
                return SMTPReply(code: code, lines: lines)
            }
            self.code = code
        }
        guard buffer.count <= Self.lineLimitBytes else { throw Malformed() }
        return nil
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> Int? {
        guard digits.allSatisfy({ (48...57).contains($0) }) else { return nil }
        let number = digits.reduce(0) { $0 * 10 + Int($1 - 48) }
        return (200...599).contains(number) ? number : nil
    }
}
