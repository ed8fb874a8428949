import GatewayEngine
import KernelCryptography
import KernelHosting
import KernelService
import KernelStructures
import KernelTLS
import KernelWire
import KernelWorld

/// Asks the issuer of opaque tokens about them (RFC 7662). Several requests with one token ask once.
final class Introspector {
    private let node: Node
    private let settings: GatewayConfiguration.IntrospectionSettings
    private let url: HTTPURL
    private let security: TLSClient?
    private let authorization: String?
    private var cache: IntrospectionCache
    private var waiting: [[UInt8]: [(Result<Identity, AccessRefusal>) -> Void]] = [:]
    private(set) var calls = 0

    /// Tokens that are asked about at a time; beyond, 503.
    static let waitingLimit = 1000

    /// - Throws: what cannot be read, or used.
    init(_ settings: GatewayConfiguration.IntrospectionSettings, node: Node, readFile: (String) throws -> [UInt8])
        throws
    {
        self.node = node
        self.settings = settings
        url = try HTTPURL(settings.url)
        security = url.scheme == .https ? try TLSClient(try TLSClientOptions.lab(node.world)) : nil
        cache = IntrospectionCache(time: settings.cacheTime)
        let secret = try Self.secret(settings, readFile: readFile)
        authorization = settings.client.map {
            "Basic " + Base64.standard.encode(Array($0.utf8) + [UInt8(ascii: ":")] + secret)
        }
    }

    /// What proves to the issuer who asks; nothing where no file is named.
    ///
    /// - Throws: what cannot be read, and `ReloadFailure` for an empty one.
    static func secret(
        _ settings: GatewayConfiguration.IntrospectionSettings, readFile: (String) throws -> [UInt8]
    ) throws -> [UInt8] {
        guard let file = settings.secretFile else { return [] }
        var secret = try readFile(file)
        while let last = secret.last, last == 10 || last == 13 { secret.removeLast() }
        if secret.isEmpty { throw ReloadFailure("\(file): the secret is empty") }
        return secret
    }

    /// - Parameter completion: called once, perhaps before this returns.
    func verify(_ token: [UInt8], completion: @escaping (Result<Identity, AccessRefusal>) -> Void) {
        let now = node.wallClock
        if let known = cache.find(token, now: now) { return completion(judge(known)) }
        if let others = waiting[token]?.count {
            guard others < Self.waitingLimit else {
                return completion(.failure(.undecided("too many wait for the issuer of tokens")))
            }
            waiting[token]?.append(completion)
            return
        }
        guard waiting.count < Self.waitingLimit else {
            return completion(.failure(.undecided("the issuer of tokens is asked too much")))
        }
        waiting[token] = [completion]
        ask(token)
    }

    private func ask(_ token: [UInt8]) {
        calls += 1
        var request = HTTPCall.Request("POST", url: url)
        request.fields = [
            ("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json"),
            ("User-Agent", "sdlab"),
        ]
        if let authorization { request.fields.append(("Authorization", authorization)) }
        let text = PercentCoding.encodeForm(String(decoding: token, as: UTF8.self))
        request.body = Array("token=\(text)&token_type_hint=access_token".utf8)
        request.deadline = settings.timeout
        HTTPCall(node, request, security: security) { [weak self] result in self?.answered(token, result) }.start()
    }

    private func answered(_ token: [UInt8], _ result: Result<HTTPCall.Response, HTTPCall.Failure>) {
        let verdict: Result<Identity, AccessRefusal>
        switch result {
        case .success(let response) where response.isSuccess:
            if let answer = try? IntrospectedToken(parsing: response.body) {
                cache.note(answer, for: token, now: node.wallClock)
                verdict = judge(answer)
            } else {
                verdict = .failure(.undecided("the issuer's answer is none of RFC 7662"))
            }
        case .success(let response):
            verdict = .failure(.undecided("the issuer of tokens answered \(response.status)"))
        case .failure(let failure): verdict = .failure(.undecided("the issuer of tokens: \(failure)"))
        }
        for completion in waiting.removeValue(forKey: token) ?? [] { completion(verdict) }
    }

    private func judge(_ answer: IntrospectedToken) -> Result<Identity, AccessRefusal> {
        guard answer.isGood(at: node.wallClock) else {
            return .failure(.invalidToken("the token is not active", reason: "inactive"))
        }
        do throws(AccessRefusal) {
            return .success(try Claims.identity(answer.claims, fields: settings.fields))
        } catch {
            return .failure(error)
        }
    }
}
