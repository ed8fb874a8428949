import KernelStructures

// Version 2, §2.2.

extension ProxyHeader {
    /// Decodes a block that is complete: 16 bytes that the parser has judged, and as many more as they announce.
    init(block: [UInt8]) throws(ProxyHeaderError) {
        let isLocal = block[12] & 15 == 0
        let family = block[13] >> 4
        let addressCount = Self.addressByteCount(family: family)
        self.init(.v2, isLocal ? .local : .proxy)
        guard !isLocal, family != 0, let transport = Transport(rawValue: block[13] & 15) else {
            // The connection's own addresses are meant. Such a block is discarded and must not be refused for what it
            // holds (§2.2). A checksum that can be found in it is still a checksum.
            if let addressCount, let found = try? Self.additions(block, from: Self.fixedByteCount + addressCount) {
                try take(found, of: block)
            }
            return
        }
        guard let addressCount, block.count >= Self.fixedByteCount + addressCount else {
            throw .malformed("shorter than its addresses")
        }
        addresses = Self.addresses(block, family: family)
        self.transport = transport
        try take(try Self.additions(block, from: Self.fixedByteCount + addressCount), of: block)
    }

    /// Nil for families that do not exist, which only a LOCAL may name.
    private static func addressByteCount(family: UInt8) -> Int? {
        switch family {
        case 0: 0
        case 1: 12
        case 2: 36
        case 3: 2 * pathByteCount
        default: nil
        }
    }

    private static func addresses(_ block: [UInt8], family: UInt8) -> ProxyAddresses {
        func number(_ start: Int, _ count: Int) -> UInt64 {
            block[start..<start + count].reduce(0) { $0 << 8 | UInt64($1) }
        }
        func port(_ start: Int) -> UInt16 { UInt16(number(start, 2)) }
        switch family {
        case 1:
            return .internet(
                source: Endpoint(IPv4Address(bits: UInt32(number(16, 4))), port(24)),
                destination: Endpoint(IPv4Address(bits: UInt32(number(20, 4))), port(26)))
        case 2:
            return .internet(
                source: Endpoint(IPv6Address(high: number(16, 8), low: number(24, 8)), port(48)),
                destination: Endpoint(IPv6Address(high: number(32, 8), low: number(40, 8)), port(50)))
        default:
            return .unix(
                source: path(block[16..<16 + pathByteCount]),
                destination: path(block[16 + pathByteCount..<16 + 2 * pathByteCount]))
        }
    }

    /// Up to the first zero; an abstract name, which begins with one and may contain others, up to the zeros at its
    /// end.
    private static func path(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        if bytes.first != 0 { return Array(bytes.prefix { $0 != 0 }) }
        let count = bytes.lastIndex { $0 != 0 }.map { $0 + 1 - bytes.startIndex } ?? 0
        return Array(bytes.prefix(count))
    }

    // MARK: Additions

    private struct Additions {
        var list: [ProxyAddition] = []
        /// Where the four bytes of the checksum are.
        var checksum: Range<Int>?
    }

    private static func additions(_ block: [UInt8], from start: Int) throws(ProxyHeaderError) -> Additions {
        var found = Additions()
        var position = start
        while position < block.count {
            guard position + 3 <= block.count else { throw .malformed("an addition is cut short") }
            let value = position + 3..<position + 3 + Int(block[position + 1]) << 8 + Int(block[position + 2])
            guard value.upperBound <= block.count else { throw .malformed("an addition is longer than the header") }
            switch block[position] {
            case ProxyAddition.checksum:
                guard value.count == 4, found.checksum == nil else {
                    throw .malformed("not one checksum of four bytes")
                }
                found.checksum = value
            case ProxyAddition.padding: break
            case ProxyAddition.uniqueID where value.count > ProxyAddition.uniqueIDByteLimit:
                throw .malformed("an identifier longer than \(ProxyAddition.uniqueIDByteLimit) bytes")
            case let type: found.list.append(ProxyAddition(type, Array(block[value])))
            }
            position = value.upperBound
        }
        return found
    }

    /// Adopts the additions if the checksum, where there is one, is right (§2.2.3): that of the block with zeros in its
    /// place.
    private mutating func take(_ found: Additions, of block: [UInt8]) throws(ProxyHeaderError) {
        if let place = found.checksum {
            guard block[place].elementsEqual(Self.checksum(of: block, place)) else { throw .wrongChecksum }
            hasChecksum = true
        }
        additions = found.list
    }

    private static func checksum(of block: [UInt8], _ place: Range<Int>) -> [UInt8] {
        var sum = CRC32C()
        sum.update(block[..<place.lowerBound])
        sum.update(repeatElement(0, count: place.count))
        sum.update(block[place.upperBound...])
        return (0..<4).map { UInt8(truncatingIfNeeded: sum.value >> (24 - 8 * $0)) }
    }

    // MARK: Writing

    /// - Precondition: all fits in 65,551 bytes.
    func appendBlock(to out: inout [UInt8]) {
        var block = Self.signature
        block.append(command == .local ? 0x20 : 0x21)
        let addresses = command == .local ? nil : self.addresses
        block.append(addresses.map { Self.family($0) << 4 | transport.rawValue } ?? 0)
        block += [0, 0]
        if let addresses { Self.append(addresses, to: &block) }
        for addition in additions { Self.append(addition, to: &block) }
        var checksum: Range<Int>?
        if hasChecksum {
            Self.append(ProxyAddition(ProxyAddition.checksum, [0, 0, 0, 0]), to: &block)
            checksum = block.count - 4..<block.count
        }
        let length = block.count - Self.fixedByteCount
        precondition(length <= 0xFFFF, "a PROXY header's length has 16 bits")
        block[14] = UInt8(length >> 8)
        block[15] = UInt8(length & 255)
        if let checksum { block.replaceSubrange(checksum, with: Self.checksum(of: block, checksum)) }
        out.append(contentsOf: block)
    }

    private static func family(_ addresses: ProxyAddresses) -> UInt8 {
        switch addresses {
        case .internet: addresses.isIPv4 ? 1 : 2
        case .unix: 3
        }
    }

    private static func append(_ addresses: ProxyAddresses, to block: inout [UInt8]) {
        switch addresses {
        case .internet(let source, let destination):
            for address in [source.address, destination.address] {
                if addresses.isIPv4, let ipv4 = address.ipv4 {
                    block.append(bigEndian: ipv4.bits)
                } else {
                    block.append(bigEndian: address.high)
                    block.append(bigEndian: address.low)
                }
            }
            block.append(bigEndian: source.port)
            block.append(bigEndian: destination.port)
        case .unix(let source, let destination):
            for path in [source, destination] {
                precondition(path.count <= pathByteCount, "a path of more than 108 bytes")
                block += path
                block.append(contentsOf: repeatElement(0, count: pathByteCount - path.count))
            }
        }
    }

    private static func append(_ addition: ProxyAddition, to block: inout [UInt8]) {
        precondition(addition.value.count <= 0xFFFF, "an addition's length has 16 bits")
        block.append(addition.type)
        block.append(bigEndian: UInt16(addition.value.count))
        block += addition.value
    }
}
