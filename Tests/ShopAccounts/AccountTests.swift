import KernelJSON
import KernelStructures
import Testing

@testable import ShopAccountsEngine

private let epoch = LabTime.documentedEpoch

@Suite("Passwords and sessions")
struct AccountTests {
    // @covers SHOP-S4
    @Test("a password fits its hash, which can be written and read, and nothing else does")
    func passwords() throws {
        let hash = try PasswordHash(of: "correct horse", salt: Array(0..<16), cost: 16)
        let read = try #require(PasswordHash(parsing: hash.text))
        #expect(read == hash && hash.text.hasPrefix("$scrypt$ln=4,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$"))
        #expect(read.fits("correct horse") && !read.fits("correct horse ") && !read.fits(""))
        let other = try PasswordHash(of: "correct horse", salt: Array(1...16), cost: 16)
        #expect(other.text != hash.text)
    }

    @Test("RFC 7914's example (section 12) is read as a hash, and its password fits")
    func example() throws {
        let key =
            "cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT"
            + "8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw"
        let hash = try #require(PasswordHash(parsing: "$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$" + key))
        #expect(hash.fits("pleaseletmein") && !hash.fits("pleaseletmeout"))
    }

    @Test(
        "what is no hash, or wants too much memory, is none",
        arguments: [
            "", "$", "scrypt", "$scrypt$ln=4,r=8,p=1$AAAA$AAAA", "$bcrypt$ln=4,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$",
            "$scrypt$ln=30,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODw",
            "$scrypt$ln=20,r=1000,p=1$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODw",
            "$scrypt$ln=-1,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODw",
            "$scrypt$ln=4,r=8$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODw",
            "$scrypt$ln=99999999999999999999,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODw",
        ])
    func noHashes(_ text: String) { #expect(PasswordHash(parsing: text) == nil) }

    // @covers SHOP-S6
    @Test("a refresh token is good once; the one before only for a moment; an older one ends the session")
    func rotation() throws {
        var random = SeededRandom(seed: 1)
        let first = SessionRecord.Ticket(sessionID: "0123456789abcdef", random: &random)
        let second = SessionRecord.Ticket(sessionID: "0123456789abcdef", random: &random)
        let third = SessionRecord.Ticket(sessionID: "0123456789abcdef", random: &random)
        #expect(SessionRecord.Ticket(parsing: first.text) == first)
        var record = SessionRecord(userID: "u1", email: "a@b", ticket: first, now: epoch)
        #expect(SessionRecord(parsing: record.text) == record)
        // What is stored does not say what the token is.
        #expect(!record.text.contains(first.text.suffix(64)))
        try record.rotate(from: first, to: second, now: epoch)
        #expect(SessionRecord(parsing: record.text) == record)
        // The answer was lost, and the client asks again.
        try record.rotate(from: first, to: third, now: epoch + .seconds(9))
        try record.rotate(from: third, to: second, now: epoch + .seconds(20))
        func refusal(_ ticket: SessionRecord.Ticket, _ seconds: Int) -> SessionRecord.Refusal? {
            var copy = record
            do throws(SessionRecord.Refusal) {
                try copy.rotate(from: ticket, to: third, now: epoch + .seconds(seconds))
                return nil
            } catch {
                return error
            }
        }
        #expect(refusal(third, 31) == .reused && refusal(first, 21) == .reused && refusal(second, 21) == nil)
    }

    @Test("what is no refresh token, and what is no record")
    func malformed() {
        for text in [
            "", ".", "0123456789abcdef", "0123456789abcdef.", "X123456789abcdef." + String(repeating: "0", count: 64),
        ] {
            #expect(SessionRecord.Ticket(parsing: text) == nil)
        }
        for text in ["", "{}", "[]", "{\"user\": 1}"] { #expect(SessionRecord(parsing: text) == nil) }
    }

    @Test("wishes are checked by their members")
    func wishes() throws {
        func problem(_ email: String?, _ password: String? = nil, _ name: String? = nil, _ phone: String? = nil)
            -> String?
        {
            do throws(AccountProblem) {
                _ = try AccountWish(email: email, password: password, name: name, phone: phone)
                return nil
            } catch {
                return error.member
            }
        }
        #expect(problem("user@example.com", "long enough", "Ada", "+15551234567") == nil)
        #expect(problem("user") == "email" && problem("a@b", "short") == "password")
        #expect(problem("a@b", String(repeating: "x", count: 257)) == "password")
        #expect(problem(nil, nil, "two\nlines") == "name" && problem(nil, nil, nil, "555") == "phone")
        #expect(problem(nil, nil, nil, "") == nil)
    }
}

@Suite("Notifications")
struct NotificationTests {
    private static let body = """
        {"event_id":"o1-4","type":"order.created","order_id":"o1","sequence":4,"user_id":"u1",
        "email":"user@example.com","status":"confirmed","total":1998,"total_minor":199800,"currency":"usd",
        "items":[{"product_id":"p1","quantity":2}],"reason":null,"at":"2023-12-20T15:00:00Z"}
        """

    // @covers SHOP-S20
    @Test("an event fills the forms that there are")
    func forms() throws {
        let event = try OrderEvent(parsing: Array(Self.body.utf8))
        #expect(Notification.plan(for: event).map(\.channel) == [.email, .sms])
        for preset in MessageForm.defaults {
            let form = try MessageForm(subject: preset.subject, body: preset.body)
            let text = try form.body.filled(with: event.values)
            #expect(!text.contains("{{") && text.contains("o1"))
        }
        let form = try MessageForm(subject: MessageForm.defaults[0].subject, body: MessageForm.defaults[0].body)
        #expect(try form.subject.filled(with: event.values) == "Your order o1 is confirmed")
        #expect(
            try form.body.filled(with: event.values)
                == "Thank you for your order o1.\n\n  2 × p1\n\nTotal: 1,998.00 USD\n\nIt is paid, and on its way.\n")
    }

    @Test("events that are none are refused, and never a trap")
    func events() throws {
        var random = SeededRandom(seed: 9)
        for _ in 0..<500 {
            var bytes = Array(Self.body.utf8)
            for _ in 0...2 { bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(32 + random.next() % 95) }
            if let event = try? OrderEvent(parsing: bytes) {
                #expect(!event.id.isEmpty && event.totalMinor >= 0 && !event.totalText.isEmpty)
            }
        }
        let wrong = [
            "", "{}", Self.body.replacing("\"o1\"", with: "\"o 1\""), Self.body.replacing("199800", with: "-1"),
            Self.body.replacing("\"quantity\":2", with: "\"quantity\":0"),
        ]
        for text in wrong { #expect((try? OrderEvent(parsing: Array(text.utf8))) == nil, "\(text)") }
    }

    @Test("templates: values, lists, conditions, and what is wrong with one")
    func templates() throws {
        let values: JSONValue = [
            "name": "Ada\r\nBcc: x", "n": 3, "yes": true, "no": false, "list": [["x": 1], ["x": 2]],
            "object": ["y": "z"],
        ]
        func fill(_ text: String) -> String {
            do throws(MessageTemplate.Malformed) {
                return try MessageTemplate(parsing: text).filled(with: values)
            } catch {
                return "! \(error)"
            }
        }
        #expect(fill("{{ name }}|{{n}}") == "Ada  Bcc: x|3")
        #expect(fill("{{#list}}{{x}}{{n}} {{/list}}") == "13 23 ")
        #expect(fill("{{#yes}}a{{/yes}}{{#no}}b{{/no}}{{#object}}{{y}}{{/object}}") == "az")
        #expect(
            fill("{{missing}}") == "! 'missing' has no value" && fill("{{list}}") == "! 'list' is an array, and no text"
        )
        #expect(fill("{{") == "! '{{' without '}}'" && fill("{{#list}}") == "! '{{#list}}' is not closed")
        #expect(fill("{{/list}}") == "! '{{/list}}' closes nothing that is open")
        #expect(fill("{{#list}}{{/yes}}") == "! '{{/yes}}' closes nothing that is open")
        #expect(fill("{{a b}}") == "! 'a b' is no name of letters, digits and _" && fill("{{}}").hasPrefix("! ''"))
        #expect(fill(String(repeating: "{{#yes}}", count: 9)).hasSuffix("nested too deeply"))
        #expect(fill("{ {x} } }} plain") == "{ {x} } }} plain")
        // Two nested lists of a thousand would be a million lines.
        let long = JSONValue.array(Array(repeating: ["x": .string(String(repeating: "y", count: 1000))], count: 2000))
        let template = try MessageTemplate(parsing: "{{#a}}{{#a}}{{x}}{{/a}}{{/a}}")
        #expect((try? template.filled(with: ["a": long])) == nil)
    }

    // @covers SHOP-S21
    @Test("a message goes from attempt to attempt with growing pauses, and is given up at last")
    func attempts() {
        var notification = Notification(
            id: 1, eventID: "o1-4", channel: .email, template: "order.created", state: .pending, attempts: 0)
        var pauses: [Double] = []
        while let pause = notification.take(.postponed("busy")) { pauses.append(pause.seconds) }
        #expect(pauses == [1, 4, 16, 64, 256, 600, 600, 600, 600])
        #expect(notification.state == .dead && notification.attempts == Notification.attemptLimit)
        func end(_ outcome: Notification.Outcome) -> Notification.State {
            var one = Notification(
                id: 1, eventID: "e", channel: .sms, template: "t", state: .pending, attempts: 3)
            #expect(one.take(outcome) == nil)
            return one.state
        }
        #expect(end(.sent("250")) == .sent && end(.refused("550")) == .dead && end(.nobody("")) == .skipped)
        #expect(notification.messageID == "<o1-4.email.1@notifications>")
    }
}
