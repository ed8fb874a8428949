/// What clients say (protocol 3.0, section 55.7, "Message Formats").
public enum FrontendMessage: Equatable, Sendable {
    /// Begins a session.
    case startup(PostgresStartup)
    /// Asks for TLS; the answer is one byte, `S` or `N`.
    case sslRequest
    /// Asks for GSSAPI encryption; the answer is `N`.
    case gssEncryptionRequest
    /// On a connection of its own: what that session does is to end.
    case cancelRequest(PostgresCancelKey)
    /// The answer to a request for authentication. What is within depends on what was asked: `PostgresPassword`.
    case password([UInt8])
    /// One text with any number of statements.
    case query(String)
    case parse(statement: String, query: String, parameterTypes: [PostgresOID])
    case bind(PostgresBind)
    case describe(PostgresTarget)
    /// - rowLimit: 0 for all rows.
    case execute(portal: String, rowLimit: Int32)
    case close(PostgresTarget)
    /// Sends what has been answered, without ending anything.
    case flush
    /// Ends what belongs together; after an error everything up to here is passed over.
    case sync
    case copyData([UInt8])
    case copyDone
    case copyFail(String)
    /// The old way to call a function by its number: not supported, and answered with an error.
    case functionCall
    case terminate
}

/// A prepared statement or a portal, by name; the empty name is the unnamed one.
public enum PostgresTarget: Equatable, Sendable {
    case statement(String)
    case portal(String)
}

/// A client's first words.
public struct PostgresStartup: Equatable, Sendable {
    /// 3.0 is 196608: the major number in the upper 16 bits.
    public var version: UInt32
    /// `user`, `database`, `application_name`, `options` …, in their order.
    public var parameters: [Parameter]

    public struct Parameter: Equatable, Sendable {
        public var name: String
        public var value: String

        public init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    public static let version3: UInt32 = 3 << 16

    public init(version: UInt32 = PostgresStartup.version3, parameters: [Parameter]) {
        self.version = version
        self.parameters = parameters
    }

    public var major: Int { Int(version >> 16) }
    public var minor: Int { Int(version & 0xffff) }

    /// The last value given under a name.
    public subscript(name: String) -> String? { parameters.last { $0.name == name }?.value }
}

/// The secret by which a session's work can be ended from another connection.
public struct PostgresCancelKey: Hashable, Sendable {
    public var process: Int32
    public var secret: Int32

    public init(process: Int32, secret: Int32) {
        self.process = process
        self.secret = secret
    }
}

/// Values for a prepared statement's parameters, which make a portal of it.
public struct PostgresBind: Equatable, Sendable {
    public var portal: String
    public var statement: String
    /// None: all text; one: for all; otherwise one for each.
    public var parameterFormats: [PostgresFormat]
    /// nil is NULL.
    public var parameters: [[UInt8]?]
    public var resultFormats: [PostgresFormat]

    public init(
        portal: String = "", statement: String = "", parameterFormats: [PostgresFormat] = [],
        parameters: [[UInt8]?] = [], resultFormats: [PostgresFormat] = []
    ) {
        self.portal = portal
        self.statement = statement
        self.parameterFormats = parameterFormats
        self.parameters = parameters
        self.resultFormats = resultFormats
    }

    public func parameterFormat(_ index: Int) -> PostgresFormat { Self.format(parameterFormats, index) }
    public func resultFormat(_ index: Int) -> PostgresFormat { Self.format(resultFormats, index) }

    private static func format(_ formats: [PostgresFormat], _ index: Int) -> PostgresFormat {
        formats.count == 1 ? formats[0] : formats.indices.contains(index) ? formats[index] : .text
    }
}

/// What is within a password message, by what the server had asked for.
public enum PostgresPassword {
    /// An answer to a request for a password, cleartext or MD5: a text with a zero behind it.
    public static func text(_ body: [UInt8]) throws(PostgresError) -> String {
        guard body.last == 0, !body.dropLast().contains(0) else {
            throw PostgresError.violation("invalid password packet size")
        }
        return String(decoding: body.dropLast(), as: UTF8.self)
    }

    /// SASLInitialResponse: the chosen mechanism, and its first message, which may be left out.
    public static func saslInitial(_ body: [UInt8]) throws(PostgresError) -> (mechanism: String, data: [UInt8]?) {
        guard let end = body.firstIndex(of: 0), body.count - end >= 5 else {
            throw PostgresError.violation("invalid SASL response")
        }
        let count = body[(end + 1)..<(end + 5)].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        let data = Array(body[(end + 5)...])
        guard count == UInt32.max ? data.isEmpty : Int(count) == data.count else {
            throw PostgresError.violation("invalid SASL response")
        }
        return (String(decoding: body[..<end], as: UTF8.self), count == UInt32.max ? nil : data)
    }

    /// The body of a password message for `saslInitial`.
    public static func encodeSASLInitial(mechanism: String, data: [UInt8]) -> [UInt8] {
        var body: [UInt8] = []
        body.append(cString: mechanism)
        body.append(value: data)
        return body
    }
}
