import KernelStructures

extension DNSMessage {
    /// Reads a whole message.
    ///
    /// A pointer must lead to before the name that it stands in, and each further one to before the last (RFC 1035
    /// §4.1.4 says "prior occurrence"): so a name cannot point at itself, and no chain of pointers is longer than the
    /// bytes before it.
    ///
    /// - Throws: `DNSError`.
    public init(reading bytes: UnsafeRawBufferPointer) throws(DNSError) {
        var reader = DNSReader(bytes)
        self = try reader.message()
    }

    public init(reading bytes: [UInt8]) throws(DNSError) {
        self = try bytes.withUnsafeBufferPointer { bytes throws(DNSError) in
            try DNSMessage(reading: UnsafeRawBufferPointer(bytes))
        }
    }

    /// The id of what is perhaps a message, for the answer to one that cannot be read.
    public static func id(of bytes: UnsafeRawBufferPointer) -> UInt16? {
        bytes.count >= 12 ? UInt16(bytes[0]) << 8 | UInt16(bytes[1]) : nil
    }
}

struct DNSReader {
    private let bytes: UnsafeRawBufferPointer
    private var position = 0
    /// Where the data of the present record ends; the message's end outside of any.
    private var end: Int

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
        end = bytes.count
    }

    // MARK: Pieces

    private mutating func byte() throws(DNSError) -> UInt8 {
        guard position < end else { throw .truncated }
        position += 1
        return bytes[position - 1]
    }

    private mutating func short() throws(DNSError) -> UInt16 { UInt16(try byte()) << 8 | UInt16(try byte()) }
    private mutating func long() throws(DNSError) -> UInt32 { UInt32(try short()) << 16 | UInt32(try short()) }

    private mutating func take(_ count: Int) throws(DNSError) -> [UInt8] {
        guard count <= end - position else { throw .truncated }
        position += count
        return Array(bytes[(position - count)..<position])
    }

    private mutating func name() throws(DNSError) -> DNSName {
        var wire: [UInt8] = []
        var at = position
        /// Where the part that is being read began: a pointer must lead to before it.
        var start = position
        var hasJumped = false
        var limit = end
        while true {
            guard at < limit else { throw .truncated }
            let length = Int(bytes[at])
            switch length {
            case 0:
                wire.append(0)
                guard wire.count <= DNSName.lengthLimitBytes else { throw .name }
                if !hasJumped { position = at + 1 }
                return DNSName(unchecked: wire)
            case 1...63:
                guard length < limit - at else { throw .truncated }
                guard wire.count + length + 2 <= DNSName.lengthLimitBytes else { throw .name }
                wire.append(contentsOf: bytes[at...(at + length)])
                at += length + 1
            case 0xC0...:
                guard at + 1 < limit else { throw .truncated }
                let target = (length & 0x3F) << 8 | Int(bytes[at + 1])
                guard target < start else { throw .pointer }
                if !hasJumped { position = at + 2 }
                hasJumped = true
                limit = bytes.count
                start = target
                at = target
            default: throw .name
            }
        }
    }

    // MARK: The message

    mutating func message() throws(DNSError) -> DNSMessage {
        var message = DNSMessage(id: try short())
        let flags = try short()
        message.isResponse = flags & 0x8000 != 0
        message.opcode = UInt8(flags >> 11 & 15)
        message.isAuthoritative = flags & 0x0400 != 0
        message.isTruncated = flags & 0x0200 != 0
        message.wantsRecursion = flags & 0x0100 != 0
        message.offersRecursion = flags & 0x0080 != 0
        message.isAuthentic = flags & 0x0020 != 0
        message.skipsValidation = flags & 0x0010 != 0
        message.code = .init(rawValue: flags & 15)
        let counts = (try short(), try short(), try short(), try short())
        for _ in 0..<counts.0 {
            let name = try name()
            message.questions.append(.init(name, DNSType(rawValue: try short()), DNSClass(rawValue: try short())))
        }
        for _ in 0..<counts.1 { message.answers.append(try record()) }
        for _ in 0..<counts.2 { message.authority.append(try record()) }
        for _ in 0..<counts.3 { try additional(&message) }
        guard position == bytes.count else { throw .excess }
        return message
    }

    /// A record of the last section, or the OPT among them.
    private mutating func additional(_ message: inout DNSMessage) throws(DNSError) {
        let record = try record()
        guard case .other(.opt, let data) = record.data else {
            message.additional.append(record)
            return
        }
        guard message.edns == nil, record.name.isRoot else { throw .edns }
        var edns = DNSMessage.EDNS(payloadBytes: record.recordClass.rawValue)
        edns.version = UInt8(truncatingIfNeeded: record.ttlSeconds >> 16)
        edns.wantsDNSSEC = record.ttlSeconds & 0x8000 != 0
        edns.options = try Self.options(data)
        message.code = .init(rawValue: UInt16(record.ttlSeconds >> 24) << 4 | message.code.rawValue)
        message.edns = edns
    }

    private static func options(_ data: [UInt8]) throws(DNSError) -> [DNSMessage.EDNS.Option] {
        var options: [DNSMessage.EDNS.Option] = []
        var rest = data[...]
        while !rest.isEmpty {
            let head = Array(rest.prefix(4))
            guard head.count == 4 else { throw .edns }
            let length = Int(head[2]) << 8 | Int(head[3])
            rest = rest.dropFirst(4)
            guard length <= rest.count else { throw .edns }
            options.append(.init(code: UInt16(head[0]) << 8 | UInt16(head[1]), bytes: Array(rest.prefix(length))))
            rest = rest.dropFirst(length)
        }
        return options
    }

    private mutating func record() throws(DNSError) -> DNSRecord {
        let name = try name()
        let type = DNSType(rawValue: try short())
        let recordClass = DNSClass(rawValue: try short())
        let ttl = try long()
        let length = Int(try short())
        guard length <= bytes.count - position else { throw .truncated }
        end = position + length
        defer { end = bytes.count }
        let data: DNSData
        do throws(DNSError) {
            // Of other classes nobody knows what the data looks like.
            data = recordClass == .internet ? try self.data(type, length) : .other(type, try take(length))
        } catch .truncated {
            throw .data
        }
        guard position == end else { throw .data }
        return DNSRecord(name, ttlSeconds: ttl, data, recordClass: recordClass)
    }

    private mutating func data(_ type: DNSType, _ length: Int) throws(DNSError) -> DNSData {
        switch type {
        case .a: return .a(IPv4Address(bits: try long()))
        case .aaaa:
            let high = UInt64(try long()) << 32 | UInt64(try long())
            return .aaaa(IPv6Address(high: high, low: UInt64(try long()) << 32 | UInt64(try long())))
        case .ns: return .ns(try name())
        case .cname: return .cname(try name())
        case .ptr: return .ptr(try name())
        case .mx: return .mx(preference: try short(), try name())
        case .srv: return .srv(priority: try short(), weight: try short(), port: try short(), target: try name())
        case .soa:
            return .soa(
                DNSAuthority(
                    server: try name(), mailbox: try name(), serial: try long(), refreshSeconds: try long(),
                    retrySeconds: try long(), expireSeconds: try long(), minimumSeconds: try long()))
        case .txt:
            var strings: [[UInt8]] = []
            repeat { strings.append(try take(Int(try byte()))) } while position < end
            return .txt(strings)
        default: return .other(type, try take(length))
        }
    }
}
