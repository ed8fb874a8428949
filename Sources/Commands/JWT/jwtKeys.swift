import CommandKit
import CommandServices
import KernelCryptography
import KernelJSON
import KernelJWT
import KernelStructures
import ShellSession

/// `jwt keys new`, `jwt keys rotate`, `jwt keys list`, `jwt jwks`
struct KeyWords {
    private let invocation: Invocation
    private var arguments: ParsedArguments { invocation.arguments }
    private let file: KeyFile

    init(_ invocation: Invocation) {
        self.invocation = invocation
        file = KeyFile(invocation)
    }

    private static let verbs = ["new", "rotate", "list"]

    static var subcommands: [Subcommand] {
        [
            .init(
                "keys", "makes a key, replaces the one that signs, or lists them",
                usage: "new|rotate|list [--keys FILE] [--alg NAME]",
                flags: [
                    KeyFile.flag,
                    .init(
                        "alg", "a", .choice(JWSAlgorithm.allCases.map(\.rawValue)), "what the new key is for (EdDSA)"),
                    .init("kid", nil, .text("NAME"), "what the new key is called (eight digits by chance)"),
                    .init("bits", nil, .integer(JWK.modulusBits), "of an RSA key (2048)"),
                    .init("keep", nil, .integer(0...50), "rotate: how many older keys still verify (1)"),
                    CommonFlags.json,
                ], arguments: .init([.word(verbs)], 1...1),
                examples: ["jwt keys new", "jwt keys new --alg RS256 --keys rsa.json", "jwt keys rotate --keep 2"],
                details: """
                    rotate: the new key signs from now on, and the one before goes on verifying
                    what it has signed. Rotate again once those tokens have expired, and it is
                    gone. Verifiers that fetch the set find the new key by its name.
                    """),
            .init(
                "jwks", "prints the public halves, as /.well-known/jwks.json has them", usage: "[--keys FILE]",
                flags: [KeyFile.flag], examples: ["jwt jwks > jwks.json"]),
        ]
    }

    var outcome: Outcome {
        get throws {
            if arguments.verb == "jwks" {
                let keys = try file.read()
                if keys.keys.contains(where: \.isSymmetric) {
                    throw CommandFailure("\(file.path): secrets have no public half; there is nothing to publish")
                }
                return .view(View(.text(keys.json().text(.pretty), json: keys.json())))
            }
            switch arguments.arguments[0] {
            case "new": return try make()
            case "rotate": return try rotate()
            case "list": return .view(Self.view(try file.read()))
            case let word:
                throw UsageError(
                    "jwt keys: '\(word)' is none of new, rotate, list\(didYouMean(word, among: Self.verbs))")
            }
        }
    }

    private func newKey(_ algorithm: JWSAlgorithm) throws -> JWK {
        let node = invocation.process.node
        let name = arguments.text("kid") ?? node.draw { hexadecimal($0.next() >> 32, 8) }
        do {
            return try node.draw { random in
                Result {
                    try JWK.make(
                        algorithm, keyID: name, modulusBits: arguments.integer("bits") ?? JWK.modulusBits.lowerBound,
                        random: &random)
                }
            }.get()
        } catch {
            throw CommandFailure("\(error)")
        }
    }

    private var algorithm: JWSAlgorithm? { arguments.text("alg").flatMap(JWSAlgorithm.init) }

    private func make() throws -> Outcome {
        if file.exists {
            throw CommandFailure(
                "\(file.path) is there already; 'jwt keys rotate' adds a key to it, --keys names another file")
        }
        let key = try newKey(algorithm ?? .eddsa)
        try file.write([key])
        return .view(said(key, [], []))
    }

    private func rotate() throws -> Outcome {
        let known = try file.read().keys
        guard let last = known.first(where: \.canSign) else {
            throw CommandFailure("\(file.path): none of its keys can sign, so there is nothing to rotate")
        }
        let key = try newKey(algorithm ?? last.algorithms[0])
        let kept = Array(known.prefix(arguments.integer("keep") ?? 1))
        try file.write([key] + kept)
        return .view(said(key, kept, Array(known.dropFirst(kept.count))))
    }

    private func said(_ key: JWK, _ kept: [JWK], _ gone: [JWK]) -> View {
        func names(_ keys: [JWK]) -> String { keys.map { $0.keyID ?? "(without a name)" }.joined(separator: ", ") }
        var lines = ["Key \(key.keyID ?? "") (\(key.kindName), \(key.algorithms[0].rawValue)) signs from now on"]
        if !kept.isEmpty { lines.append("Still verifying: \(names(kept))") }
        if !gone.isEmpty { lines.append("Gone: \(names(gone)); what they have signed is not accepted any more") }
        func ids(_ keys: [JWK]) -> JSONValue { .array(keys.map { $0.keyID.map { .string($0) } ?? .null }) }
        return View(
            .text(
                lines.joined(separator: "\n"),
                json: [
                    "file": .string(file.path), "kid": key.keyID.map { .string($0) } ?? .null,
                    "alg": .string(key.algorithms[0].rawValue), "verifying": ids(kept), "gone": ids(gone),
                ]))
    }

    private static func view(_ set: JWKSet) -> View {
        let signing = set.signingKey
        let rows = set.keys.map { key -> [View.Cell] in
            let signs = signing?.thumbprint == key.thumbprint && signing?.keyID == key.keyID
            return [
                key.keyID.map { .text($0) } ?? .none, .text(key.kindName),
                .text(key.algorithms.map(\.rawValue).joined(separator: " ")), .text(key.canSign ? "yes" : "no"),
                .text(signs ? "signs" : "verifies"), .text(key.thumbprint),
            ]
        }
        let table = View.Table(
            [
                .init("KID", key: "kid", flexible: true), .init("KEY", key: "key"),
                .init("ALG", key: "alg", flexible: true),
                .init("PRIVATE", key: "private"), .init("USE", key: "use"),
                .init("THUMBPRINT", key: "thumbprint", flexible: true),
            ], rows: rows, whenEmpty: "no keys")
        var view = View(.table(table))
        for line in set.refused { view.parts.append(.text("left out: \(line)", json: .string(line))) }
        return view
    }
}
