import CommandKit
import CommandServices
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import ShellSession
import ShopAccountsService

extension ShopAccountsCommands {
    /// `mailbox`
    static var mailbox: Command {
        let kind = ServiceKind("mailbox", node: "mailbox", port: .preset(Mailbox.defaultSMTPPort))
        let description = CommandDescription(
            kind.name, "a server of mail that takes every letter and sends none on, to be looked at with mail",
            usage: "[--dir DIRECTORY] [FLAGS]",
            flags: kind.flags(
                listens: "where it listens for SMTP",
                [
                    .init("dir", nil, .file, "where letters are kept, a file each (./mail)"),
                    .init("http-port", nil, .port, "where it shows them over HTTP (\(Mailbox.defaultHTTPPort))"),
                ]),
            examples: ["mailbox", "mail", "curl http://mailbox:8025/messages"],
            group: .components, role: .service, tags: ["MAILBOX"],
            details: """
                SMTP by RFC 5321, without authentication: any client of mail can send to it. A
                letter is on the disk before it is answered 250; the same Message-ID for the
                same people is kept once. GET /messages?to=, /messages/N; DELETE /messages; PUT
                /behaviour {"reply": "451 4.3.0 later"} has it refuse letters, null ends that.
                """)
        return .service(kind, description) { invocation in
            let arguments = invocation.arguments
            let directory = invocation.session.files.absolute(arguments.text("dir") ?? "./mail")
            let web = arguments.port("http-port") ?? Mailbox.defaultHTTPPort
            return ServicePlan { node, service in
                Mailbox(
                    node: node, directory: directory, smtpPort: service.port, httpPort: web, service: service.options)
            }
        }
    }

    /// `mail`, `mail 3`
    static var mail: Command {
        let description = CommandDescription(
            "mail", "shows what has come to a mailbox", usage: "[NUMBER] [--to ADDRESS] [--server HOST:PORT] [--json]",
            flags: [
                .init("to", nil, .text("ADDRESS"), "only what has come for that address"),
                .init("server", "s", .endpoint, "where the mailbox shows its letters (mailbox:8025)"),
                CommonFlags.json,
            ], arguments: .init([.text], 0...1), examples: ["mail", "mail 1", "mail --to user@example.com"],
            group: .clients)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let server = arguments.endpoint("server") ?? HostPort(host: "mailbox", port: Mailbox.defaultHTTPPort)
            var target = "/messages"
            if let word = arguments.arguments.first {
                guard let number = Int(word), number > 0 else {
                    throw UsageError("mail: '\(word)' is no letter's number; mail without it lists them")
                }
                if arguments.has("to") { throw UsageError("mail: --to is for the list; leave out the number") }
                target += "/\(number)"
            } else {
                let query = HTTPQuery.text([("to", arguments.text("to")), ("limit", "1000")])
                target += query
            }
            let isOne = !arguments.arguments.isEmpty
            return .running(
                ServerQuestion(
                    invocation.process, "GET", target, at: server,
                    whenRefused: "no mailbox answers at \(server); start one: mailbox"
                ) { response throws(CommandFailure) in
                    let text = try ServerQuestion.text(response)
                    guard let value = try? JSONValue(parsing: text) else {
                        throw CommandFailure("\(server) is no mailbox")
                    }
                    let view = isOne ? MailView.letter(value) : MailView.list(value)
                    return invocation.process.text(of: view, for: arguments)
                })
        }
    }
}

/// Letters for people and for programs.
private enum MailView {
    static func list(_ answer: JSONValue) -> View {
        let letters = if case .array(let letters)? = answer["messages"] { letters } else { [JSONValue]() }
        let rows = letters.map { letter -> [View.Cell] in
            [
                cell(letter["number"]), .init(clock(letter["received_at"]), json: letter["received_at"] ?? .null),
                .init(addresses(letter["to"]), json: letter["to"] ?? .null), cell(letter["subject"]),
            ]
        }
        return View(
            .table(
                .init(
                    [
                        .init("NO", key: "number", right: true), .init("TIME", key: "received_at"),
                        .init("TO", key: "to", flexible: true), .init("SUBJECT", key: "subject", flexible: true),
                    ], rows: rows, whenEmpty: "no mail")))
    }

    static func letter(_ letter: JSONValue) -> View {
        var lines = [
            "From: \(text(letter["from"]))", "To: \(addresses(letter["to"]))", "Subject: \(text(letter["subject"]))",
            "Date: \(text(letter["received_at"]))", "",
        ]
        lines.append(text(letter["body"]))
        return View(.text(lines.joined(separator: "\n"), json: letter))
    }

    private static func cell(_ value: JSONValue?) -> View.Cell { View.Cell(text(value), json: value ?? .null) }

    /// What comes from outside stays in its line.
    private static func text(_ value: JSONValue?) -> String {
        switch value {
        case .string(let text)?:
            String(
                String.UnicodeScalarView(
                    text.unicodeScalars.map { $0.value < 32 && $0 != "\n" || $0.value == 127 ? "·" : $0 }))
        case nil, .null?: ""
        case let other?: other.text
        }
    }

    private static func addresses(_ value: JSONValue?) -> String {
        guard case .array(let names)? = value else { return "" }
        return names.map { text($0) }.joined(separator: ", ")
    }

    private static func clock(_ value: JSONValue?) -> String {
        LabTime(parsing: text(value)).map(\.timeOfDay) ?? text(value)
    }
}
