import KernelConfiguration
import KernelRegularExpressions
import KernelStructures
import KernelWire
import RateLimiterEngine

extension ConfigurationValue {
    /// `none`, `jwt`, `[jwt, api-key]`.
    func accessMethods() throws(ConfigurationError) -> [Route.Access.Method] {
        var methods: [Route.Access.Method] = []
        var hasNone = false
        let names = Route.Access.Method.allCases.map(\.rawValue) + ["none"]
        for item in try oneOrMore("auth") {
            let text = try item.text(for: "auth")
            if let method = Route.Access.Method(rawValue: text) {
                methods.append(method)
            } else if text == "none" {
                hasNone = true
            } else {
                let hint = didYouMean(text, among: names)
                throw ConfigurationError(
                    item.place,
                    "auth '\(text)' is unknown" + (hint.isEmpty ? "; it can be \(names.joined(separator: ", "))" : hint)
                )
            }
        }
        if hasNone, !methods.isEmpty { throw ConfigurationError(place, "auth: none stands alone") }
        return methods
    }

    /// A path in the form in which requests are looked up.
    func path(_ what: String) throws(ConfigurationError) -> String {
        let text = try text(for: what)
        let bytes = Array(text.utf8)
        guard text.hasPrefix("/"), bytes.allSatisfy({ $0 > 32 && $0 < 127 && $0 != 63 && $0 != 35 }) else {
            throw ConfigurationError(
                place, "\(what) '\(text)' must begin with / and have no blanks, ? or #; encode what is not ASCII")
        }
        let canonical: [UInt8]?
        do throws(CanonicalPath.Refusal) {
            canonical = try CanonicalPath.canonical(bytes[...], allowsEncodedSlash: true)
        } catch {
            throw ConfigurationError(place, "\(what) '\(text)': \(error)")
        }
        if let canonical {
            throw ConfigurationError(
                place, "\(what) '\(text)' is never asked for; write \(String(decoding: canonical, as: UTF8.self))")
        }
        return text
    }

    /// `{X-Beta: "1", X-Name: "~ a.*", X-Any: "*"}`
    func matches(_ what: String) throws(ConfigurationError) -> [ValueMatch] {
        guard case .mapping(let pairs) = content else {
            throw ConfigurationError(place, "\(what) must be a mapping of names to values; * for any value")
        }
        var matches: [ValueMatch] = []
        for (key, value) in pairs {
            let name = try key.text(for: what)
            let text = try value.text(for: name)
            if text == "*" {
                matches.append(.init(name: name, value: .present))
            } else if text.hasPrefix("~") {
                matches.append(.init(name: name, value: .expression(try value.expression(of: text.dropFirst()))))
            } else {
                matches.append(.init(name: name, value: .exact(text)))
            }
        }
        return matches
    }

    func expression(of text: some StringProtocol) throws(ConfigurationError) -> RegularExpression {
        do throws(RegularExpressionError) {
            return try RegularExpression(String(text.drop { $0 == " " }))
        } catch {
            throw ConfigurationError(place, "\(error)")
        }
    }
}

extension PathPattern {
    /// `/health`, `/api/users/*`, `~ /v[0-9]+/.*`.
    init(_ value: ConfigurationValue) throws(ConfigurationError) {
        let text = try value.text(for: "path")
        if text.hasPrefix("~") {
            self = .expression(try value.expression(of: text.dropFirst()))
        } else if text == "/*" {
            self = .prefix("")
        } else if text.hasSuffix("/*") {
            let path = try value.path("path")
            guard !path.dropLast(2).contains("*") else { throw Self.starError(value, text) }
            self = .prefix(String(path.dropLast(2)))
        } else {
            if text.contains("*") { throw Self.starError(value, text) }
            self = .exact(try value.path("path"))
        }
    }

    private static func starError(_ value: ConfigurationValue, _ text: String) -> ConfigurationError {
        ConfigurationError(
            value.place, "path '\(text)': * stands at the end, behind a /; for anything else write ~ and an expression")
    }
}

extension HostPattern {
    init?(_ text: String) {
        let isBelow = text.hasPrefix("*.")
        let name = (isBelow ? String(text.dropFirst(2)) : text).lowercased()
        let isOfName = { (byte: UInt8) in
            byte > 32 && byte < 127 && !"*/?#@\\%".utf8.contains(byte)
        }
        guard !name.isEmpty, name.utf8.allSatisfy(isOfName), !name.hasSuffix("."), !name.hasPrefix("."),
            name.hasPrefix("[") || !name.contains(":")
        else { return nil }
        self = isBelow ? .below(name) : .exact(name)
    }
}

extension PathRewrite {
    /// `/new` for the prefix, `{prefix: /new}`, `{path: /all}`, `{match: ^/a/(.*), with: /b/$1}`.
    init(_ value: ConfigurationValue) throws(ConfigurationError) {
        if case .scalar = value.content {
            self = .prefix(try value.path("rewrite"))
            return
        }
        let mapping = try ConfigurationMapping(value, what: "rewrite", keys: ["prefix", "path", "match", "with"])
        switch (mapping["prefix"], mapping["path"], mapping["match"]) {
        case (let prefix?, nil, nil): self = .prefix(try prefix.path("prefix"))
        case (nil, let path?, nil): self = .whole(try path.path("path"))
        case (nil, nil, let match?):
            let expression = try match.expression(of: try match.text(for: "match"))
            guard let with = mapping["with"] else {
                throw ConfigurationError(value.place, "rewrite by match needs with: what stands in its place")
            }
            let template = try with.text(for: "with")
            do throws(RegularExpressionError) {
                let replacement = try RegularExpressionReplacement(template, for: expression)
                self = .expression(expression, replacement, template: template)
            } catch {
                throw ConfigurationError(with.place, "\(error)")
            }
        default: throw ConfigurationError(value.place, "rewrite has prefix, path, or match and with")
        }
    }
}

extension RouteRedirection {
    init(_ value: ConfigurationValue) throws(ConfigurationError) {
        self.init()
        let mapping = try ConfigurationMapping(
            value, what: "a redirect", keys: ["scheme", "host", "port", "path", "prefix", "status"])
        scheme = try mapping.choice("scheme", [("http", "http"), ("https", "https")])
        if let value = mapping["host"] {
            guard case .exact(let name)? = HostPattern(try value.text(for: "host")) else {
                throw ConfigurationError(value.place, "host must be the name of one host")
            }
            host = name
        }
        port = try mapping.integer("port", in: 1...65535).flatMap { UInt16(exactly: $0) }
        if mapping["path"] != nil, mapping["prefix"] != nil {
            throw ConfigurationError(value.place, "path and prefix? one of them")
        }
        if let path = mapping["path"] { rewrite = .whole(try path.path("path")) }
        if let prefix = mapping["prefix"] { rewrite = .prefix(try prefix.path("prefix")) }
        status = try mapping.choice("status", Self.statuses.map { ("\($0)", $0) }) ?? status
        if scheme == nil, host == nil, port == nil, rewrite == nil {
            throw ConfigurationError(value.place, "it would lead to itself; add scheme, host, port, path or prefix")
        }
    }
}

extension FieldEdits {
    init(_ value: ConfigurationValue) throws(ConfigurationError) {
        let mapping = try ConfigurationMapping(value, what: "changes of headers", keys: ["set", "add", "remove"])
        var remove: [String] = []
        for item in try mapping["remove"]?.oneOrMore("remove") ?? [] {
            remove.append(try Self.checked(try item.fieldName("remove"), item))
        }
        self.init(
            set: try Self.fields(mapping["set"], "set"), add: try Self.fields(mapping["add"], "add"), remove: remove)
    }

    private static func fields(_ value: ConfigurationValue?, _ what: String) throws(ConfigurationError) -> [Field] {
        guard let value else { return [] }
        guard case .mapping(let pairs) = value.content else {
            throw ConfigurationError(value.place, "\(what) must be a mapping of names to values")
        }
        var fields: [Field] = []
        for (key, value) in pairs {
            let name = try checked(try key.fieldName(what), key)
            let text = try value.text(for: name)
            guard HTTPWriter.isSafeField(name: name, value: text) else {
                throw ConfigurationError(value.place, "\(name) would have characters that no field can have")
            }
            fields.append(Field(name, text))
        }
        return fields
    }

    /// Those that say where a message ends, or concern one connection, are nobody's to change.
    private static func checked(_ name: String, _ value: ConfigurationValue) throws(ConfigurationError) -> String {
        let own = [
            "connection", "content-length", "transfer-encoding", "host", "te", "trailer", "upgrade", "keep-alive",
            "proxy-connection",
        ]
        guard !own.contains(name.lowercased()) else {
            throw ConfigurationError(
                value.place,
                "\(name) cannot be changed here" + (name.lowercased() == "host" ? "; see host_rewrite" : ""))
        }
        return name
    }
}

extension Route.CrossOriginSettings {
    /// As browsers send it: a scheme and a host, or `null`.
    private static func isOrigin(_ text: String) -> Bool {
        if text == "null" { return true }
        guard let url = try? HTTPURL(text) else { return false }
        return url.target == "/" && !text.hasSuffix("/") && url.user == nil
    }

    /// `true`, `false`, or a mapping.
    static func read(_ value: ConfigurationValue) throws(ConfigurationError) -> Self? {
        if case .scalar(let text) = value.content {
            guard text == "true" || text == "false" else {
                throw ConfigurationError(value.place, "cors is true, false or a mapping, not '\(text)'")
            }
            return text == "true" ? Self() : nil
        }
        let mapping = try ConfigurationMapping(
            value, what: "cors", keys: ["origins", "credentials", "methods", "headers", "expose", "max_age"])
        var settings = Self()
        let origins = try mapping["origins"]?.texts("origins") ?? []
        for origin in origins where origins != ["*"] {
            guard origin.contains("*") else {
                settings.origins.append(origin)
                continue
            }
            guard let pattern = OriginPattern(origin) else {
                throw ConfigurationError(
                    mapping["origins"]!.place,
                    "'\(origin)' is no pattern of origins: https://*.shop.lab, or '*' alone for any")
            }
            settings.originPatterns.append(pattern)
        }
        for origin in settings.origins where !isOrigin(origin) {
            throw ConfigurationError(
                mapping["origins"]!.place, "'\(origin)' is no origin; write https://example.org, without a path")
        }
        settings.allowsCredentials = try mapping.boolean("credentials") ?? false
        if settings.allowsCredentials, settings.allowsAnyOrigin {
            throw ConfigurationError(
                mapping["credentials"]!.place,
                "credentials for any origin? every page could act in its visitor's name; list the origins that may")
        }
        settings.methods = try mapping["methods"]?.texts("methods") ?? settings.methods
        settings.allowedFields = try mapping["headers"]?.texts("headers") ?? settings.allowedFields
        settings.exposedFields = try mapping["expose"]?.texts("expose") ?? []
        for name in settings.methods + settings.allowedFields + settings.exposedFields
        where !HTTPToken.isValid(name) {
            throw ConfigurationError(value.place, "cors: '\(name)' is neither a method nor a field")
        }
        settings.maxAge = try mapping.duration("max_age", allowsZero: true) ?? settings.maxAge
        return settings
    }
}

extension RateLimitPolicy {
    /// `100/min`, or a mapping. Without an algorithm it is the sliding counter: bounded memory, and no double quota at
    /// the turn of a window.
    init(_ value: ConfigurationValue, name: String) throws(ConfigurationError) {
        var algorithm = Algorithm.slidingCounter
        var burst: Int?
        var shadow = false
        var phrase = value
        if case .mapping = value.content {
            let mapping = try ConfigurationMapping(
                value, what: "rate_limit", keys: ["rate", "algorithm", "burst", "shadow"])
            guard let rate = mapping["rate"] else {
                throw ConfigurationError(value.place, "rate_limit needs a rate, such as 100/min")
            }
            phrase = rate
            let choices = Algorithm.allCases.filter { $0 != .concurrency && $0 != .leakyBucket }
            algorithm = try mapping.choice("algorithm", choices.map { ($0.rawValue, $0) }) ?? algorithm
            burst = try mapping.integer("burst", in: 1...1_000_000_000)
            if burst != nil, algorithm.isWindowed {
                throw ConfigurationError(
                    mapping["burst"]!.place, "\(algorithm.rawValue) knows no burst: all of the rate may come at once")
            }
            shadow = try mapping.boolean("shadow") ?? false
        }
        let text = try phrase.text(for: "rate_limit")
        guard let rate = RatePhrase(parsing: text), let period = rate.period else {
            throw ConfigurationError(phrase.place, "rate_limit must be such as 100/min or 10/second, not '\(text)'")
        }
        let quota: Quota
        do throws(QuotaError) {
            quota = try Quota(rate.count, per: period, burst: burst)
        } catch {
            throw ConfigurationError(phrase.place, error.description)
        }
        self.init(name, algorithm, quota)
        isShadow = shadow
    }
}
