import KernelCryptography
import KernelWire
import Testing

/// Both sides of a login, against one another and against the RFC.
@Suite struct PostgresLoginTests {
    @Test("the exchange of RFC 7677, section 3")
    func vector() throws {
        let salt = try #require(Base64.standard.decode("W22ZaJ0SNY7soEsUEjb6gQ=="))
        let keys = SCRAMKeys(password: "pencil", salt: salt, iterations: 4096)
        let authenticated =
            "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
            + "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
        let stored = MessageDigest.sha256.digest(of: keys.clientKey)
        let signature = MessageAuthentication.code(of: Array(authenticated.utf8), key: stored, .sha256)
        let proof = zip(keys.clientKey, signature).map { $0 ^ $1 }
        #expect(Base64.standard.encode(proof) == "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
        let server = MessageAuthentication.code(of: Array(authenticated.utf8), key: keys.serverKey, .sha256)
        #expect(Base64.standard.encode(server) == "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
    }

    private static let nonce = (0..<24).map { UInt8($0) }

    /// Plays a login to its end; nil: let in.
    private static func login(
        _ method: PostgresAuthenticator.Method, _ secret: PostgresAuthenticator.Secret, password: String?
    ) -> PostgresError? {
        var server = PostgresAuthenticator(user: "app", method: method, secret: secret, nonce: Self.nonce)
        var client = PostgresLogin(user: "app", password: password, nonce: Self.nonce.reversed())
        var step = server.begin()
        for _ in 0..<10 {
            switch step {
            case .refused(let error): return error
            case .accepted(let last):
                if let last, case .failed(let error) = client.receive(.authentication(last)) { return error }
                if case .failed(let error) = client.receive(.authentication(.ok)) { return error }
                return client.receive(.readyForQuery(.idle)) == .ready ? nil : .violation("not ready")
            case .ask(let request):
                switch client.receive(.authentication(request)) {
                case .send(.password(let body)): step = server.receive(body)
                case .failed(let error): return error
                default: return .violation("no answer")
                }
            }
        }
        return .violation("it never ends")
    }

    @Test(
        "the right password is let in, another one and none are not", arguments: PostgresAuthenticator.Method.allCases)
    func methods(method: PostgresAuthenticator.Method) {
        let verifier = SCRAMVerifier(password: "secret", salt: Self.nonce)
        let secrets: [PostgresAuthenticator.Secret] = [
            .password("secret"),
            method == .md5
                ? .md5("md5" + Hexadecimal.encode(MessageDigest.md5.digest(of: "secretapp"))) : .scram(verifier),
        ]
        for secret in secrets {
            #expect(Self.login(method, secret, password: "secret") == nil)
            guard method != .trust else { continue }
            #expect(Self.login(method, secret, password: "Secret")?.sqlState == .invalidPassword)
            #expect(Self.login(method, secret, password: nil)?.message == "no password supplied")
        }
        if method != .trust { #expect(Self.login(method, .none, password: "")?.sqlState == .invalidPassword) }
    }

    @Test("a verifier is read as PostgreSQL stores it, and nothing else is")
    func verifier() throws {
        let made = SCRAMVerifier(password: "secret", salt: Self.nonce)
        #expect(SCRAMVerifier(parsing: "\(made)") == made)
        for text in ["", "SCRAM-SHA-256$", "SCRAM-SHA-256$0:YQ==$YQ==:YQ==", "md5abc"] {
            #expect(SCRAMVerifier(parsing: text) == nil)
        }
        #expect(PostgresAuthenticator.Secret(parsing: "\(made)") == .scram(made))
        #expect(PostgresAuthenticator.Secret(parsing: "plain") == .password("plain"))
    }

    @Test("a server that does not know the password is found out, and so is one that skips its proof")
    func impostor() {
        var client = PostgresLogin(user: "app", password: "secret", nonce: Self.nonce)
        guard case .send(.password(let body)) = client.receive(.authentication(.sasl(["SCRAM-SHA-256"]))),
            let first = try? PostgresPassword.saslInitial(body).data
        else {
            Issue.record("no first message")
            return
        }
        var skipping = client
        let skipped = skipping.receive(.authentication(.ok))
        #expect(skipped != .nothing)
        var server = SCRAMServer(verifier: SCRAMVerifier(password: "other", salt: Self.nonce), nonce: Self.nonce)
        guard let answer = try? server.answer(first) else {
            Issue.record("no answer")
            return
        }
        _ = client.receive(.authentication(.saslContinue(answer)))
        if case .failed = client.receive(.authentication(.saslFinal(Array("v=AAAA".utf8)))) { return }
        Issue.record("the impostor was believed")
    }

    @Test("URLs say what libpq's say; what is wrong with one is said")
    func urls() throws {
        let url = try PostgresURL("postgres://a%40b:p%2Fw@db:6000/urls?sslmode=require&application_name=x")
        #expect(url.user == "a@b" && url.password == "p/w" && url.destination.description == "db:6000")
        #expect(url.database == "urls" && url.tls == .require && url.applicationName == "x")
        let short = try PostgresURL("postgresql://localhost")
        #expect(short.user == "postgres" && short.database == "postgres" && short.destination.port == 5432)
        #expect(try PostgresURL("postgres://app@[::1]:5/x").destination.port == 5)
        for text in [
            "http://x", "postgres://x:99999/d", "postgres://x/d?sslmode=maybe", "postgres://x/d?nix=1",
            "postgres://%zz@x",
        ] {
            #expect(throws: PostgresURL.Malformed.self) { try PostgresURL(text) }
        }
    }
}
