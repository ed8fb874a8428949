import KernelStructures

/// A message of the domain name system (RFC 1035 §4), either way.
///
/// ## An everyday picture
///
/// A reply card. The form has one box for the question, and the answer comes back on the same form: question on top,
/// answers below it, then who is responsible, then what else may be useful. It has to fit on a postcard of 512 bytes;
/// what does not is left out, and a cross in the corner says: ring me up instead (TCP).
///
/// ## How
///
/// ```
/// message = id flags counts question* answer* authority* additional*
/// name    = *( length bytes ) ( 0 | pointer )      ; a pointer leads to an earlier place that ends in the same way
/// record  = name type class ttl length data
/// ```
///
/// EDNS (RFC 6891) hides in the additional section as a record of type OPT, whose class is the largest datagram that
/// its sender takes and whose TTL holds flags. Here it is `edns`, and never among the records.
public struct DNSMessage: Equatable, Sendable {
    public var id: UInt16
    public var isResponse = false
    /// 0 for a query.
    public var opcode: UInt8 = 0
    /// The server is responsible for the zone.
    public var isAuthoritative = false
    /// Something did not fit.
    public var isTruncated = false
    public var wantsRecursion = false
    public var offersRecursion = false
    public var isAuthentic = false
    public var skipsValidation = false
    /// The response code's low four bits and, with EDNS, eight more.
    public var code = ResponseCode.noError
    public var questions: [Question] = []
    public var answers: [DNSRecord] = []
    public var authority: [DNSRecord] = []
    public var additional: [DNSRecord] = []
    public var edns: EDNS?

    public struct Question: Hashable, Sendable {
        public var name: DNSName
        public var type: DNSType
        public var recordClass: DNSClass

        public init(_ name: DNSName, _ type: DNSType, _ recordClass: DNSClass = .internet) {
            self.name = name
            self.type = type
            self.recordClass = recordClass
        }
    }

    public struct ResponseCode: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
        public let rawValue: UInt16
        public init(rawValue: UInt16) { self.rawValue = rawValue & 0xFFF }
        public static let noError = ResponseCode(rawValue: 0)
        public static let formatError = ResponseCode(rawValue: 1)
        public static let serverFailure = ResponseCode(rawValue: 2)
        /// The name does not exist, with no type at all.
        public static let nameError = ResponseCode(rawValue: 3)
        public static let notImplemented = ResponseCode(rawValue: 4)
        public static let refused = ResponseCode(rawValue: 5)
        public static let badVersion = ResponseCode(rawValue: 16)

        public var description: String {
            switch self {
            case .noError: "NOERROR"
            case .formatError: "FORMERR"
            case .serverFailure: "SERVFAIL"
            case .nameError: "NXDOMAIN"
            case .notImplemented: "NOTIMP"
            case .refused: "REFUSED"
            case .badVersion: "BADVERS"
            default: "RESERVED\(rawValue)"
            }
        }
    }

    /// What an OPT record says (RFC 6891 §6.1).
    public struct EDNS: Equatable, Sendable {
        /// Bytes of the largest datagram that the sender takes.
        public var payloadBytes: UInt16
        public var version: UInt8 = 0
        public var wantsDNSSEC = false
        public var options: [Option] = []

        public struct Option: Equatable, Sendable {
            public let code: UInt16
            public let bytes: [UInt8]
            public init(code: UInt16, bytes: [UInt8]) {
                self.code = code
                self.bytes = bytes
            }
        }

        public init(payloadBytes: UInt16) { self.payloadBytes = payloadBytes }

        /// What passes most networks in one piece: the recommendation of DNS Flag Day 2020, and BIND's default.
        public static let usualPayloadBytes: UInt16 = 1232
    }

    /// Bytes of a datagram for whoever says nothing about it (RFC 1035 §4.2.1).
    public static let plainPayloadBytes = 512
    /// What the length before a message over TCP can say.
    public static let lengthLimitBytes = 65_535

    public init(id: UInt16) { self.id = id }

    /// The answer to a query, with nothing in it yet: its id, question and wish for recursion.
    public init(answering query: DNSMessage) {
        id = query.id
        isResponse = true
        opcode = query.opcode
        wantsRecursion = query.wantsRecursion
        skipsValidation = query.skipsValidation
        questions = query.questions
    }
}

/// Why bytes are no message.
public enum DNSError: Error, Equatable, Sendable, CustomStringConvertible {
    /// It ends in the middle of something.
    case truncated
    /// A label's first byte says neither length nor pointer, or a name is too long.
    case name
    /// A pointer that does not lead to an earlier place.
    case pointer
    /// A record whose data is not of the length that it says, or that its type has.
    case data
    /// More follows behind the last record.
    case excess
    /// OPT twice, or not at the root.
    case edns

    public var description: String {
        switch self {
        case .truncated: "it ends too early"
        case .name: "a name in it is malformed"
        case .pointer: "a name in it points forward"
        case .data: "a record in it has the wrong length"
        case .excess: "something follows behind its end"
        case .edns: "its OPT record is malformed"
        }
    }
}
