import KernelStructures
import Testing

@testable import ShopAccountsEngine

private let alice = EmailAddress(parsing: "alice@example.com")!
private let shop = EmailAddress(parsing: "shop@shop")!

@Suite("Mail by SMTP")
struct SMTPTests {
    /// Both halves talk to one another, in pieces of so many bytes.
    private func talk(
        _ message: [UInt8], piece: Int = .max, limits: SMTPServerSession.Limits = .init(),
        keep: (SMTPServerSession.Envelope, [UInt8]) -> String? = { _, _ in "1" }
    ) -> (outcome: SMTPClientSession.Outcome?, letters: [[UInt8]]) {
        var server = SMTPServerSession(name: "mailbox", limits: limits)
        var client = SMTPClientSession(name: "shop", sender: shop, recipient: alice, message: message)
        var outcome: SMTPClientSession.Outcome?
        var letters: [[UInt8]] = []
        var toClient = server.greeting.bytes
        for _ in 0..<100_000 where !toClient.isEmpty {
            var toServer: [UInt8] = []
            let part = Array(toClient.prefix(piece))
            toClient.removeFirst(part.count)
            for effect in client.receive(part) {
                switch effect {
                case .send(let bytes): toServer += bytes
                case .done(let result): outcome = result
                case .close: return (outcome, letters)
                }
            }
            while !toServer.isEmpty {
                let part = Array(toServer.prefix(piece))
                toServer.removeFirst(part.count)
                var effects = server.receive(part)[...]
                while let effect = effects.popFirst() {
                    switch effect {
                    case .reply(let reply): toClient += reply.bytes
                    case .deliver(let envelope, let bytes):
                        letters.append(bytes)
                        effects += server.settle(keep(envelope, bytes))
                    case .startTLS: server.secured()
                    case .close: break
                    }
                }
            }
        }
        return (outcome, letters)
    }

    // @covers SHOP-S19
    @Test("a letter arrives as it was, whatever the pieces", arguments: [1, 2, 7, Int.max])
    func transparency(_ piece: Int) {
        let texts = [
            "hello\n", "", ".\n", "..\n.\n...x\n", "no end of line", "\n\n", "a\n.b\n", "über\n", ".", "a\n.",
        ]
        for text in texts {
            let message = Array("Subject: x\n\n\(text)".utf8)
            let (outcome, letters) = talk(message, piece: piece)
            #expect(outcome == .delivered("250 2.0.0 Ok: queued as 1"))
            let expected = message.last == 10 ? message : message + [10]
            #expect(letters == [expected], "\(text)")
        }
    }

    @Test("random letters arrive as they were")
    func random() {
        var random = SeededRandom(seed: 11)
        for _ in 0..<300 {
            let count = Int(random.next() % 200)
            let message = (0..<count).map { _ in
                let choices: [UInt8] = [10, 46, 46, 97, 32, 0xC3]
                return choices[Int(random.next() % UInt64(choices.count))]
            }
            let (outcome, letters) = talk(message + [10], piece: 1 + Int(random.next() % 40))
            #expect(outcome == .delivered("250 2.0.0 Ok: queued as 1") && letters == [message + [10]])
        }
    }

    @Test("what the server says decides: later, never")
    func outcomes() {
        #expect(talk([97, 10], keep: { _, _ in nil }).outcome == .postponed("451 4.3.0 Cannot keep it now"))
        var limits = SMTPServerSession.Limits()
        limits.messageBytes = 10
        #expect(
            talk(Array("much too long\n".utf8), limits: limits).outcome == .refused("552 5.3.4 Longer than 10 bytes"))
        func outcome(_ replies: String...) -> SMTPClientSession.Outcome? {
            var client = SMTPClientSession(name: "shop", sender: shop, recipient: alice, message: [97])
            for reply in replies {
                for effect in client.receive(Array("\(reply)\r\n".utf8)) {
                    if case .done(let outcome) = effect { return outcome }
                }
            }
            return client.connectionEnded("closed")
        }
        #expect(outcome("220 x", "250-a\r\n250 b", "250 ok", "550 no such user") == .refused("550 no such user"))
        #expect(outcome("220 x", "250 b", "250 ok", "450 busy") == .postponed("450 busy"))
        #expect(outcome("421 go away") == .postponed("421 go away"))
        #expect(
            outcome("220 x", "500 what?", "250 old", "250 ok", "250 ok", "354 go", "250 taken")
                == .delivered("250 taken"))
        #expect(outcome("220 x", "250 b", "250 ok", "250 ok", "354 go") == .postponed("closed"))
        #expect(outcome("HTTP/1.1 400 Bad Request") == .postponed("the server does not speak SMTP"))
        #expect(outcome("220-a\r\n250 b") == .postponed("the server does not speak SMTP"))
        #expect(outcome(String(repeating: "2", count: 5000)) == .postponed("the server does not speak SMTP"))
    }

    private func say(_ text: String, _ session: inout SMTPServerSession) -> [String] {
        session.receive(Array(text.utf8)).map { effect in
            switch effect {
            case .reply(let reply): "\(reply.code)"
            case .deliver(let envelope, let bytes):
                "deliver \(envelope.recipients.count) \(String(decoding: bytes, as: UTF8.self))"
            case .startTLS: "tls"
            case .close: "close"
            }
        }
    }

    @Test("STARTTLS: everything begins anew, what was sent ahead in clear is forgotten, and it is offered once")
    func startTLS() {
        var session = SMTPServerSession(name: "m", offersTLS: true)
        #expect(session.receive(Array("EHLO x\r\n".utf8)).contains(.reply(Self.hello(withTLS: true))))
        #expect(say("STARTTLS now\r\n", &session) == ["501"])
        let ahead = "MAIL FROM:<evil@b.c>\r\nRCPT TO:<d@e.f>\r\n"
        #expect(say("MAIL FROM:<a@b.c>\r\nSTARTTLS\r\n" + ahead, &session) == ["250", "220", "tls"])
        #expect(say("NOOP\r\n", &session) == [])
        session.secured()
        #expect(say("DATA\r\nMAIL FROM:<a@b.c>\r\n", &session) == ["503", "503"])
        #expect(session.receive(Array("EHLO x\r\n".utf8)) == [.reply(Self.hello(withTLS: false))])
        #expect(say("STARTTLS\r\n", &session) == ["500"])
        var plain = SMTPServerSession(name: "m")
        #expect(say("STARTTLS\r\n", &plain) == ["500"])
    }

    private static func hello(withTLS: Bool) -> SMTPReply {
        let extensions = ["PIPELINING", "SIZE 1048576", "8BITMIME", "ENHANCEDSTATUSCODES"]
        return SMTPReply(code: 250, lines: ["m"] + extensions + (withTLS ? ["STARTTLS"] : []))
    }

    @Test("commands in the wrong order, and what is no command")
    func order() {
        var session = SMTPServerSession(name: "m")
        #expect(say("MAIL FROM:<a@b.c>\r\n", &session) == ["503"])
        #expect(say("EHLO x\r\nRCPT TO:<a@b.c>\r\nDATA\r\n", &session) == ["250", "503", "503"])
        #expect(
            say("MAIL FROM:<a b>\r\nMAIL FROM:a@b.c\r\nMAIL FROM:<a@b.c> WHAT=1\r\n", &session) == [
                "553", "501", "555",
            ])
        #expect(say("mail from:<> size=10 BODY=8BITMIME\r\nMAIL FROM:<a@b.c>\r\n", &session) == ["250", "503"])
        #expect(
            say("RCPT TO:<@relay,@other:a@b.c>\r\nRCPT TO:<nobody>\r\nVRFY a\r\n", &session) == ["250", "553", "252"])
        #expect(say("NOOP\r\nHELP\r\nRSET\r\nDATA\r\n", &session) == ["250", "214", "250", "503"])
        #expect(say("MAIL FROM:<a@b.c> SIZE=99999999\r\nQUIT\r\nNOOP\r\n", &session) == ["552", "221", "close"])
        #expect(say("NOOP\r\n", &session) == [])
        var bare = SMTPServerSession(name: "m")
        #expect(say("EHLO x\nEHLO \u{0}\r\n", &bare) == ["500", "500"])
        var long = SMTPServerSession(name: "m")
        #expect(say(String(repeating: "x", count: 2000), &long) == ["500", "close"])
        var stubborn = SMTPServerSession(name: "m")
        #expect(say(String(repeating: "x\r\n", count: 30), &stubborn).suffix(2) == ["421", "close"])
    }

    @Test("a second letter cannot hide in the first: the end has CR LF on both sides, and nothing else is one")
    func smuggling() {
        for end in ["\n.\n", "\r\n.\n", "\n.\r\n", "\r.\r", "\r\n.\r"] {
            var session = SMTPServerSession(name: "m")
            let begun = say("EHLO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n", &session)
            #expect(begun == ["250", "250", "250", "354"])
            let hidden = say("text\(end)MAIL FROM:<evil@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\nforged\r\n.\r\n", &session)
            #expect(hidden == ["554"], "\(end.debugDescription): \(hidden)")
            #expect(say("NOOP\r\n", &session) == ["250"])
        }
    }

    @Test("pipelined letters wait for one another")
    func pipelining() {
        var session = SMTPServerSession(name: "m")
        let letter = "MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\nx\r\n.\r\n"
        #expect(
            say("EHLO x\r\n" + letter + letter + "QUIT\r\n", &session) == ["250", "250", "250", "354", "deliver 1 x\n"])
        let next = session.settle("1")
        #expect(next.count == 5 && next[0] == .reply(SMTPReply(250, "2.0.0 Ok: queued as 1")))
        #expect(session.settle(nil).last == .close)
        #expect(session.settle("2").isEmpty)
    }

    @Test("any bytes: no letter without recipients, and never more replies than lines")
    func fuzzing() {
        var random = SeededRandom(seed: 5)
        let words = [
            "EHLO x", "MAIL FROM:<a@b.c>", "RCPT TO:<d@e.f>", "DATA", ".", "RSET", "x", "\r", "\n", "\r\n", "<", "é",
            "STARTTLS",
        ]
        for _ in 0..<400 {
            var session = SMTPServerSession(name: "m", offersTLS: random.chance(0.5))
            var lines = 0
            var replies = 0
            for _ in 0..<30 {
                var text = ""
                for _ in 0...Int(random.next() % 4) { text += words[Int(random.next() % UInt64(words.count))] + "\r\n" }
                lines += text.utf8.count { $0 == 10 }
                var effects = session.receive(Array(text.utf8))[...]
                while let effect = effects.popFirst() {
                    switch effect {
                    case .reply: replies += 1
                    case .deliver(let envelope, _):
                        #expect(!envelope.recipients.isEmpty)
                        effects += session.settle("1")
                    case .startTLS: session.secured()
                    case .close: break
                    }
                }
            }
            #expect(replies <= lines + 1)
        }
    }
}

@Suite("Letters")
struct MailMessageTests {
    @Test("a letter survives being written and read")
    func roundTrip() {
        let message = MailMessage(
            from: "shop@shop", to: "alice@example.com",
            subject: "Bestätigung für 2 × p1 — " + String(repeating: "ß", count: 60),
            at: .documentedEpoch, messageID: "<o1-4.email.1@notifications>", body: "eins\r\nzwei\n.\n")
        let read = MailMessage(parsing: message.bytes)
        #expect(read.subject == message.subject && read.messageID == message.messageID && read.to == message.to)
        #expect(read.body == "eins\nzwei\n.\n")
        #expect(read.date == "Wed, 20 Dec 2023 15:00:00 +0000")
    }

    @Test("nothing in a field writes another one, and no line is too long")
    func injection() {
        let message = MailMessage(
            from: "a@b\r\nBcc: evil@x", to: "c@d\nX: y", subject: "x\r\nBcc: evil@x", at: .documentedEpoch,
            messageID: "<1\n>", body: String(repeating: "ü", count: 3000) + "\nend")
        let text = String(decoding: message.bytes, as: UTF8.self)
        #expect(!text.utf8.split(separator: 10).contains { String(decoding: $0, as: UTF8.self).hasPrefix("Bcc") })
        #expect(!text.contains("\nX: y"))
        #expect(message.bytes.split(separator: 10).allSatisfy { $0.count <= 998 })
        #expect(MailMessage(parsing: message.bytes).body.filter { $0 == "ü" }.count == 3000)
    }

    @Test("any bytes are a letter")
    func anything() {
        var random = SeededRandom(seed: 3)
        for _ in 0..<300 {
            let bytes = (0..<Int(random.next() % 120)).map { _ in
                [10, 13, 58, 32, 61, 63, 66, 97, 0xFF][Int(random.next() % 9)] as UInt8
            }
            let read = MailMessage(parsing: bytes)
            #expect(read.body.utf8.count <= 3 * bytes.count)
        }
    }

    @Test(
        "addresses",
        arguments: [
            "a@b", "first.last+tag@example.com", "x@sub-domain.example.org", "15551234567@sms", "O'Neil@x.y",
        ])
    func addresses(_ text: String) { #expect(EmailAddress(parsing: text)?.description == text) }

    @Test(
        "what is no address",
        arguments: [
            "", "@", "a@", "@b", "a b@c", "a@b c", "a@-b", "a@b-", "a..b@c", ".a@c", "a.@c", "a@b..c", "a@b.",
            "a\r\n@b",
            "a@b\u{0}", "ü@b", "a@ü", "a@[1.2.3.4]", "<a@b>",
        ])
    func noAddresses(_ text: String) { #expect(EmailAddress(parsing: text) == nil) }

    @Test("an address has at most 254 bytes, 64 of them before the @")
    func longAddresses() {
        let local = String(repeating: "a", count: 64)
        #expect(EmailAddress(parsing: "\(local)@b") != nil && EmailAddress(parsing: "a\(local)@b") == nil)
        #expect(EmailAddress(parsing: "a@" + String(repeating: "b.", count: 130) + "c") == nil)
    }
}
