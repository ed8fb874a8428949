import KernelStructures

/// One letter on its way to a server: the client's half of RFC 5321, as a value. Replies in, commands out.
public struct SMTPClientSession: Sendable {
    public enum Outcome: Equatable, Sendable {
        /// The server has it, and what it said: from here on it is the server's.
        case delivered(String)
        /// It may go better later.
        case postponed(String)
        /// It never will.
        case refused(String)
    }

    public enum Effect: Equatable, Sendable {
        case send([UInt8])
        /// Reported once; what comes behind it is a farewell.
        case done(Outcome)
        case close
    }

    private enum Step { case greeting, hello, olderHello, mail, recipient, data, text, farewell, over }

    private let name: String
    private let sender: EmailAddress
    private let recipient: EmailAddress
    private let message: [UInt8]
    private var step = Step.greeting
    private var reader = SMTPReplyReader()

    /// - Parameters:
    ///   - name: who the client is.
    ///   - message: header and text, lines ended by LF alone.
    public init(name: String, sender: EmailAddress, recipient: EmailAddress, message: [UInt8]) {
        self.name = name
        self.sender = sender
        self.recipient = recipient
        self.message = message
    }

    /// Whether it is known how it ended.
    public var isSettled: Bool { step == .farewell || step == .over }

    public mutating func receive(_ bytes: [UInt8]) -> [Effect] {
        reader.append(bytes)
        var effects: [Effect] = []
        do throws(SMTPReplyReader.Malformed) {
            while step != .over, let reply = try reader.next() { effects += take(reply) }
        } catch {
            if !isSettled { effects.append(.done(.postponed("the server does not speak SMTP"))) }
            step = .over
            effects.append(.close)
        }
        return effects
    }

    /// The connection is over. Nil if it was known before how it ended.
    public mutating func connectionEnded(_ reason: String) -> Outcome? {
        defer { step = .over }
        return isSettled ? nil : .postponed(reason)
    }

    private mutating func take(_ reply: SMTPReply) -> [Effect] {
        switch (step, reply.severity) {
        case (.greeting, 2):
            step = .hello
            return [command("EHLO \(name)")]
        // Whoever does not know EHLO is asked in the old way (section 3.2).
        case (.hello, 5):
            step = .olderHello
            return [command("HELO \(name)")]
        case (.hello, 2), (.olderHello, 2):
            step = .mail
            return [command("MAIL FROM:<\(sender)>")]
        case (.mail, 2):
            step = .recipient
            return [command("RCPT TO:<\(recipient)>")]
        case (.recipient, 2):
            step = .data
            return [command("DATA")]
        case (.data, 3):
            step = .text
            return [.send(Self.stuffed(message))]
        case (.text, 2): return ends(.delivered(reply.text))
        case (.farewell, _):
            step = .over
            return [.close]
        case (_, 5): return ends(.refused(reply.text))
        default: return ends(.postponed(reply.text))
        }
    }

    private mutating func ends(_ outcome: Outcome) -> [Effect] {
        step = .farewell
        return [.done(outcome), command("QUIT")]
    }

    private func command(_ text: String) -> Effect { .send(Array("\(text)\r\n".utf8)) }

    /// With CR LF, a second dot in front of lines that begin with one (section 4.5.2), and the dot that ends it.
    static func stuffed(_ message: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(message.count + message.count / 16 + 8)
        var isLineStart = true
        for byte in message where byte != 13 {
            if isLineStart, byte == UInt8(ascii: ".") { out.append(byte) }
            if byte == 10 { out.append(13) }
            out.append(byte)
            isLineStart = byte == 10
        }
        if !isLineStart { out += [13, 10] }
        return out + Array(".\r\n".utf8)
    }
}
