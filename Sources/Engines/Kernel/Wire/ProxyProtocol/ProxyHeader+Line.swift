import KernelStructures

// Version 1, §2.1.

extension ProxyHeader {
    static let lineStart = Array("PROXY ".utf8)

    /// Decodes a line that is complete, with `PROXY ` at its start and CRLF at its end.
    init(line: ArraySlice<UInt8>) throws(ProxyHeaderError) {
        let rest = line.dropFirst(Self.lineStart.count).dropLast(2)
        let words = rest.split(separator: 32, omittingEmptySubsequences: false)
        let family = words[0]
        if family.elementsEqual("UNKNOWN".utf8) {
            // Whatever stands behind it is to be ignored.
            self.init(.v1, .proxy)
            return
        }
        let isIPv6 = family.elementsEqual("TCP6".utf8)
        guard isIPv6 || family.elementsEqual("TCP4".utf8) else {
            throw .malformed("the protocol is none of TCP4, TCP6 and UNKNOWN")
        }
        guard words.count == 5 else { throw .malformed("not two addresses and two ports, one blank before each") }
        guard let sourcePort = Self.port(words[3]), let destinationPort = Self.port(words[4]) else {
            throw .malformed("a port is not a number from 0 to 65535 without leading zeros")
        }
        let (source, destination) = (Self.text(words[1]), Self.text(words[2]))
        if isIPv6 {
            guard let from = IPv6Address(parsing: source), let to = IPv6Address(parsing: destination) else {
                throw .malformed("not an IPv6 address")
            }
            self.init(
                .v1, .proxy,
                .internet(source: Endpoint(from, sourcePort), destination: Endpoint(to, destinationPort)))
        } else {
            guard let from = IPv4Address(parsing: source), let to = IPv4Address(parsing: destination) else {
                throw .malformed("not an IPv4 address")
            }
            self.init(
                .v1, .proxy,
                .internet(source: Endpoint(from, sourcePort), destination: Endpoint(to, destinationPort)))
        }
    }

    private static func text(_ word: ArraySlice<UInt8>) -> String { String(decoding: word, as: UTF8.self) }

    private static func port(_ word: ArraySlice<UInt8>) -> UInt16? {
        guard (1...5).contains(word.count), word.first != 48 || word.count == 1 else { return nil }
        var value = 0
        for byte in word {
            guard byte >= 48, byte <= 57 else { return nil }
            value = value * 10 + Int(byte - 48)
        }
        return UInt16(exactly: value)
    }

    func appendLine(to out: inout [UInt8]) {
        out.append(contentsOf: Self.lineStart)
        switch addresses {
        case .internet(let source, let destination) where addresses?.isIPv4 == true:
            out.append(utf8: "TCP4 \(source.address) \(destination.address) \(source.port) \(destination.port)")
        case .internet(let source, let destination):
            let (from, to) = (source.address.ipv6, destination.address.ipv6)
            out.append(utf8: "TCP6 \(from) \(to) \(source.port) \(destination.port)")
        case .unix, nil: out.append(utf8: "UNKNOWN")
        }
        out.append(utf8: "\r\n")
    }
}
