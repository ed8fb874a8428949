import CommandKit
import CommandServices
import KernelAMQP
import KernelService
import KernelStructures
import KernelWire
import MessageQueueService
import ShellSession
import ShortenerEngine
import ShortenerService

/// What is typed to run a URL shortener.
package enum ShortenerCommands {
    package static var all: [Command] { [urlshortener, shorten] }

    /// `urlshortener --db postgres://localhost/urls --port 8080`
    static var urlshortener: Command {
        let kind = ServiceKind("urlshortener", node: "urls", port: .preset(ShortenerHost.defaultPort))
        let description = CommandDescription(
            "urlshortener", "makes long addresses short, and counts who follows them",
            usage: "[--db FILE|postgres://…] [--port PORT] [FLAGS]",
            flags: kind.flags(
                [
                    .init(
                        "db", nil, .text("FILE|URL"),
                        "where links are kept: a file, or postgres://HOST/NAME (./links.db)"),
                    .init(
                        "clicks", nil, .file,
                        "where clicks wait for the database, for this one alone (./links-clicks, or -NAME behind it)"),
                    .init("base", nil, .text("URL"), "what stands before a code (http:// and the host that was asked)"),
                    .init("code-length", nil, .integer(ShortCode.lengths), "characters of the first codes (6)"),
                    .init(
                        "redirect", nil, .choice(Redirect.allCases.map { "\($0.rawValue)" }),
                        "the status of links that do not say (301)"),
                    .init("api-key", nil, .text("LIST"), "keys of which one is needed to use the APIs (none)"),
                    .init(
                        "create-limit", nil, .integer(0...100_000_000),
                        "links that a client may make in a minute; 0: any (6000)"),
                    .init("cache", nil, .integer(2...10_000_000), "links kept in memory (100000)"),
                    .init(
                        "queue", nil, .text("URL"),
                        "by way of which clicks come into the database: amqp://…, amqps://… (straight)"),
                    .init(
                        "shared-cache", nil, .text("PLACE"),
                        "of links, for several shorteners: redis://host:port (none)"),
                    .init(
                        "flush", nil, .duration(), "from a click to its row; the most that a power failure takes (1s)"),
                    .init("zone", nil, .text("OFFSET"), "of the days that clicks are counted by, such as +02:00 (UTC)"),
                    .init(
                        "public", nil, "refuses addresses of visitors' own networks: 127.0.0.1, 10.0.0.0/8, localhost"),
                    .init("fallback", nil, .text("URL"), "where visitors of links that are over are sent (410 Gone)"),
                    .init(
                        "extra-path", nil, .choice(ShortenerSettings.ExtraPath.allCases.map(\.rawValue)),
                        "what becomes of a path behind a code (refuse)"),
                ] + TLSFlags.towards("the broker")),
            examples: [
                "urlshortener --port 8080",
                "curl localhost:8080/api/shorten -d '{\"url\": \"https://example.com/\"}'",
                "curl http://localhost:8080/api/stats/abc123",
            ],
            group: .components, role: .service, tags: ["URL"],
            details: """
                POST /api/shorten takes url, alias, expires_at, expires_in, valid_since,
                max_visits, redirect, title, tags, forward_query, find_existing. GET, PATCH and
                DELETE /api/links/CODE; /api/links, /api/links/CODE/history, /api/export,
                /api/import; /api/stats/CODE?details. /CODE+ says where a link leads,
                /CODE/qr-code draws it, and /CODE/track is a pixel that counts. /api/keys makes
                API keys; /api/audit looks for missing clicks. / is a page for people. Shlink's
                REST API v3 and YOURLS's API are there, too. A code's letters have a case, and
                it counts. A link that is over answers 410, and one that never was 404. In
                --fallback and the domains' redirects {DOMAIN} and {ORIGINAL_PATH} stand for
                what the visitor asked for.
                A click is in a file before its visitor is sent on, and in the database within
                --flush, once: a kill loses none.
                """)
        return .service(kind, description) { invocation in
            let settings = try shortenerSettings(invocation)
            let hasClicks = invocation.arguments.has("clicks")
            return ServicePlan { (node, service) -> ShortenerHost in
                var settings = settings
                // Several at one place are told apart by their names.
                if !hasClicks, node.name != kind.nodeName { settings.clickDirectory += "-" + node.name }
                return ShortenerHost(node: node, settings: settings, port: service.port, options: service.options)
            }
        }
    }

    private static func shortenerSettings(_ invocation: Invocation) throws -> ShortenerSettings {
        let arguments = invocation.arguments
        let files = invocation.session.files
        var settings = ShortenerSettings(
            store: try store(arguments.text("db") ?? "./links.db", invocation),
            clickDirectory: files.absolute(arguments.text("clicks") ?? "./links-clicks"))
        if let base = arguments.text("base") { settings.base = try address(base, "--base").trimmedSlash }
        if let fallback = arguments.text("fallback") {
            settings.fallback = try address(fallback, "--fallback")
            guard SpecialTarget.isHostFixed(settings.fallback ?? "") else {
                throw UsageError("urlshortener: --fallback: placeholders stand in a path or a query, not in the host")
            }
        }
        if let length = arguments.integer("code-length") { settings.codeLength = length }
        if let status = arguments.text("redirect").flatMap(Int.init).flatMap(Redirect.init(rawValue:)) {
            settings.redirect = status
        }
        if let list = try arguments.secret("api-key") {
            settings.apiKeys = list.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
            guard !settings.apiKeys.contains("") else {
                throw UsageError("urlshortener: --api-key: one of the keys is empty; take the comma out")
            }
        }
        if let limit = arguments.integer("create-limit") { settings.createsPerMinute = limit == 0 ? nil : limit }
        if let count = arguments.integer("cache") { settings.cacheCapacity = count }
        if let text = arguments.text("queue") {
            let place = try AMQPURL.broker(text, flag: "queue", invocation)
            settings.queue = BrokerPlace(place.url, security: place.security)
        } else if let flag = TLSFlags.given(arguments) {
            throw UsageError("urlshortener: --\(flag) is for a broker; give --queue amqps://…")
        }
        if let text = arguments.text("shared-cache") { settings.sharedCache = try sharedCache(text) }
        if let mode = arguments.text("extra-path").flatMap(ShortenerSettings.ExtraPath.init(rawValue:)) {
            settings.extraPath = mode
        }
        if let interval = arguments.duration("flush") { settings.flushInterval = interval }
        settings.allowsPrivate = !arguments.has("public")
        if let zone = arguments.text("zone") { settings.zoneSeconds = try zoneSeconds(zone) }
        return settings
    }

    private static func store(_ text: String, _ invocation: Invocation) throws -> ShortenerSettings.Store {
        guard text.contains("://") else {
            return .file(path: invocation.session.files.absolute(text), text: text)
        }
        do throws(PostgresURL.Malformed) {
            return .postgres(try PostgresURL(text), text: text)
        } catch {
            throw UsageError("urlshortener: --db: \(error); or give the name of a file")
        }
    }

    private static func sharedCache(_ text: String) throws -> HostPort {
        let place = text.hasPrefix("redis://") ? String(text.dropFirst("redis://".count)) : text
        do throws(HostPort.Malformed) {
            return try HostPort(reading: Substring(place.contains(":") ? place : place + ":6379"))
        } catch {
            throw UsageError("urlshortener: --shared-cache: \(error); give redis://host:port")
        }
    }

    private static func address(_ text: String, _ flag: String) throws -> String {
        do throws(TargetURL.Malformed) {
            return try TargetURL(parsing: text).description
        } catch {
            throw UsageError("urlshortener: \(flag): \(error); \(error.remedy)")
        }
    }

    /// `+02:00`, `-03:30`, `UTC`
    private static func zoneSeconds(_ text: String) throws -> Int {
        if text == "UTC" || text == "Z" { return 0 }
        guard let time = LabTime(parsing: "2000-01-01T00:00:00\(text)"),
            let noon = LabTime(parsing: "2000-01-01T00:00:00Z")
        else { throw UsageError("urlshortener: --zone: '\(text)' is no offset such as +02:00") }
        return Int((noon - time).nanoseconds / 1_000_000_000)
    }
}

extension String {
    fileprivate var trimmedSlash: String { hasSuffix("/") ? String(dropLast()) : self }
}
