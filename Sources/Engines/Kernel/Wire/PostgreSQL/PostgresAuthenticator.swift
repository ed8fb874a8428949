import KernelCryptography

/// The server's side of letting somebody in: asks for what its rule wants, and judges the answer. It speaks messages
/// only, so the database and the pooler in front of it share it.
public struct PostgresAuthenticator: Sendable {
    public enum Method: String, CaseIterable, Sendable {
        /// Whoever comes is who he says.
        case trust
        /// The password in clear, for old clients.
        case plain
        case md5
        case scram = "scram-sha-256"
    }

    /// What is known of the user.
    public enum Secret: Equatable, Sendable {
        /// There is no such user, or nobody may be him.
        case none
        case password(String)
        /// `md5` and the digest of password and name, in hexadecimal.
        case md5(String)
        case scram(SCRAMVerifier)

        /// Reads it as `pg_authid` and pgbouncer's `userlist.txt` have it: a SCRAM verifier, an MD5 digest, or the
        /// password itself.
        public init(parsing text: String) {
            if let verifier = SCRAMVerifier(parsing: text) {
                self = .scram(verifier)
            } else if text.utf8.count == 35, text.hasPrefix("md5"), Hexadecimal.decode(String(text.dropFirst(3))) != nil
            {
                self = .md5(text)
            } else {
                self = .password(text)
            }
        }
    }

    public enum Step: Equatable, Sendable {
        /// Say this, and give the client's answer to `receive`.
        case ask(PostgresAuthentication)
        /// Say this, if anything; then the client is in.
        case accepted(PostgresAuthentication?)
        case refused(PostgresError)
    }

    public let user: String
    private let method: Method
    private let secret: Secret
    private let nonce: [UInt8]
    private var exchange: SCRAMServer?
    private var hasBegun = false

    /// - Parameter nonce: 22 or more bytes that nobody can predict.
    public init(user: String, method: Method, secret: Secret, nonce: [UInt8]) {
        self.user = user
        self.secret = secret
        self.nonce = nonce
        // Who has an MD5 rule and a SCRAM verifier is asked for SCRAM, as by PostgreSQL.
        if method == .md5, case .scram = secret { self.method = .scram } else { self.method = method }
    }

    private var salt: [UInt8] { Array(nonce.prefix(4)) }

    public mutating func begin() -> Step {
        switch method {
        case .trust: .accepted(nil)
        case .plain: .ask(.cleartextPassword)
        case .md5: .ask(.md5Password(salt: salt))
        case .scram: .ask(.sasl([SCRAM.mechanism]))
        }
    }

    /// Takes the body of a password message.
    public mutating func receive(_ body: [UInt8]) -> Step {
        do throws(PostgresError) {
            switch method {
            case .trust: return .refused(.violation("a password that nobody asked for"))
            case .plain: return verdict(isRight(plain: try PostgresPassword.text(body)))
            case .md5: return verdict(isRight(digest: try PostgresPassword.text(body)))
            case .scram: return try scram(body)
            }
        } catch {
            return .refused(error)
        }
    }

    private var denial: PostgresError {
        PostgresError(.invalidPassword, "password authentication failed for user \"\(user)\"", severity: .fatal)
    }

    private func verdict(_ isRight: Bool) -> Step { isRight ? .accepted(nil) : .refused(denial) }

    private func isRight(plain: String) -> Bool {
        switch secret {
        case .none: return false
        case .password(let password): return isEqualInConstantTime(Array(plain.utf8), Array(password.utf8))
        case .md5(let digest):
            return isEqualInConstantTime(Array(digest.utf8), Array(PostgresMD5.secret(plain, user: user).utf8))
        case .scram(let verifier):
            let made = SCRAMVerifier(password: plain, salt: verifier.salt, iterations: verifier.iterations)
            return isEqualInConstantTime(made.storedKey, verifier.storedKey)
        }
    }

    private func isRight(digest: String) -> Bool {
        let known: String
        switch secret {
        case .none, .scram: return false
        case .password(let password): known = PostgresMD5.secret(password, user: user)
        case .md5(let text): known = text
        }
        return isEqualInConstantTime(Array(digest.utf8), Array(PostgresMD5.answer(known, salt: salt).utf8))
    }

    /// For a user that does not exist the exchange goes on to its end, with a verifier that nothing fits: nobody is to
    /// learn which names there are.
    private var verifier: SCRAMVerifier {
        switch secret {
        case .scram(let verifier): verifier
        case .password(let password): SCRAMVerifier(password: password, salt: Array(mockSalt))
        case .none, .md5: SCRAMVerifier(password: Hexadecimal.encode(nonce), salt: Array(mockSalt))
        }
    }

    /// The same for a name each time.
    private var mockSalt: ArraySlice<UInt8> { MessageDigest.sha256.digest(of: "salt of \(user)").prefix(16) }

    private mutating func scram(_ body: [UInt8]) throws(PostgresError) -> Step {
        do throws(SCRAM.Failure) {
            guard hasBegun else { return try scramInitial(body) }
            guard var exchange else { return .refused(denial) }
            return .accepted(.saslFinal(try exchange.finish(body)))
        } catch {
            switch error {
            case .wrongPassword: return .refused(denial)
            default:
                var refusal = PostgresError.violation("malformed SCRAM message")
                refusal.detail = "\(error)"
                return .refused(refusal)
            }
        }
    }

    private mutating func scramInitial(_ body: [UInt8]) throws(SCRAM.Failure) -> Step {
        let initial: (mechanism: String, data: [UInt8]?)
        do throws(PostgresError) { initial = try PostgresPassword.saslInitial(body) } catch { return .refused(error) }
        guard initial.mechanism == SCRAM.mechanism else {
            return .refused(.violation("client selected an invalid SASL authentication mechanism"))
        }
        // A client that has nothing to say at first is asked to begin.
        guard let data = initial.data else { return .ask(.saslContinue([])) }
        hasBegun = true
        var exchange = SCRAMServer(verifier: verifier, nonce: nonce)
        let answer = try exchange.answer(data)
        self.exchange = exchange
        return .ask(.saslContinue(answer))
    }
}

/// Passwords as PostgreSQL digested them before SCRAM. Kept for old files and old clients: MD5 holds nobody off.
enum PostgresMD5 {
    /// What is stored: `md5` and the digest of password and name.
    static func secret(_ password: String, user: String) -> String {
        "md5" + Hexadecimal.encode(MessageDigest.md5.digest(of: password + user))
    }

    /// What is said: the digest once more, with the salt.
    static func answer(_ secret: String, salt: [UInt8]) -> String {
        "md5" + Hexadecimal.encode(MessageDigest.md5.digest(of: Array(secret.dropFirst(3).utf8) + salt))
    }
}
