import KernelStructures

extension DNSMessage {
    /// The message as bytes, of which there are at most `limit`.
    ///
    /// What does not fit is left out from the end. Where that is an answer or an authority the message says that it is
    /// truncated; where it is something additional it does not, since nobody asked for it (RFC 2181 §9). The question
    /// and EDNS always stand there, so a limit below 512 means 512.
    public func bytes(limit: Int = DNSMessage.lengthLimitBytes) -> [UInt8] {
        var writer = DNSWriter(limit: min(max(limit, Self.plainPayloadBytes), Self.lengthLimitBytes))
        return writer.write(self)
    }

    /// With its length before it, as over TCP (RFC 1035 §4.2.2).
    public var framed: [UInt8] {
        let bytes = bytes()
        return [UInt8(bytes.count >> 8), UInt8(bytes.count & 255)] + bytes
    }
}

struct DNSWriter {
    private var out: [UInt8] = []
    private let limit: Int
    /// Where labels begin that a pointer may lead to.
    private var targets: [Int] = []
    /// More are not remembered: each name looks through all of them.
    private static let targetLimit = 48
    /// The greatest offset that a pointer can hold.
    private static let offsetLimit = 0x3FFF

    init(limit: Int) {
        self.limit = limit
        out.reserveCapacity(min(limit, DNSMessage.plainPayloadBytes))
    }

    mutating func write(_ message: DNSMessage) -> [UInt8] {
        append(message.id)
        var flags = UInt16(message.opcode & 15) << 11 | message.code.rawValue & 15
        if message.isResponse { flags |= 0x8000 }
        if message.isAuthoritative { flags |= 0x0400 }
        if message.isTruncated { flags |= 0x0200 }
        if message.wantsRecursion { flags |= 0x0100 }
        if message.offersRecursion { flags |= 0x0080 }
        if message.isAuthentic { flags |= 0x0020 }
        if message.skipsValidation { flags |= 0x0010 }
        append(flags)
        for _ in 0..<4 { append(UInt16(0)) }
        // Beyond a whole message of questions nothing can be said.
        var questionCount = 0
        for question in message.questions {
            let start = out.count
            append(question.name, compressed: true)
            append(question.type.rawValue)
            append(question.recordClass.rawValue)
            if out.count > limit {
                out.removeSubrange(start...)
                flags |= 0x0200
                break
            }
            questionCount += 1
        }
        var edns = message.edns.map { Self.bytes(of: $0, code: message.code) } ?? []
        if edns.count > limit - out.count { edns = [] }
        let room = limit - edns.count
        let answers = append(message.answers, room)
        let isComplete = answers == message.answers.count
        let authority = isComplete ? append(message.authority, room) : 0
        if !isComplete || authority < message.authority.count { flags |= 0x0200 }
        let additional = flags & 0x0200 == 0 || message.isTruncated ? append(message.additional, room) : 0
        out += edns
        set(flags, at: 2)
        set(UInt16(questionCount), at: 4)
        set(UInt16(answers), at: 6)
        set(UInt16(authority), at: 8)
        set(UInt16(additional + (edns.isEmpty ? 0 : 1)), at: 10)
        return out
    }

    private static func bytes(of edns: DNSMessage.EDNS, code: DNSMessage.ResponseCode) -> [UInt8] {
        var writer = DNSWriter(limit: 0)
        writer.out.append(0)
        writer.append(DNSType.opt.rawValue)
        writer.append(edns.payloadBytes)
        writer.out += [UInt8(code.rawValue >> 4), edns.version, edns.wantsDNSSEC ? 0x80 : 0, 0]
        let options = edns.options.filter { $0.bytes.count <= DNSMessage.lengthLimitBytes }
        let length = options.reduce(0) { $0 + 4 + $1.bytes.count }
        // What is longer than a record can be is not said.
        guard length <= DNSMessage.lengthLimitBytes else {
            writer.append(UInt16(0))
            return writer.out
        }
        writer.append(UInt16(length))
        for option in options {
            writer.append(option.code)
            writer.append(UInt16(option.bytes.count))
            writer.out += option.bytes
        }
        return writer.out
    }

    // MARK: Records

    /// - Returns: how many of them fitted.
    private mutating func append(_ records: [DNSRecord], _ room: Int) -> Int {
        for (index, record) in records.enumerated() {
            let start = out.count
            let known = targets.count
            append(record)
            if out.count > room || index == Int(UInt16.max) - 1 {
                out.removeSubrange(start...)
                targets.removeSubrange(known...)
                return index
            }
        }
        return records.count
    }

    private mutating func append(_ record: DNSRecord) {
        append(record.name, compressed: true)
        append(record.type.rawValue)
        append(record.recordClass.rawValue)
        append(UInt16(record.ttlSeconds >> 16))
        append(UInt16(truncatingIfNeeded: record.ttlSeconds))
        let lengthAt = out.count
        append(UInt16(0))
        append(record.data)
        let length = out.count - lengthAt - 2
        // A record that is longer than its length can say is longer than any message as well: it will not fit.
        set(UInt16(truncatingIfNeeded: length), at: lengthAt)
        if length > DNSMessage.lengthLimitBytes { out += [UInt8](repeating: 0, count: DNSMessage.lengthLimitBytes) }
    }

    /// Only names of RFC 1035's own types may be compressed (RFC 3597 §4); SRV's target may not (RFC 2782).
    private mutating func append(_ data: DNSData) {
        switch data {
        case .a(let address): append(address.bits)
        case .aaaa(let address):
            for half in [address.high, address.low] {
                append(UInt32(half >> 32))
                append(UInt32(truncatingIfNeeded: half))
            }
        case .ns(let name), .cname(let name), .ptr(let name): append(name, compressed: true)
        case .mx(let preference, let name):
            append(preference)
            append(name, compressed: true)
        case .txt(let strings):
            for string in strings.isEmpty ? [[]] : strings {
                out.append(UInt8(min(string.count, 255)))
                out += string.prefix(255)
            }
        case .srv(let priority, let weight, let port, let target):
            for number in [priority, weight, port] { append(number) }
            append(target, compressed: false)
        case .soa(let soa):
            append(soa.server, compressed: true)
            append(soa.mailbox, compressed: true)
            for number in [
                soa.serial, soa.refreshSeconds, soa.retrySeconds, soa.expireSeconds, soa.minimumSeconds,
            ] { append(number) }
        case .other(_, let bytes): out += bytes
        }
    }

    // MARK: Names and numbers

    private mutating func append(_ name: DNSName, compressed: Bool) {
        let wire = name.wire
        var position = 0
        while wire[position] > 0 {
            if compressed, let target = place(of: wire, from: position) {
                append(UInt16(0xC000 | target))
                return
            }
            if out.count <= Self.offsetLimit, targets.count < Self.targetLimit { targets.append(out.count) }
            let end = position + 1 + Int(wire[position])
            out += wire[position..<end]
            position = end
        }
        out.append(0)
    }

    /// Where the rest of a name stands already, in the same case.
    private func place(of wire: [UInt8], from position: Int) -> Int? {
        targets.first { target in
            var at = target
            var position = position
            while true {
                while out[at] >= 0xC0 { at = Int(out[at] & 0x3F) << 8 | Int(out[at + 1]) }
                let length = Int(out[at])
                guard wire[position] == out[at] else { return false }
                if length == 0 { return true }
                for offset in 1...length where wire[position + offset] != out[at + offset] { return false }
                at += length + 1
                position += length + 1
                // The name that is being written has no end yet.
                if at >= out.count { return false }
            }
        }
    }

    private mutating func append(_ number: UInt16) { out += [UInt8(number >> 8), UInt8(number & 255)] }
    private mutating func append(_ number: UInt32) {
        append(UInt16(number >> 16))
        append(UInt16(truncatingIfNeeded: number))
    }
    private mutating func set(_ number: UInt16, at offset: Int) {
        out[offset] = UInt8(number >> 8)
        out[offset + 1] = UInt8(number & 255)
    }
}
