import KernelCryptography
import KernelStructures

/// A letter as it is written and read (RFC 5322): a header, an empty line, and a text.
public struct MailMessage: Equatable, Sendable {
    public var from: String
    public var to: String
    public var subject: String
    public var date: String
    public var messageID: String
    public var body: String

    public init(from: String, to: String, subject: String, at time: LabTime, messageID: String, body: String) {
        self.from = from
        self.to = to
        self.subject = subject
        date = time.httpDate.replacing("GMT", with: "+0000")
        self.messageID = messageID
        self.body = body
    }

    /// Lines ended by LF; none longer than 998 bytes (section 2.1.1). Nothing in a field ends its line.
    public var bytes: [UInt8] {
        let header = [
            "From: \(Self.oneLine(from))", "To: \(Self.oneLine(to))", "Subject: \(Self.encodedWords(subject))",
            "Date: \(Self.oneLine(date))", "Message-ID: \(Self.oneLine(messageID))", "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit",
        ]
        // By bytes: for Swift's characters CR LF is one, and neither of the two.
        let text = body.utf8.filter { $0 != 13 }.split(separator: 10, omittingEmptySubsequences: false)
            .flatMap { Self.pieces(String(decoding: $0, as: UTF8.self)) }.joined(separator: "\n")
        let end = text.hasSuffix("\n") ? "" : "\n"
        return Array((header.joined(separator: "\n") + "\n\n" + text + end).utf8)
    }

    private static func oneLine(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.prefix(900).map { $0.value < 32 || $0.value > 126 ? "?" : $0 }))
    }

    /// A line in pieces of at most 900 bytes, each of whole characters.
    private static func pieces(_ line: String) -> [String] {
        guard line.utf8.count > 900 else { return [line] }
        var pieces = [""]
        for scalar in line.unicodeScalars {
            if pieces[pieces.count - 1].utf8.count > 890 { pieces.append("") }
            pieces[pieces.count - 1].unicodeScalars.append(scalar)
        }
        return pieces
    }

    /// RFC 2047: what is not ASCII in base64, in words of at most 75 characters.
    static func encodedWords(_ text: String) -> String {
        let isPlain = text.utf8.allSatisfy { (32...126).contains($0) } && text.utf8.count <= 900 && !text.contains("=?")
        if isPlain { return text }
        var words: [String] = []
        var part = ""
        for scalar in text.unicodeScalars.prefix(900) {
            if part.utf8.count + 4 > 45 {
                words.append(part)
                part = ""
            }
            part.unicodeScalars.append(scalar)
        }
        return (words + [part]).map { "=?utf-8?B?\(Base64.standard.encode($0.utf8))?=" }.joined(separator: "\n ")
    }

    // MARK: Reading

    /// Reads a letter; whatever is missing is empty. Nothing that anybody sends is refused: it is shown as it is.
    public init(parsing bytes: [UInt8]) {
        let lines = bytes.split(separator: 10, omittingEmptySubsequences: false)
            .map { String(decoding: $0.last == 13 ? $0.dropLast() : $0, as: UTF8.self) }
        let end = lines.firstIndex { $0.isEmpty } ?? lines.count
        var fields: [(name: String, value: String)] = []
        for line in lines[..<end] {
            if let first = line.first, first == " " || first == "\t", !fields.isEmpty {
                fields[fields.count - 1].value += " " + line.drop { $0 == " " || $0 == "\t" }
            } else if let colon = line.firstIndex(of: ":") {
                let value = line[line.index(after: colon)...].drop { $0 == " " }
                fields.append((line[..<colon].lowercased(), String(value)))
            }
        }
        func field(_ name: String) -> String { fields.first { $0.name == name }?.value ?? "" }
        from = field("from")
        to = field("to")
        subject = Self.decodedWords(field("subject"))
        date = field("date")
        messageID = field("message-id")
        body = lines.dropFirst(end + 1).joined(separator: "\n")
    }

    /// Words of UTF-8 in base64; others stay as they are.
    private static func decodedWords(_ text: String) -> String {
        var result = ""
        var wasWord = false
        for word in text.split(separator: " ") {
            let parts = word.split(separator: "?", omittingEmptySubsequences: false)
            if parts.count == 5, parts[0] == "=", parts[4] == "=", parts[1].lowercased() == "utf-8",
                parts[2].lowercased() == "b", let bytes = Base64.standard.decode(parts[3].utf8)
            {
                if !wasWord, !result.isEmpty { result += " " }
                result += String(decoding: bytes, as: UTF8.self)
                wasWord = true
            } else {
                result += (result.isEmpty ? "" : " ") + word
                wasWord = false
            }
        }
        return result
    }
}
