import KernelHosting
import KernelJSON
import KernelService
import KernelStorage
import KernelStructures
import KernelTLS
import KernelTelemetry
import KernelWire
import KernelWorld
import ShopAccountsEngine

/// A server of mail that takes letters for everybody and hands them to nobody: where a lab's mail ends, to be looked
/// at.
///
/// It speaks SMTP on one port, and on another tells over HTTP what has come. Whoever is told 250 may forget the letter:
/// it is on the disk by then. The same letter to the same people again (by its Message-ID) is taken and not kept twice.
public final class Mailbox: Service {
    public let runtime: ServiceRuntime
    public let smtpPort: UInt16
    public let httpPort: UInt16
    private let maildir: Maildir
    private let router = HTTPRouter()
    private var web: HTTPServer!
    private var post: StreamServer!
    public private(set) var receivedCount = 0
    public private(set) var duplicateCount = 0
    public private(set) var failedCount = 0
    private var security: TLSServer?
    /// Set by hand: all letters are refused for now, or for ever.
    private var refusal: SMTPReply?

    public static let defaultSMTPPort: UInt16 = 1025
    public static let defaultHTTPPort: UInt16 = 8025
    static let idleTimeout = LabDuration.seconds(300)

    /// - Parameter directory: where letters are kept, absolute.
    public init(
        node: Node, directory: String, smtpPort: UInt16 = defaultSMTPPort, httpPort: UInt16 = defaultHTTPPort,
        service: ServiceOptions = ServiceOptions()
    ) {
        runtime = ServiceRuntime(node: node, tag: "MAILBOX", options: service)
        self.smtpPort = smtpPort
        self.httpPort = httpPort
        maildir = Maildir(disk: node.disk, directory: directory)
        router.options.defaultsToJSON = true
        web = HTTPServer(node: node, service: router)
        post = StreamServer(node: node, clientProtocol: "SMTP") { [unowned self] _, _, early in
            MailboxConnection(self, early)
        }
        router.on("GET", "/messages") { [unowned self] in try list($0) }
        router.on("GET", "/messages/{number: Int}") { [unowned self] in try find($0) }
        router.on("DELETE", "/messages") { [unowned self] in try clear($0) }
        router.on("PUT", "/behaviour") { [unowned self] in try behave($0) }
        runtime.mount(on: router)
    }

    // MARK: Life

    public func prepare() throws {
        try maildir.open()
        runtime.add(post, on: smtpPort, announcement: "Mail on :\(port: smtpPort)")
        runtime.add(web, on: httpPort, announcement: "Letters on :\(port: httpPort)")
    }

    public func willDrain() { for stream in post.openStreams { (stream.handler as? MailboxConnection)?.sayGoodbye() } }

    public var statistics: [Statistic] {
        [
            .init("letters", maildir.letters.count, .gauge("mailbox_letters", "Letters that are kept")),
            .init("received", receivedCount, .counter("mailbox_received_total", "Letters that were taken")),
            .init("duplicates", duplicateCount, .counter("mailbox_duplicates_total", "Letters that came again")),
            .init("failed", failedCount, .counter("mailbox_failed_total", "Letters that could not be kept")),
        ]
    }

    // MARK: Letters

    /// Made when somebody first wants it: a key takes time.
    func secure(_ stream: Stream) {
        do throws(TLSConfigurationError) {
            let server: TLSServer
            if let security { server = security } else { server = try TLSServing().makeServer(for: node) }
            security = server
            stream.secure(with: server)
        } catch {
            runtime.log("No STARTTLS: \("\(error)")", level: .error)
            stream.abort()
        }
    }

    func connectionEnded(_ stream: Stream) { post.ended(stream) }

    /// The name under which a letter is kept; nil: it could not be.
    func keep(_ envelope: SMTPServerSession.Envelope, _ bytes: [UInt8]) -> String? {
        let message = MailMessage(parsing: bytes)
        if maildir.has(message, for: envelope.recipients) {
            duplicateCount += 1
            return "known"
        }
        do throws(DiskError) {
            let number = try maildir.keep(envelope, bytes, at: node.wallClock)
            receivedCount += 1
            let to = envelope.recipients.map(\.description).joined(separator: ", ")
            runtime.log("Letter \(number) for \("\(to)"): \("\(message.subject.prefix(60))")")
            return "\(number)"
        } catch {
            failedCount += 1
            runtime.log("Not kept: \("\(error)")", level: .error)
            return nil
        }
    }

    var behaviour: SMTPReply? { refusal }

    // MARK: HTTP

    private func list(_ exchange: HTTPExchange) throws {
        var query = try exchange.query()
        let recipient = try query.take("to")?.lowercased()
        let limit = try query.takeInteger("limit", 1...Maildir.limit) ?? 100
        try query.expectNothingElse()
        let found = maildir.letters.filter { letter in
            recipient.map { wanted in letter.recipients.contains { $0.lowercased() == wanted } } ?? true
        }
        exchange.answer(json: ["messages": .array(found.suffix(limit).map { Self.json($0, withBody: false) })])
    }

    private func find(_ exchange: HTTPExchange) throws {
        let number = exchange.parameters.integer("number")
        guard let letter = maildir.letters.first(where: { $0.number == number }) else {
            throw HTTPProblem(404, "there is no letter \(number)", remedy: "GET /messages lists them")
        }
        exchange.answer(json: Self.json(letter, withBody: true))
    }

    private func clear(_ exchange: HTTPExchange) throws {
        for letter in maildir.letters { try maildir.remove(letter.number) }
        exchange.answer(204)
    }

    /// `{"reply": "451 4.3.0 try later"}`: what every letter is answered from now on; null: they are taken again.
    private func behave(_ exchange: HTTPExchange) throws {
        let json = JSONCursor(try exchange.json())
        guard let text = try json["reply"].ifPresent?.string() else {
            refusal = nil
            return exchange.answer(204)
        }
        guard let code = Int(text.prefix(3)), (400...599).contains(code), text.utf8.count <= 200,
            text.utf8.allSatisfy({ (32...126).contains($0) })
        else { throw HTTPProblem(400, "reply: a line that begins with 400 to 599 is wanted, such as 451 4.3.0 later") }
        refusal = SMTPReply(code, String(text.dropFirst(3).drop { $0 == " " }))
        exchange.answer(204)
    }

    private static func json(_ letter: Maildir.Letter, withBody: Bool) -> JSONValue {
        var members: [(key: String, value: JSONValue)] = [
            ("number", .integer(letter.number)), ("received_at", .string(letter.receivedAt)),
            ("from", .string(letter.sender)), ("to", .array(letter.recipients.map { .string($0) })),
            ("subject", .string(letter.message.subject)), ("message_id", .string(letter.message.messageID)),
            ("bytes", .integer(letter.byteCount)),
        ]
        if withBody { members.append(("body", .string(letter.message.body))) }
        return .object(members)
    }
}

/// One client of the mailbox.
private final class MailboxConnection: StreamHandler {
    private unowned let mailbox: Mailbox
    private var session: SMTPServerSession
    private var early: [UInt8]
    private var stream: Stream?
    private var timer: TimerID?

    init(_ mailbox: Mailbox, _ early: [UInt8]) {
        self.mailbox = mailbox
        self.early = early
        session = SMTPServerSession(name: mailbox.node.name, offersTLS: true)
    }

    func streamOpened(_ stream: Stream) {
        self.stream = stream
        // Opened a second time, after STARTTLS.
        guard stream.security == nil else { return session.secured() }
        stream.write(session.greeting.bytes)
        rest()
        if !early.isEmpty { perform(session.receive(early)) }
        early = []
    }

    /// Whoever says nothing for five minutes is asked to go (RFC 5321 section 4.5.3.2.7).
    private func rest() {
        mailbox.node.cancel(timer)
        timer = mailbox.node.after(Mailbox.idleTimeout) { [weak self] in
            self?.stream?.write(SMTPReply(421, "4.4.2 Nothing was said for too long").bytes)
            self?.close()
        }
    }

    func sayGoodbye() {
        guard session.isIdle else { return }
        stream?.write(SMTPReply(421, "4.3.2 The mailbox closes").bytes)
        close()
    }

    private func close() {
        guard let stream else { return }
        stream.close()
        over(stream)
    }

    private func over(_ stream: Stream) {
        mailbox.node.cancel(timer)
        timer = nil
        self.stream = nil
        mailbox.connectionEnded(stream)
    }

    private func perform(_ effects: [SMTPServerSession.Effect]) {
        var rest = effects[...]
        while let effect = rest.popFirst() {
            switch effect {
            case .reply(let reply): stream?.write(reply.bytes)
            case .deliver(let envelope, let bytes):
                let next: [SMTPServerSession.Effect]
                if let refusal = mailbox.behaviour {
                    next = session.refuse(refusal)
                } else {
                    next = session.settle(mailbox.keep(envelope, bytes))
                }
                rest += next
            case .startTLS: if let stream { mailbox.secure(stream) }
            case .close: close()
            }
        }
    }

    func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
        stream.cork()
        defer { stream.uncork() }
        rest()
        perform(session.receive(Array(bytes)))
    }

    func streamEnded(_ stream: Stream) { close() }

    func stream(_ stream: Stream, closed reason: CloseReason) { over(stream) }

    func streamLost(_ stream: Stream) { self.stream = nil }
}
