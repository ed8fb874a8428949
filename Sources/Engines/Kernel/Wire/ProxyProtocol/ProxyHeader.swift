import KernelStructures

/// What a proxy says about the client of a connection before that connection's own first byte: HAProxy's PROXY
/// protocol, versions 1 and 2. Sections (§) are those of its specification, `proxy-protocol.txt`.
///
/// **The problem.** A proxy makes connections of its own, so a server sees the proxy's address where the client's
/// should be: in its log, in its limits for each client, in its choice by source address. HTTP has a field for that
/// (`Forwarded`), but a proxy that passes bytes through unread cannot write a field into a protocol that it does not
/// understand, least of all into an encrypted one.
///
/// **The picture.** A secretary puts a call through and says one sentence before stepping out of the line: "Ms Weber
/// for you, from Basel, she dialled the main number." From there on nobody speaks but the two. The sentence comes
/// once, at the start, and the secretary waits for no answer.
///
/// **How.** The sentence is either a line of text (version 1, §2.1) or a block whose length is known after 16 bytes
/// (version 2, §2.2):
///
/// ```
/// line   = "PROXY" SP ( "TCP4" / "TCP6" ) SP source SP destination SP port SP port CRLF
///        | "PROXY UNKNOWN" [ SP anything ] CRLF                            ; at most 107 bytes
///
/// block  = signature             12 bytes   0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A
///          version, command       1 byte    2x: x0 LOCAL, x1 PROXY
///          family, transport      1 byte    0x unknown, 1x IPv4, 2x IPv6, 3x Unix; x0 unknown, x1 stream, x2 datagram
///          length                 2 bytes   of what follows, high byte first
///          source, destination    2 × 4, 2 × 16 or 2 × 108 bytes
///          port, port             2 × 2 bytes, not for Unix
///          *( type 1 byte, length 2 bytes, value )
/// ```
///
/// The signature was chosen so that hardly any other protocol can begin with it, and that most servers end a connection
/// that does: a forgotten setting shows at the first attempt.
///
/// **Where it is wrong: trust.** The header is a claim. Nothing in it is proved; the checksum that version 2 may carry
/// finds broken bits, not lies. Whoever can reach the port can be whoever he likes. Therefore (§2, §5)
///
/// - a port expects the header of every connection or of none: a receiver that looks and guesses lets each client
///   choose its own address;
/// - such a port must be out of reach for all but the proxies that are believed;
/// - the claim is the connection's. A proxy that sends requests of several clients through one connection must not make
///   it, because all of them would be taken for the first.
public struct ProxyHeader: Equatable, Sendable {
    public enum Command: Sendable {
        /// The proxy speaks for itself: a health check, for instance. Version 2 only.
        case local
        /// The proxy speaks for a client.
        case proxy
    }

    /// The socket type of the client's connection.
    public enum Transport: UInt8, Sendable { case stream = 1, datagram = 2 }

    public var version: ProxyProtocolVersion
    public var command: Command
    /// Nil where the connection's own addresses are meant: LOCAL, UNKNOWN, and a family or transport of value 0.
    public var addresses: ProxyAddresses?
    /// Version 1 knows only streams.
    public var transport = Transport.stream
    /// What version 2 adds to the addresses, in order; without checksum and padding.
    public var additions: [ProxyAddition] = []
    /// Of a header that was read: whether it had a CRC-32C, which was right. Of one to be written: whether to add it.
    public var hasChecksum = false

    public init(_ version: ProxyProtocolVersion, _ command: Command, _ addresses: ProxyAddresses? = nil) {
        self.version = version
        self.command = command
        self.addresses = addresses
    }

    /// The client, as the proxy has it; nil if the connection's own remote end is the client.
    public var source: ProxyEndpoint? { addresses?.source }
    /// What the client connected to; nil if the connection's own local end is that.
    public var destination: ProxyEndpoint? { addresses?.destination }

    /// Bytes of the longest line of version 1, CRLF included (§2.1).
    public static let lineByteLimit = 107
    /// Bytes of version 2 before the addresses.
    static let fixedByteCount = 16
    static let signature: [UInt8] = [13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10]
    /// Bytes of each path in version 2.
    static let pathByteCount = 108
}

public enum ProxyProtocolVersion: String, CaseIterable, Sendable { case v1, v2 }

/// Both ends of the client's connection.
public enum ProxyAddresses: Hashable, Sendable {
    /// Where one is IPv4 and the other IPv6, both are written as IPv6 (`::ffff:0:0/96`).
    case internet(source: Endpoint, destination: Endpoint)
    /// Paths as `ProxyEndpoint.unix` has them; at most 108 bytes each.
    case unix(source: [UInt8], destination: [UInt8])

    public var source: ProxyEndpoint {
        switch self {
        case .internet(let source, _): .internet(source)
        case .unix(let source, _): .unix(source)
        }
    }

    public var destination: ProxyEndpoint {
        switch self {
        case .internet(_, let destination): .internet(destination)
        case .unix(_, let destination): .unix(destination)
        }
    }

    /// Whether both ends are IPv4, and can be written so.
    var isIPv4: Bool {
        if case .internet(let source, let destination) = self {
            source.address.isIPv4 && destination.address.isIPv4
        } else {
            false
        }
    }

    /// The ends of one connection. Nil where one is a Unix socket and the other is not, and for paths of more than 108
    /// bytes.
    public init?(source: ProxyEndpoint, destination: ProxyEndpoint) {
        switch (source, destination) {
        case (.internet(let source), .internet(let destination)):
            self = .internet(source: source, destination: destination)
        case (.unix(let source), .unix(let destination)):
            guard max(source.count, destination.count) <= ProxyHeader.pathByteCount else { return nil }
            self = .unix(source: source, destination: destination)
        default: return nil
        }
    }
}

/// An end of a client's connection, of whatever family the client speaks.
public enum ProxyEndpoint: Hashable, Sendable, CustomStringConvertible {
    case internet(Endpoint)
    /// The path of a Unix socket without the zeros behind it; an abstract name begins with a zero, an unnamed socket
    /// has none at all.
    case unix([UInt8])

    /// Nil for a Unix socket.
    public var endpoint: Endpoint? { if case .internet(let endpoint) = self { endpoint } else { nil } }

    /// The address alone, as a log or `X-Forwarded-For` has it: `192.0.2.1`, `2001:db8::1`, `unix:/run/a`. Safe to
    /// print: of a path, only visible ASCII is shown, and a question mark for everything else.
    public var host: String {
        switch self {
        case .internet(let endpoint): endpoint.address.description
        case .unix(let path):
            "unix:"
                + String(
                    decoding: path.enumerated().map { index, byte in
                        index == 0 && byte == 0 ? UInt8(ascii: "@") : byte > 32 && byte < 127 ? byte : UInt8(ascii: "?")
                    }, as: UTF8.self)
        }
    }

    /// Nil for a Unix socket.
    public var port: UInt16? { endpoint?.port }

    /// With the port where there is one: `192.0.2.1:80`, `[2001:db8::1]:80`, `unix:/run/a`.
    public var description: String { endpoint?.description ?? host }
}

/// One type-length-value of version 2 (§2.2): a name the client asked for, an identifier, what TLS agreed upon.
public struct ProxyAddition: Hashable, Sendable {
    public var type: UInt8
    /// At most 65,532 bytes, and never more than the header's length leaves.
    public var value: [UInt8]

    public init(_ type: UInt8, _ value: [UInt8]) {
        self.type = type
        self.value = value
    }

    /// The protocol above, as TLS names it: `h2`.
    public static let alpn: UInt8 = 0x01
    /// The host name that the client gave, in UTF-8.
    public static let authority: UInt8 = 0x02
    static let checksum: UInt8 = 0x03
    static let padding: UInt8 = 0x04
    /// Names the connection in the logs of several proxies; at most 128 bytes.
    public static let uniqueID: UInt8 = 0x05
    /// What is known of the client's TLS; the value has a structure of its own (§2.2.6), which is not read here.
    public static let tls: UInt8 = 0x20
    /// The network namespace in which the proxy accepted the connection.
    public static let namespace: UInt8 = 0x30

    /// Bytes of the longest `uniqueID` (§2.2.5).
    static let uniqueIDByteLimit = 128
}

/// Why bytes are no header. The connection is to be aborted (§2.1): nobody can tell what the rest of it means.
public enum ProxyHeaderError: Error, Equatable, Sendable, CustomStringConvertible {
    /// They begin like neither version.
    case notAHeader
    /// A line without its end in 107 bytes, or a block that announces more than the receiver accepts.
    case tooLong(limitBytes: Int)
    /// One line, for people: what was found where.
    case malformed(String)
    /// A bit was changed on the way.
    case wrongChecksum

    public var description: String {
        switch self {
        case .notAHeader: "no PROXY header"
        case .tooLong(let limit): "the PROXY header is longer than \(limit) bytes"
        case .malformed(let text): "malformed PROXY header: \(text)"
        case .wrongChecksum: "the PROXY header's checksum is wrong"
        }
    }
}
