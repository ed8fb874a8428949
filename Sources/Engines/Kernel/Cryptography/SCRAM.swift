import CCrypto

/// SCRAM-SHA-256 (RFC 5802, RFC 7677): both sides prove that they know a password, and neither says it.
///
/// A password is like the shape of a key. To show it at the door is to give it away to whoever stands there. Here the
/// server keeps only an imprint, from which no key can be cut, and asks for something that only the key's owner can
/// make, for this one time: a signature over both sides' fresh random words. The server then proves in its turn that
/// it has the imprint, so a stranger at the door is found out as well.
///
/// ```
/// client                                     server
///   n,,n=,r=C                           →
///                                       ←    r=CS,s=salt,i=4096
///   c=biws,r=CS,p=proof                 →
///                                       ←    v=signature
/// ```
///
/// Where it is wrong: whoever steals imprints can still try passwords, 4,096 HMACs each. Passwords are taken as they
/// are; SASLprep (RFC 4013), which lets two spellings of the same letters be one, is left out: it changes nothing for
/// printable ASCII. Channel binding (`SCRAM-SHA-256-PLUS`) is not offered.
public enum SCRAM {
    public static let mechanism = "SCRAM-SHA-256"
    /// PostgreSQL's `scram_iterations`.
    public static let defaultIterations = 4096
    /// What a client lets a server ask of it: a stranger could name a number that takes minutes.
    public static let iterationLimit = 100_000
    static let messageLimitBytes = 4096

    public enum Failure: Error, Equatable, Sendable, CustomStringConvertible {
        /// A message that the protocol does not have.
        case malformed(String)
        /// The client does not know the password.
        case wrongPassword
        /// The server does not know it.
        case serverIsStranger

        public var description: String {
            switch self {
            case .malformed(let what): "malformed SCRAM message: \(what)"
            case .wrongPassword: "the proof does not fit the password"
            case .serverIsStranger: "the server has not proved that it knows the password"
            }
        }
    }

    static func hmac(_ key: [UInt8], _ bytes: [UInt8]) -> [UInt8] {
        MessageAuthentication.code(of: bytes, key: key, .sha256)
    }

    static func exclusiveOr(_ a: [UInt8], _ b: [UInt8]) -> [UInt8] { zip(a, b).map { $0 ^ $1 } }

    /// Splits `r=…,s=…,i=…`; nil unless the letters are these, in this order. What follows them is passed over.
    static func attributes(_ message: [UInt8], _ letters: String) -> [String]? {
        guard message.count <= messageLimitBytes, let text = String(validating: message, as: UTF8.self) else {
            return nil
        }
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        guard parts.count >= letters.utf8.count else { return nil }
        var values: [String] = []
        for (part, letter) in zip(parts, letters) {
            guard part.hasPrefix("\(letter)=") else { return nil }
            values.append(String(part.dropFirst(2)))
        }
        return values
    }
}

/// What follows from a password, a salt and a number of rounds. Making it is slow on purpose (about 1 ms).
public struct SCRAMKeys: Equatable, Sendable {
    public let salt: [UInt8]
    public let iterations: Int
    public let clientKey: [UInt8]
    public let serverKey: [UInt8]

    /// - Parameter iterations: at least 1.
    public init(password: String, salt: [UInt8], iterations: Int = SCRAM.defaultIterations) {
        self.salt = salt
        self.iterations = iterations
        var salted = [UInt8](repeating: 0, count: MessageDigest.sha256.byteCount)
        let bytes = Array(password.utf8) + [0]
        let isDone = bytes.withUnsafeBytes { raw in
            PKCS5_PBKDF2_HMAC(
                raw.baseAddress!.assumingMemoryBound(to: CChar.self), Int32(clamping: bytes.count - 1), salt,
                Int32(clamping: salt.count), Int32(clamping: max(1, iterations)), MessageDigest.sha256.algorithm,
                Int32(salted.count), &salted) == 1
        }
        precondition(isDone, "OpenSSL has no PBKDF2")
        clientKey = SCRAM.hmac(salted, Array("Client Key".utf8))
        serverKey = SCRAM.hmac(salted, Array("Server Key".utf8))
    }
}

/// What a server keeps of a password. It is written as PostgreSQL writes it into `pg_authid`:
/// `SCRAM-SHA-256$4096:salt$StoredKey:ServerKey`, in base64.
public struct SCRAMVerifier: Equatable, Sendable, CustomStringConvertible {
    public let iterations: Int
    public let salt: [UInt8]
    public let storedKey: [UInt8]
    public let serverKey: [UInt8]

    /// - Parameter salt: at least 16 bytes that are different for each password.
    public init(password: String, salt: [UInt8], iterations: Int = SCRAM.defaultIterations) {
        let keys = SCRAMKeys(password: password, salt: salt, iterations: iterations)
        self.iterations = keys.iterations
        self.salt = salt
        storedKey = MessageDigest.sha256.digest(of: keys.clientKey)
        serverKey = keys.serverKey
    }

    /// Nil for anything else.
    public init?(parsing text: String) {
        let parts = text.split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == SCRAM.mechanism else { return nil }
        let first = parts[1].split(separator: ":", omittingEmptySubsequences: false)
        let second = parts[2].split(separator: ":", omittingEmptySubsequences: false)
        guard first.count == 2, second.count == 2, let iterations = Int(first[0]), iterations > 0,
            iterations <= Int32.max, let salt = Base64.standard.decode(String(first[1])), !salt.isEmpty,
            let storedKey = Base64.standard.decode(String(second[0])), storedKey.count == 32,
            let serverKey = Base64.standard.decode(String(second[1])), serverKey.count == 32
        else { return nil }
        self.iterations = iterations
        self.salt = salt
        self.storedKey = storedKey
        self.serverKey = serverKey
    }

    public var description: String {
        let base = Base64.standard
        return
            "\(SCRAM.mechanism)$\(iterations):\(base.encode(salt))$\(base.encode(storedKey)):\(base.encode(serverKey))"
    }
}
