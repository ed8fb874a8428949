import CommandKit
import CommandServices
import KernelJSON
import KernelJWT
import KernelStructures
import ShellSession

/// `jwt issue`, `jwt decode`
struct TokenWords {
    private let invocation: Invocation
    private var arguments: ParsedArguments { invocation.arguments }

    init(_ invocation: Invocation) { self.invocation = invocation }

    private typealias Flag = CommandDescription.Flag

    static var subcommands: [Subcommand] {
        let algorithms = JWSAlgorithm.allCases.map(\.rawValue)
        return [
            .init(
                "issue", "signs a token with the first key of the file", usage: "[SUBJECT] [--expires TIME] [FLAGS]",
                flags: [
                    KeyFile.flag, .init("iss", nil, .text("NAME"), "who issues it"),
                    .init("aud", nil, .text("NAME"), repeatable: true, "for whom it is; may be repeated"),
                    .init("scope", nil, .text("WORDS"), "what its holder may do: 'orders:read orders:write'"),
                    .init("expires", "e", .duration(), "how long it is good for (5m)"),
                    .init("not-before", nil, .duration(), "it is good only from then on"),
                    .init("claim", "c", .text("NAME=VALUE"), repeatable: true, "any other claim; JSON, or else text"),
                    .init("alg", "a", .choice(algorithms), "with which algorithm (the key's)"),
                    .init("jti", nil, "with an identifier of its own"),
                ], arguments: .init([.text], 0...1),
                examples: ["jwt issue u123 --expires 15m", "TOKEN=$(jwt issue u1 --aud shop -c role='\"admin\"')"]),
            .init(
                "decode", "shows what a token says, and whether it is to be believed",
                usage: "TOKEN [--keys FILE] [FLAGS]",
                flags: [
                    .init("keys", "k", .file, "keys to verify it with: a JWK set, a key, or PEM text"),
                    .init("iss", nil, .text("NAME"), repeatable: true, "it must be from there; may be repeated"),
                    .init("aud", nil, .text("NAME"), repeatable: true, "it must be for one of these"),
                    .init("alg", "a", .choice(algorithms), repeatable: true, "what is allowed (all but HMAC)"),
                    .init("leeway", nil, .duration(allowsZero: true), "how far clocks may be apart (0s)"),
                    .init("at", nil, .text("TIME"), "judge it as of then: +1h, -5m, 2023-12-20T16:00:00Z"),
                    CommonFlags.json,
                ], arguments: .init([.text], 1...1),
                examples: ["jwt decode \"$TOKEN\"", "jwt decode \"$TOKEN\" --keys jwks.json --aud shop --at +1h"],
                details: "Exits with 1 if the token is not accepted. Without --keys nothing is verified."),
        ]
    }

    var outcome: Outcome {
        get throws {
            if arguments.verb == "issue" {
                let token = try issue()
                // What a literal `eyJ...` stands for from now on.
                invocation.session.lastToken = token
                invocation.process.print(token)
                return .success
            }
            let token = TokenView(arguments.arguments[0])
            guard arguments.has("keys") else {
                try requireNoPolicy()
                return .view(try token.view(nil, now: try now()))
            }
            let keys = try KeyFile(invocation).read()
            let verdict = token.judge(keys, policy, now: try now())
            let view = try token.view(verdict, now: try now())
            guard verdict.failure != nil else { return .view(view) }
            invocation.process.output.write(invocation.process.text(of: view, for: arguments))
            return .done(1)
        }
    }

    private func fail(_ text: String) -> UsageError { UsageError("\(arguments.description.name): \(text)") }

    // MARK: Issuing

    private func issue() throws -> String {
        let keys = try KeyFile(invocation).read()
        guard let key = keys.signingKey else {
            throw CommandFailure("none of the keys can sign; they are public halves")
        }
        let now = invocation.process.node.wallClock
        func seconds(_ time: LabTime) -> JSONValue { .integer(Int(time.unixSeconds)) }
        var claims: [(key: String, value: JSONValue)] = []
        if let issuer = arguments.text("iss") { claims.append(("iss", .string(issuer))) }
        if let subject = arguments.arguments.first { claims.append(("sub", .string(subject))) }
        let audiences = arguments.texts("aud").map { JSONValue.string($0) }
        if !audiences.isEmpty { claims.append(("aud", audiences.count == 1 ? audiences[0] : .array(audiences))) }
        if let scope = arguments.text("scope") { claims.append(("scope", .string(scope))) }
        claims.append(("iat", seconds(now)))
        if let wait = arguments.duration("not-before") { claims.append(("nbf", seconds(now + wait))) }
        claims.append(("exp", seconds(now + (arguments.duration("expires") ?? .seconds(300)))))
        if arguments.has("jti") {
            claims.append(("jti", .string(invocation.process.node.draw { hexadecimal($0.next(), 16) })))
        }
        for text in arguments.texts("claim") {
            let claim = try claim(text)
            if let place = claims.firstIndex(where: { $0.key == claim.key }) {
                claims[place] = claim
            } else {
                claims.append(claim)
            }
        }
        try refuseNeverValid(claims)
        do throws(JWKError) {
            return try JWTSigner(key: key, algorithm: arguments.text("alg").flatMap(JWSAlgorithm.init))
                .sign(.object(claims))
        } catch {
            throw CommandFailure("\(error)")
        }
    }

    /// A token that ends before it begins is refused by everybody, at any time.
    private func refuseNeverValid(_ claims: [(key: String, value: JSONValue)]) throws {
        func seconds(_ name: String) -> Double? {
            claims.first { $0.key == name }.flatMap { try? JSONCursor($0.value).number() }
        }
        guard let begin = seconds("nbf"), let end = seconds("exp"), end <= begin else { return }
        throw fail("the token would end before it begins; give --expires a longer time than --not-before")
    }

    private func claim(_ text: String) throws -> (key: String, value: JSONValue) {
        guard let equals = text.firstIndex(of: "="), equals != text.startIndex else {
            throw fail("--claim '\(text)': write NAME=VALUE, for example role=admin or level=7")
        }
        let name = String(text[..<equals])
        let value = String(text[text.index(after: equals)...])
        let json = (try? JSONValue(parsing: value)) ?? .string(value)
        // RFC 7519, 4.1: a token with anything else there is refused by everybody.
        if ["exp", "nbf", "iat"].contains(name) {
            guard let seconds = try? JSONCursor(json).number(), (0..<1e11).contains(seconds) else {
                throw fail("--claim '\(text)': \(name) is a time in seconds since 1970, such as 1703088000")
            }
        }
        return (name, json)
    }

    // MARK: Judging

    private func requireNoPolicy() throws {
        for name in ["iss", "aud", "alg", "leeway"] where arguments.has(name) {
            throw fail("--\(name) is for verifying; add --keys FILE")
        }
    }

    private var policy: JWTPolicy {
        let algorithms = arguments.texts("alg").compactMap(JWSAlgorithm.init)
        return JWTPolicy(
            algorithms: algorithms.isEmpty ? JWSAlgorithm.asymmetric : algorithms, issuers: arguments.texts("iss"),
            audiences: arguments.texts("aud"), leeway: arguments.duration("leeway") ?? .zero)
    }

    private func now() throws -> LabTime {
        let now = invocation.process.node.wallClock
        guard let text = arguments.text("at") else { return now }
        if let time = LabTime(parsing: text) { return time }
        if text.hasPrefix("+"), let ahead = LabDuration(parsing: text.dropFirst()) { return now + ahead }
        if text.hasPrefix("-"), let back = LabDuration(parsing: text.dropFirst()) { return now - back }
        throw fail("--at '\(text)' is no time; write +1h, -5m or 2023-12-20T16:00:00Z")
    }
}
