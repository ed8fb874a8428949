import KernelStructures

/// One conversation with a client of mail: the server's half of RFC 5321, as a value. Bytes in, replies and letters
/// out.
///
/// The end of a letter is a dot alone between two ends of lines, and an end of a line is CR LF and nothing else:
/// servers that took a bare LF for one let a stranger hide a second letter in the first (SMTP smuggling, 2023). Here a
/// letter with a bare CR or LF is refused.
public struct SMTPServerSession: Sendable {
    public struct Envelope: Equatable, Sendable {
        /// Nil: `<>`, a report of a failure, to which nobody answers.
        public var sender: EmailAddress?
        public var recipients: [EmailAddress] = []
    }

    public enum Effect: Equatable, Sendable {
        case reply(SMTPReply)
        /// Keep it, and say so by `settle`; until then nothing else is read.
        case deliver(Envelope, [UInt8])
        /// The connection goes behind TLS now; `secured` once it is (RFC 3207).
        case startTLS
        case close
    }

    public struct Limits: Sendable {
        public var messageBytes = 1 << 20
        public var recipients = 100
        /// Of a command (512 in RFC 5321, section 4.5.3.1.4, without extensions).
        public var commandBytes = 1024
        /// Commands that make no sense, in one conversation.
        public var mistakes = 20
        public init() {}
    }

    private enum Phase { case commands, data, delivering, securing, over }

    private let name: String
    private let limits: Limits
    private var phase = Phase.commands
    private var hasGreeted = false
    private var envelope: Envelope?
    private var input: [UInt8] = []
    private var message: [UInt8] = []
    private var isTooLong = false
    private var hasBareEnd = false
    private var followsBareEnd = false
    private var mistakes = 0
    private var offersTLS: Bool

    /// - Parameter offersTLS: whether the connection can be put behind TLS.
    public init(name: String, limits: Limits = Limits(), offersTLS: Bool = false) {
        self.name = name
        self.limits = limits
        self.offersTLS = offersTLS
    }

    public var greeting: SMTPReply { SMTPReply(220, "\(name) ESMTP sdlab") }
    /// Nothing is under way: the connection may be closed without harm.
    public var isIdle: Bool { phase == .commands && envelope == nil && input.isEmpty }

    public mutating func receive(_ bytes: [UInt8]) -> [Effect] {
        guard phase != .over, phase != .securing else { return [] }
        input += bytes
        return proceed()
    }

    /// The connection is behind TLS: everything begins anew, and what was said in clear counts for nothing (RFC 3207
    /// section 4.2).
    public mutating func secured() {
        guard phase == .securing else { return }
        phase = .commands
        offersTLS = false
        hasGreeted = false
        envelope = nil
        input = []
    }

    /// The letter was kept, under that name; nil: it could not be, for now.
    public mutating func settle(_ id: String?) -> [Effect] {
        answer(id.map { SMTPReply(250, "2.0.0 Ok: queued as \($0)") } ?? SMTPReply(451, "4.3.0 Cannot keep it now"))
    }

    /// The letter is not wanted.
    public mutating func refuse(_ reply: SMTPReply) -> [Effect] { answer(reply) }

    private mutating func answer(_ reply: SMTPReply) -> [Effect] {
        guard phase == .delivering else { return [] }
        phase = .commands
        envelope = nil
        message = []
        return [.reply(reply)] + proceed()
    }

    private mutating func proceed() -> [Effect] {
        var effects: [Effect] = []
        var position = 0
        while phase == .commands || phase == .data, let end = input[position...].firstIndex(of: 10) {
            let line = Array(input[position..<end])
            position = end + 1
            effects += phase == .data ? text(line) : command(line)
        }
        input.removeFirst(position)
        // What a stranger has put behind STARTTLS in clear must not be taken for what comes encrypted
        // (CVE-2011-0411).
        if phase == .securing { input = [] }
        let limit = phase == .data ? 64 << 10 : limits.commandBytes
        if phase == .commands || phase == .data, input.count > limit {
            effects += over(SMTPReply(500, "5.5.2 Line too long"))
        }
        // What is sent ahead of an answer is bounded by what one read of the stream brings.
        if phase == .over { input = [] }
        return effects
    }

    private mutating func over(_ reply: SMTPReply) -> [Effect] {
        phase = .over
        return [.reply(reply), .close]
    }

    // MARK: The letter

    /// A line of it, without its LF.
    private mutating func text(_ line: [UInt8]) -> [Effect] {
        guard line.last == 13, !line.dropLast().contains(13) else {
            hasBareEnd = true
            followsBareEnd = true
            return []
        }
        // The dot ends the letter only between two real ends of lines.
        if line == [UInt8(ascii: "."), 13], !followsBareEnd { return letterEnds() }
        followsBareEnd = false
        let content = (line.first == UInt8(ascii: ".") ? line.dropFirst() : line[...]).dropLast()
        guard message.count + content.count + 1 <= limits.messageBytes else {
            isTooLong = true
            message = []
            return []
        }
        if !isTooLong { message += content + [10] }
        return []
    }

    private mutating func letterEnds() -> [Effect] {
        defer {
            isTooLong = false
            hasBareEnd = false
        }
        if isTooLong || hasBareEnd {
            phase = .commands
            envelope = nil
            message = []
            return [
                .reply(
                    isTooLong
                        ? SMTPReply(552, "5.3.4 Longer than \(limits.messageBytes) bytes")
                        : SMTPReply(554, "5.6.0 A line ends without CR LF"))
            ]
        }
        phase = .delivering
        return [.deliver(envelope ?? Envelope(), message)]
    }

    // MARK: Commands

    private mutating func command(_ line: [UInt8]) -> [Effect] {
        guard line.count <= limits.commandBytes, line.last == 13,
            line.dropLast().allSatisfy({ (32...126).contains($0) })
        else { return mistake(SMTPReply(500, "5.5.2 A command is one line of ASCII, ended by CR LF")) }
        let text = String(decoding: line.dropLast(), as: UTF8.self)
        let verb = text.prefix { $0 != " " }.uppercased()
        let rest = text.dropFirst(verb.utf8.count).drop { $0 == " " }
        switch verb {
        case "EHLO", "HELO":
            guard !rest.isEmpty else { return mistake(SMTPReply(501, "5.5.4 Say who you are: EHLO name")) }
            hasGreeted = true
            envelope = nil
            if verb == "HELO" { return [.reply(SMTPReply(250, name))] }
            let extensions =
                ["PIPELINING", "SIZE \(limits.messageBytes)", "8BITMIME", "ENHANCEDSTATUSCODES"]
                + (offersTLS ? ["STARTTLS"] : [])
            return [.reply(SMTPReply(code: 250, lines: [name] + extensions))]
        case "MAIL": return mail(rest)
        case "RCPT": return recipient(rest)
        case "DATA":
            guard rest.isEmpty else { return mistake(SMTPReply(501, "5.5.4 DATA takes no words")) }
            guard let envelope, !envelope.recipients.isEmpty else {
                return mistake(SMTPReply(503, "5.5.1 First MAIL and RCPT"))
            }
            phase = .data
            return [.reply(SMTPReply(354, "End with <CR><LF>.<CR><LF>"))]
        case "STARTTLS" where offersTLS:
            guard rest.isEmpty else { return mistake(SMTPReply(501, "5.5.4 STARTTLS takes no words")) }
            phase = .securing
            return [.reply(SMTPReply(220, "2.0.0 Begin")), .startTLS]
        case "RSET":
            envelope = nil
            return [.reply(SMTPReply(250, "2.0.0 Ok"))]
        case "NOOP": return [.reply(SMTPReply(250, "2.0.0 Ok"))]
        case "VRFY": return [.reply(SMTPReply(252, "2.0.0 Send, and it will be seen"))]
        case "HELP": return [.reply(SMTPReply(214, "2.0.0 EHLO HELO MAIL RCPT DATA RSET NOOP VRFY QUIT"))]
        case "QUIT": return over(SMTPReply(221, "2.0.0 Bye"))
        default: return mistake(SMTPReply(500, "5.5.1 No such command"))
        }
    }

    private mutating func mistake(_ reply: SMTPReply) -> [Effect] {
        mistakes += 1
        if mistakes >= limits.mistakes { return over(SMTPReply(421, "4.7.0 Too many mistakes")) }
        return [.reply(reply)]
    }

    private mutating func mail(_ words: Substring) -> [Effect] {
        guard hasGreeted else { return mistake(SMTPReply(503, "5.5.1 First EHLO")) }
        guard envelope == nil else { return mistake(SMTPReply(503, "5.5.1 A letter has been begun already")) }
        guard let (path, parameters) = Self.path(words, after: "FROM:") else {
            return mistake(SMTPReply(501, "5.5.4 MAIL FROM:<user@example.com>"))
        }
        for parameter in parameters {
            let halves = parameter.split(separator: "=", maxSplits: 1)
            switch halves.first?.uppercased() ?? "" {
            case "SIZE":
                guard halves.count == 2, let size = Int(halves[1]), size >= 0 else {
                    return mistake(SMTPReply(501, "5.5.4 SIZE=number"))
                }
                if size > limits.messageBytes {
                    return [.reply(SMTPReply(552, "5.3.4 Longer than \(limits.messageBytes) bytes"))]
                }
            case "BODY" where halves.count == 2 && ["7BIT", "8BITMIME"].contains(halves[1].uppercased()): break
            default: return mistake(SMTPReply(555, "5.5.4 Not a parameter that is known here"))
            }
        }
        if path.isEmpty {
            envelope = Envelope(sender: nil)
        } else if let sender = EmailAddress(parsing: path) {
            envelope = Envelope(sender: sender)
        } else {
            return mistake(SMTPReply(553, "5.1.7 Not an address"))
        }
        return [.reply(SMTPReply(250, "2.1.0 Ok"))]
    }

    private mutating func recipient(_ words: Substring) -> [Effect] {
        guard let envelope else { return mistake(SMTPReply(503, "5.5.1 First MAIL")) }
        guard let (path, parameters) = Self.path(words, after: "TO:"), parameters.isEmpty else {
            return mistake(SMTPReply(501, "5.5.4 RCPT TO:<user@example.com>"))
        }
        guard let address = EmailAddress(parsing: path) else { return mistake(SMTPReply(553, "5.1.3 Not an address")) }
        guard envelope.recipients.count < limits.recipients else {
            return [.reply(SMTPReply(452, "4.5.3 Too many recipients"))]
        }
        self.envelope?.recipients.append(address)
        return [.reply(SMTPReply(250, "2.1.5 Ok"))]
    }

    /// `<@relay:user@example.com> SIZE=100`: the path without its route, and what follows.
    private static func path(_ words: Substring, after keyword: String) -> (String, [Substring])? {
        guard words.prefix(keyword.utf8.count).uppercased() == keyword else { return nil }
        let rest = words.dropFirst(keyword.utf8.count).drop { $0 == " " }
        guard rest.first == "<", let close = rest.firstIndex(of: ">") else { return nil }
        var path = rest[rest.index(after: rest.startIndex)..<close]
        if path.first == "@" {
            guard let colon = path.firstIndex(of: ":") else { return nil }
            path = path[path.index(after: colon)...]
        }
        let parameters = rest[rest.index(after: close)...]
        guard parameters.isEmpty || parameters.first == " " else { return nil }
        return (String(path), parameters.split(separator: " "))
    }
}
