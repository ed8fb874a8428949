import KernelCryptography

/// The client's side of coming in: from the startup message to the first ReadyForQuery.
public struct PostgresLogin: Sendable {
    public enum Step: Equatable, Sendable {
        case nothing
        case send(FrontendMessage)
        /// The session is open.
        case ready
        case failed(PostgresError)
    }

    /// What the server says of itself: settings in their order, the last word for each name.
    public private(set) var parameters: [PostgresStartup.Parameter] = []
    public private(set) var cancelKey: PostgresCancelKey?
    /// For the next login with the same password.
    public private(set) var keys: SCRAMKeys?

    private let user: String
    private let password: String?
    private let nonce: [UInt8]
    private var exchange: SCRAMClient?
    private var isServerProven = false
    private var isAccepted = false

    /// Settings that are kept, at most.
    static let parameterLimit = 100

    /// - Parameters:
    ///   - nonce: 18 or more bytes that nobody can predict.
    ///   - keys: of the last login, if there was one.
    public init(user: String, password: String?, nonce: [UInt8], keys: SCRAMKeys? = nil) {
        self.user = user
        self.password = password
        self.nonce = nonce
        self.keys = keys
    }

    /// Takes one message of the server. Notices and notifications are its owner's.
    public mutating func receive(_ message: BackendMessage) -> Step {
        switch message {
        case .authentication(let authentication): return receive(authentication)
        case .parameterStatus(let name, let value):
            parameters.removeAll { $0.name == name }
            if parameters.count < Self.parameterLimit { parameters.append(.init(name, value)) }
            return .nothing
        case .backendKeyData(let key):
            cancelKey = key
            return .nothing
        case .readyForQuery:
            guard isAccepted else { return .failed(.violation("the server is ready before it has let anybody in")) }
            return .ready
        case .errorResponse(let error): return .failed(error)
        case .noticeResponse, .negotiateProtocolVersion: return .nothing
        default: return .failed(.violation("the server says something else while it lets somebody in"))
        }
    }

    private mutating func receive(_ authentication: PostgresAuthentication) -> Step {
        switch authentication {
        case .ok:
            if exchange != nil, !isServerProven { return .failed(Self.failure("\(SCRAM.Failure.serverIsStranger)")) }
            isAccepted = true
            return .nothing
        case .cleartextPassword:
            guard let password else { return .failed(Self.missing) }
            return .send(.password(Array(password.utf8) + [0]))
        case .md5Password(let salt):
            guard let password else { return .failed(Self.missing) }
            // An MD5 secret may stand for the password itself, as in pgbouncer's files.
            let secret = PostgresMD5.secret(password, user: user)
            return .send(.password(Array(PostgresMD5.answer(secret, salt: salt).utf8) + [0]))
        case .sasl(let mechanisms):
            guard let password else { return .failed(Self.missing) }
            guard mechanisms.contains(SCRAM.mechanism) else {
                return .failed(Self.failure("the server offers \(mechanisms.joined(separator: ", ")) only"))
            }
            let client = SCRAMClient(password: password, nonce: nonce, keys: keys)
            exchange = client
            let body = PostgresPassword.encodeSASLInitial(mechanism: SCRAM.mechanism, data: client.first)
            return .send(.password(body))
        case .saslContinue(let data): return advance { client throws(SCRAM.Failure) in try client.answer(data) }
        case .saslFinal(let data):
            return advance { client throws(SCRAM.Failure) in
                try client.verify(data)
                return nil
            }
        case .unsupported(let code): return .failed(Self.failure("the server wants authentication \(code)"))
        }
    }

    private mutating func advance(_ step: (inout SCRAMClient) throws(SCRAM.Failure) -> [UInt8]?) -> Step {
        guard var client = exchange else { return .failed(.violation("SASL goes on before it has begun")) }
        do throws(SCRAM.Failure) {
            let answer = try step(&client)
            exchange = client
            keys = client.keys
            guard let answer else {
                isServerProven = true
                return .nothing
            }
            return .send(.password(answer))
        } catch {
            return .failed(Self.failure("\(error)"))
        }
    }

    private static let missing = failure("no password supplied")

    private static func failure(_ text: String) -> PostgresError {
        PostgresError(.invalidPassword, text, severity: .fatal)
    }
}
