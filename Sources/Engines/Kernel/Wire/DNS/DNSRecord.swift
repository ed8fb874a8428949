import KernelStructures

/// What a record holds, or a question asks for (RFC 1035 §3.2.2, and later ones).
public struct DNSType: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    public static let a = DNSType(rawValue: 1)
    public static let ns = DNSType(rawValue: 2)
    public static let cname = DNSType(rawValue: 5)
    public static let soa = DNSType(rawValue: 6)
    public static let ptr = DNSType(rawValue: 12)
    public static let mx = DNSType(rawValue: 15)
    public static let txt = DNSType(rawValue: 16)
    public static let aaaa = DNSType(rawValue: 28)
    public static let srv = DNSType(rawValue: 33)
    public static let opt = DNSType(rawValue: 41)
    public static let axfr = DNSType(rawValue: 252)
    /// In a question: records of any type.
    public static let any = DNSType(rawValue: 255)

    static let names: [(String, DNSType)] = [
        ("A", a), ("NS", ns), ("CNAME", cname), ("SOA", soa), ("PTR", ptr), ("MX", mx), ("TXT", txt), ("AAAA", aaaa),
        ("SRV", srv), ("OPT", opt), ("AXFR", axfr), ("ANY", any),
    ]

    /// `SRV`, or `TYPE65` for those without a name here (RFC 3597 §5).
    public var description: String { Self.names.first { $0.1 == self }?.0 ?? "TYPE\(rawValue)" }

    /// Reads a name in either case, or `TYPE65`.
    public init?(parsing text: some StringProtocol) {
        let word = text.uppercased()
        if let known = Self.names.first(where: { $0.0 == word }) {
            self = known.1
        } else if word.hasPrefix("TYPE"), let number = UInt16(word.dropFirst(4)) {
            self.init(rawValue: number)
        } else {
            return nil
        }
    }
}

/// The kind of network; the internet's in practice.
public struct DNSClass: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }
    public static let internet = DNSClass(rawValue: 1)
    public static let chaos = DNSClass(rawValue: 3)
    public static let any = DNSClass(rawValue: 255)

    public var description: String {
        switch self {
        case .internet: "IN"
        case .chaos: "CH"
        case .any: "ANY"
        default: "CLASS\(rawValue)"
        }
    }
}

/// What a record says.
public enum DNSData: Hashable, Sendable {
    case a(IPv4Address)
    case aaaa(IPv6Address)
    case ns(DNSName)
    case cname(DNSName)
    case ptr(DNSName)
    case mx(preference: UInt16, DNSName)
    /// Strings of at most 255 bytes each, at least one.
    case txt([[UInt8]])
    case srv(priority: UInt16, weight: UInt16, port: UInt16, target: DNSName)
    case soa(DNSAuthority)
    /// Of a type that is not known here, as it came.
    case other(DNSType, [UInt8])

    /// An address of either family.
    public init(address: IPAddress) {
        self = address.ipv4.map { .a($0) } ?? .aaaa(address.ipv6)
    }

    public var type: DNSType {
        switch self {
        case .a: .a
        case .aaaa: .aaaa
        case .ns: .ns
        case .cname: .cname
        case .ptr: .ptr
        case .mx: .mx
        case .txt: .txt
        case .srv: .srv
        case .soa: .soa
        case .other(let type, _): type
        }
    }
}

/// Who is responsible for a zone, and for how long a "there is none" may be kept: SOA.
public struct DNSAuthority: Hashable, Sendable {
    public var server: DNSName
    public var mailbox: DNSName
    public var serial: UInt32
    public var refreshSeconds: UInt32
    public var retrySeconds: UInt32
    public var expireSeconds: UInt32
    /// How long an absence may be remembered (RFC 2308 §4).
    public var minimumSeconds: UInt32

    public init(
        server: DNSName, mailbox: DNSName, serial: UInt32, refreshSeconds: UInt32, retrySeconds: UInt32,
        expireSeconds: UInt32, minimumSeconds: UInt32
    ) {
        self.server = server
        self.mailbox = mailbox
        self.serial = serial
        self.refreshSeconds = refreshSeconds
        self.retrySeconds = retrySeconds
        self.expireSeconds = expireSeconds
        self.minimumSeconds = minimumSeconds
    }
}

/// One line of an answer.
public struct DNSRecord: Hashable, Sendable {
    public var name: DNSName
    public var recordClass = DNSClass.internet
    /// How long it may be remembered.
    public var ttlSeconds: UInt32
    public var data: DNSData

    public init(
        _ name: DNSName, ttlSeconds: UInt32, _ data: DNSData, recordClass: DNSClass = .internet
    ) {
        self.name = name
        self.ttlSeconds = ttlSeconds
        self.data = data
        self.recordClass = recordClass
    }

    public var type: DNSType { data.type }
}

extension DNSData: CustomStringConvertible {
    /// As in a zone file: `1 1 8080 a.example.`
    public var description: String {
        switch self {
        case .a(let address): address.description
        case .aaaa(let address): address.description
        case .ns(let name), .cname(let name), .ptr(let name): name.description
        case .mx(let preference, let name): "\(preference) \(name)"
        case .txt(let strings): strings.map(Self.quoted).joined(separator: " ")
        case .srv(let priority, let weight, let port, let target): "\(priority) \(weight) \(port) \(target)"
        case .soa(let soa):
            "\(soa.server) \(soa.mailbox) \(soa.serial) \(soa.refreshSeconds) \(soa.retrySeconds) "
                + "\(soa.expireSeconds) \(soa.minimumSeconds)"
        case .other(_, let bytes):
            "\\# \(bytes.count)"
                + (bytes.isEmpty ? "" : " " + bytes.map { hexadecimal(UInt64($0), 2).uppercased() }.joined())
        }
    }

    private static func quoted(_ string: [UInt8]) -> String {
        var text: [UInt8] = [UInt8(ascii: "\"")]
        for byte in string {
            if byte == UInt8(ascii: " ") { text.append(byte) } else { DNSName.present(byte, "\"\\", into: &text) }
        }
        return String(decoding: text + [UInt8(ascii: "\"")], as: UTF8.self)
    }
}
