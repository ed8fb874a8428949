/// The client's side of one SCRAM exchange.
public struct SCRAMClient: Sendable {
    private let password: String
    private let nonce: String
    private var authenticated: [UInt8] = []
    /// The keys that were used: whoever connects often gives them to the next exchange, which then is quick if salt
    /// and rounds are still the same.
    public private(set) var keys: SCRAMKeys?

    /// - Parameter nonce: at least 18 bytes that nobody can predict.
    public init(password: String, nonce: [UInt8], keys: SCRAMKeys? = nil) {
        self.password = password
        self.nonce = Base64.standard.encode(nonce)
        self.keys = keys
    }

    private var firstBare: String { "n=,r=\(nonce)" }

    /// The first message. The name is left out, as in PostgreSQL: it was said before.
    public var first: [UInt8] { Array("n,,\(firstBare)".utf8) }

    /// The answer to the server's first message.
    public mutating func answer(_ serverFirst: [UInt8]) throws(SCRAM.Failure) -> [UInt8] {
        guard let values = SCRAM.attributes(serverFirst, "rsi"), values[0].hasPrefix(nonce),
            values[0].utf8.count > nonce.utf8.count, let salt = Base64.standard.decode(values[1]), !salt.isEmpty,
            let iterations = Int(values[2]), iterations > 0
        else { throw .malformed("the server's first message") }
        guard iterations <= SCRAM.iterationLimit else {
            throw .malformed("the server asks for \(iterations) rounds, more than \(SCRAM.iterationLimit)")
        }
        let known: SCRAMKeys
        if let keys, keys.salt == salt, keys.iterations == iterations {
            known = keys
        } else {
            known = SCRAMKeys(password: password, salt: salt, iterations: iterations)
            keys = known
        }
        let bare = "c=biws,r=\(values[0])"
        authenticated = Array(firstBare.utf8) + [44] + serverFirst + [44] + Array(bare.utf8)
        let storedKey = MessageDigest.sha256.digest(of: known.clientKey)
        let proof = SCRAM.exclusiveOr(known.clientKey, SCRAM.hmac(storedKey, authenticated))
        return Array("\(bare),p=\(Base64.standard.encode(proof))".utf8)
    }

    /// Checks the server's last message.
    public func verify(_ serverFinal: [UInt8]) throws(SCRAM.Failure) {
        if let values = SCRAM.attributes(serverFinal, "e") { throw .malformed("the server says \(values[0])") }
        guard let values = SCRAM.attributes(serverFinal, "v"), let signature = Base64.standard.decode(values[0]),
            let keys, !authenticated.isEmpty
        else { throw .malformed("the server's last message") }
        guard isEqualInConstantTime(signature, SCRAM.hmac(keys.serverKey, authenticated)) else {
            throw .serverIsStranger
        }
    }
}

/// The server's side of one SCRAM exchange.
public struct SCRAMServer: Sendable {
    private let verifier: SCRAMVerifier
    private let nonce: String
    private var combinedNonce = ""
    private var authenticated: [UInt8] = []
    private var header = ""

    /// - Parameter nonce: at least 18 bytes that nobody can predict.
    public init(verifier: SCRAMVerifier, nonce: [UInt8]) {
        self.verifier = verifier
        self.nonce = Base64.standard.encode(nonce)
    }

    /// The answer to the client's first message.
    public mutating func answer(_ clientFirst: [UInt8]) throws(SCRAM.Failure) -> [UInt8] {
        guard clientFirst.count <= SCRAM.messageLimitBytes, let text = String(validating: clientFirst, as: UTF8.self)
        else { throw .malformed("the client's first message") }
        // gs2-header: binding flag, authorization identity.
        let parts = text.split(separator: ",", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "n" || parts[0] == "y", parts[1].isEmpty else {
            throw .malformed("channel binding and authorization identities are not supported")
        }
        header = "\(parts[0]),,"
        let bare = String(parts[2])
        guard let values = SCRAM.attributes(Array(bare.utf8), "nr"), !values[1].isEmpty else {
            throw .malformed("the client's first message")
        }
        combinedNonce = values[1] + nonce
        let answer = "r=\(combinedNonce),s=\(Base64.standard.encode(verifier.salt)),i=\(verifier.iterations)"
        authenticated = Array("\(bare),\(answer)".utf8)
        return Array(answer.utf8)
    }

    /// The answer to the client's last message, which proves that the server knows the password too.
    public mutating func finish(_ clientFinal: [UInt8]) throws(SCRAM.Failure) -> [UInt8] {
        guard !combinedNonce.isEmpty, let values = SCRAM.attributes(clientFinal, "cr"),
            let end = clientFinal.lastIndex(of: 44), clientFinal[end...].starts(with: Array(",p=".utf8)),
            let proof = Base64.standard.decode(Array(clientFinal[(end + 3)...])), proof.count == 32,
            values[0] == Base64.standard.encode(Array(header.utf8)), values[1] == combinedNonce
        else { throw .malformed("the client's last message") }
        let signed = authenticated + [44] + clientFinal[..<end]
        let clientKey = SCRAM.exclusiveOr(proof, SCRAM.hmac(verifier.storedKey, signed))
        guard isEqualInConstantTime(MessageDigest.sha256.digest(of: clientKey), verifier.storedKey) else {
            throw .wrongPassword
        }
        return Array("v=\(Base64.standard.encode(SCRAM.hmac(verifier.serverKey, signed)))".utf8)
    }
}
