import CommandKit
import CommandServices
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import ShellSession
import ShortenerService

extension ShortenerCommands {
    /// `shorten url https://example.com/`, `shorten audit`
    static var shorten: Command {
        let description = CommandDescription(
            "shorten", "makes short links, and asks what has become of them", operates: false, subcommands: subcommands,
            group: .clients)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let server =
                arguments.endpoint("server") ?? HostPort(host: "localhost", port: ShortenerHost.defaultPort)
            var fields = [("Accept", "application/json"), ("Content-Type", "application/json")]
            if let key = try arguments.secret("key") { fields.append(("X-Api-Key", key)) }
            let wantsJSON = arguments.wantsJSON
            let timeout = arguments.duration("timeout") ?? .seconds(10)
            if arguments.verb == "audit", let file = arguments.text("seen") {
                return .running(
                    SeenClicksQuestion(
                        invocation.process, try seen(file, invocation), at: server, fields: fields, timeout: timeout,
                        wantsJSON: wantsJSON))
            }
            let call = try call(arguments)
            return .running(
                ServerQuestion(
                    invocation.process, call.method, call.target, at: server, whenRefused: advice(server),
                    fields: fields, body: call.body?.bytes(), timeout: timeout
                ) { response throws(CommandFailure) in
                    if response.status == 401 {
                        throw CommandFailure("the shortener asks for an API key, or for another one: --key KEY")
                    }
                    let text = try ServerQuestion.text(response)
                    guard !wantsJSON, let value = try? JSONValue(parsing: text) else { return text }
                    return call.show(value)
                })
        }
    }

    static func advice(_ server: HostPort) -> String { "no shortener answers at \(server); start one: urlshortener" }

    /// Ids of clicks, one a line.
    private static func seen(_ file: String, _ invocation: Invocation) throws -> [String] {
        let bytes: [UInt8]
        do throws(LabFileError) { bytes = try invocation.session.files.read(file) } catch {
            throw CommandFailure("--seen: \(error.description)")
        }
        guard bytes.count <= SeenClicksQuestion.fileLimitBytes else {
            throw CommandFailure(
                "--seen: \(file) has more than \(byteCountText(SeenClicksQuestion.fileLimitBytes)); split it")
        }
        return bytes.split { $0 == 10 || $0 == 13 }.map { String(decoding: $0, as: UTF8.self) }
    }

    private typealias Flag = CommandDescription.Flag
    private static let common: [Flag] = [
        .init("server", "s", .endpoint, "where the shortener is (localhost:\(ShortenerHost.defaultPort))"),
        .init("key", "k", .text("KEY"), "an API key, where the server asks for one"),
        .init("timeout", nil, .duration(), "how long to wait for an answer (10s)"), CommonFlags.json,
    ]
    private static let code = CommandDescription.Arguments([.text], 1...1)

    private static var subcommands: [Subcommand] {
        [
            .init(
                "url", "makes a link", usage: "URL [--alias ALIAS]",
                flags: [
                    .init("alias", "a", .text("ALIAS"), "what it is called (a code that nobody guesses)"),
                    .init("expires-in", nil, .duration(), "how long it leads there (always)"),
                    .init("tags", nil, .text("LIST"), "words to find it by"),
                ] + common, arguments: code, examples: ["shorten url https://example.com/ --alias spring"]),
            .init("list", "the links there are", flags: common, examples: ["shorten list"]),
            .init(
                "stats", "who has followed a link, and when", usage: "CODE", flags: common, arguments: code,
                examples: ["shorten stats spring"]),
            .init(
                "audit", "whether any click is missing, and how each life of a server has ended",
                usage: "[--seen FILE]",
                flags: [.init("seen", nil, .file, "ids of clicks, one a line: which of them are in the books?")]
                    + common,
                examples: ["shorten audit", "shorten audit --seen clicks.txt"],
                details: """
                    A kill loses no click: the next life counts what stands in the file. If the
                    power failed, clicks since the last sync may be missing: the audit says since
                    when, and with --seen which. Each visitor is told his click's id, X-Click-Id;
                    what no shortener of this database has given out is unknown. The status is 1
                    if a click is missing.
                    """),
            .init(
                "keys", "API keys: whose, and what they open",
                usage: "[create|remove NAME] [--role author|admin|domain] [--domain NAME]",
                flags: [
                    .init(
                        "role", nil, .choice(["author", "admin", "domain"]),
                        "own links, everything, or one domain's links (author)"),
                    .init("domain", nil, .text("NAME"), "the only domain that it holds for (all)"),
                ] + common,
                arguments: .init([.word(["create", "remove"]), .text], 0...2),
                examples: [
                    "shorten keys create ops --role admin",
                    "shorten keys create shop --role domain --domain s.example",
                ]),
        ]
    }

    /// What is asked, and how the answer is shown.
    private struct Call {
        var method = "GET"
        let target: String
        var body: JSONValue?
        let show: (JSONValue) -> String
    }

    private static func call(_ arguments: ParsedArguments) throws -> Call {
        let words = arguments.arguments
        switch arguments.verb {
        case "url":
            var body: [(key: String, value: JSONValue)] = [(key: "url", value: .string(words[0]))]
            if let alias = arguments.text("alias") { body.append(("alias", .string(alias))) }
            if let time = arguments.duration("expires-in") {
                body.append(("expires_in", .integer(max(1, Int(time.seconds)))))
            }
            if let tags = arguments.text("tags") {
                body.append(("tags", .array(tags.split(separator: ",").map { .string(String($0)) })))
            }
            return Call(method: "POST", target: "/api/shorten", body: .object(body)) {
                ShortenerText.text($0["short_url"]) + "\n"
            }
        case "stats":
            let target = "/api/stats/\(PercentCoding.encode(words[0]))?details"
            return Call(target: target, show: ShortenerText.statistics)
        case "audit": return Call(target: "/api/audit", show: ShortenerText.audit)
        case "keys": return try keys(arguments)
        default: return Call(target: "/api/links?limit=1000", show: ShortenerText.links)
        }
    }

    private static func keys(_ arguments: ParsedArguments) throws -> Call {
        let words = arguments.arguments
        guard let verb = words.first else { return Call(target: "/api/keys", show: ShortenerText.keys) }
        guard words.count == 2 else { throw UsageError("shorten: keys \(verb): whose? give a name") }
        if verb == "remove" {
            return Call(method: "DELETE", target: "/api/keys/\(PercentCoding.encode(words[1]))") { _ in "" }
        }
        var body = [("name", words[1]), ("role", arguments.text("role") ?? "author")]
        if let domain = arguments.text("domain") { body.append(("domain", domain)) }
        return Call(
            method: "POST", target: "/api/keys", body: .object(body.map { (key: $0.0, value: .string($0.1)) })
        ) { ShortenerText.text($0["key"]) + "\n" }
    }
}
