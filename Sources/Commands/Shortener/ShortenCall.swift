import CommandKit
import CommandServices
import KernelJSON
import KernelStructures
import KernelWire
import ShortenerEngine
import ShortenerService

/// What one line of `shorten` asks the server, and how its answer is shown.
struct ShortenCall {
    var method = "GET"
    let target: String
    var body: JSONValue?
    let show: (JSONValue) -> String

    /// - Parameter now: by which `--expires-in` counts.
    /// - Throws: `UsageError`.
    init(_ arguments: ParsedArguments, now: LabTime) throws {
        // Without a code the path would be that of all links.
        if arguments.arguments.first == "", ["show", "edit", "delete", "stats"].contains(arguments.verb) {
            throw UsageError("shorten: '' is no code; shorten list shows which there are")
        }
        switch arguments.verb {
        case "url": self = Self.make(arguments)
        case "show": self.init(target: Self.link(arguments), show: ShortenerText.link)
        case "edit": self = try Self.edit(arguments, now)
        case "delete": self.init(method: "DELETE", target: Self.link(arguments)) { _ in "" }
        case "stats":
            let target = "/api/stats/\(PercentCoding.encode(arguments.arguments[0]))?details"
            self.init(target: target, show: ShortenerText.statistics)
        case "audit": self.init(target: "/api/audit", show: ShortenerText.audit)
        case "keys": self = try Self.keys(arguments)
        default: self.init(target: "/api/links?limit=1000", show: ShortenerText.links)
        }
    }

    private init(method: String = "GET", target: String, body: JSONValue? = nil, show: @escaping (JSONValue) -> String)
    {
        self.method = method
        self.target = target
        self.body = body
        self.show = show
    }

    private static func link(_ arguments: ParsedArguments) -> String {
        "/api/links/\(PercentCoding.encode(arguments.arguments[0]))"
    }

    // MARK: Links

    /// What is said of a link when it is made, and when it is changed.
    private static func details(_ arguments: ParsedArguments) -> [(key: String, value: JSONValue)] {
        var members: [(key: String, value: JSONValue)] = []
        if let status = arguments.text("redirect").flatMap(Int.init) { members.append(("redirect", .integer(status))) }
        if let count = arguments.integer("max-visits") { members.append(("max_visits", .integer(count))) }
        if let title = arguments.text("title") { members.append(("title", .string(title))) }
        if let tags = arguments.text("tags") {
            members.append(("tags", .array(tags.split(separator: ",").map { .string(String($0)) })))
        }
        return members
    }

    private static func make(_ arguments: ParsedArguments) -> ShortenCall {
        var body: [(key: String, value: JSONValue)] = [("url", .string(arguments.arguments[0]))]
        if let alias = arguments.text("alias") { body.append(("alias", .string(alias))) }
        if let time = arguments.duration("expires-in") {
            body.append(("expires_in", .integer(max(1, Int(time.seconds)))))
        }
        return ShortenCall(method: "POST", target: "/api/shorten", body: .object(body + details(arguments))) {
            ShortenerText.text($0["short_url"]) + "\n"
        }
    }

    private static func edit(_ arguments: ParsedArguments, _ now: LabTime) throws -> ShortenCall {
        var body = details(arguments)
        if let url = arguments.text("url") { body.append(("url", .string(url))) }
        if let time = arguments.duration("expires-in") {
            body.append(("expires_at", .string((now + time).description)))
        }
        if body.isEmpty {
            throw UsageError("shorten: edit \(arguments.arguments[0]): what is to change? --url, --redirect, --title …")
        }
        return ShortenCall(method: "PATCH", target: link(arguments), body: .object(body), show: ShortenerText.link)
    }

    // MARK: Keys

    private static func keys(_ arguments: ParsedArguments) throws -> ShortenCall {
        let words = arguments.arguments
        guard let verb = words.first else { return ShortenCall(target: "/api/keys", show: ShortenerText.keys) }
        guard words.count == 2 else { throw UsageError("shorten: keys \(verb): whose? give a name") }
        if verb == "remove" {
            return ShortenCall(method: "DELETE", target: "/api/keys/\(PercentCoding.encode(words[1]))") { _ in "" }
        }
        var body = [("name", words[1]), ("role", arguments.text("role") ?? "author")]
        if let domain = arguments.text("domain") { body.append(("domain", domain)) }
        return ShortenCall(
            method: "POST", target: "/api/keys", body: .object(body.map { (key: $0.0, value: .string($0.1)) })
        ) { ShortenerText.text($0["key"]) + "\n" }
    }
}

extension ShortenCall {
    private typealias Flag = CommandDescription.Flag

    private static let common: [Flag] = [
        .init("server", "s", .endpoint, "where the shortener is (localhost:\(ShortenerHost.defaultPort))"),
        .init("key", "k", .text("KEY"), "an API key, where the server asks for one"),
        .init("timeout", nil, .duration(), "how long to wait for an answer (10s)"), CommonFlags.json,
    ]
    private static let details: [Flag] = [
        .init("expires-in", nil, .duration(), "how long it leads there (always)"),
        .init("max-visits", nil, .integer(1...1_000_000_000_000), "how many visits it is good for (any number)"),
        .init(
            "redirect", nil, .choice(Redirect.allCases.map { "\($0.rawValue)" }),
            "how it leads on (what the server was started with: 301)"),
        .init("title", nil, .text("TITLE"), "what it is about"),
        .init("tags", nil, .text("LIST"), "words to find it by"),
    ]
    private static let code = CommandDescription.Arguments([.text], 1...1)

    static var subcommands: [Subcommand] { linkCommands + [auditCommand, keyCommand] }

    private static var linkCommands: [Subcommand] {
        [
            .init(
                "url", "makes a link", usage: "URL [--alias ALIAS] [FLAGS]",
                flags: [.init("alias", "a", .text("ALIAS"), "what it is called (a code that nobody guesses)")]
                    + details + common, arguments: code,
                examples: [
                    "shorten url https://example.com/ --alias spring",
                    "shorten url https://example.com/ --redirect 302 --expires-in 1h",
                ],
                details: """
                    301 and 308 say for ever: browsers keep them (here for 90 seconds, so that a
                    change is seen soon and visits are counted), search engines take the target
                    in place of the link. 302 and 307 say for now: every visit comes here, and is
                    counted. 307 and 308 also keep the method of what is sent.
                    """),
            .init("list", "the links there are", flags: common, examples: ["shorten list"]),
            .init(
                "show", "where a link leads, and for how long, without visiting it", usage: "CODE", flags: common,
                arguments: code, examples: ["shorten show spring"]),
            .init(
                "edit", "changes a link", usage: "CODE [--url URL] [FLAGS]",
                flags: [.init("url", nil, .text("URL"), "where it leads from now on")] + details + common,
                arguments: code, examples: ["shorten edit spring --url https://example.com/new"]),
            .init(
                "delete", "ends a link: 410 from then on, and its code is not given again", usage: "CODE",
                flags: common, arguments: code, examples: ["shorten delete spring"]),
            .init(
                "stats", "who has followed a link, and when", usage: "CODE", flags: common, arguments: code,
                examples: ["shorten stats spring"]),
        ]
    }

    private static var auditCommand: Subcommand {
        .init(
            "audit", "whether any click is missing, and how each life of a server has ended",
            usage: "[--seen FILE]",
            flags: [.init("seen", nil, .file, "ids of clicks, one a line: which of them are in the books?")] + common,
            examples: ["shorten audit", "shorten audit --seen clicks.txt"],
            details: """
                A kill loses no click: the next life counts what stands in the file. If the
                power failed, clicks since the last sync may be missing: the audit says since
                when, and with --seen which. Each visitor is told his click's id, X-Click-Id;
                what no shortener of this database has given out is unknown. The status is 1
                if a click is missing.
                """)
    }

    private static var keyCommand: Subcommand {
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
            ],
            details: """
                The first key closes the API: from then on every call needs one, --key KEY.
                Visitors need none.
                """)
    }
}
