import KernelStructures

/// WebSocket (RFC 6455): messages in both directions over what began as an HTTP request.
///
/// ```
///  0               1               2               3
/// +-+-----+-------+-+-------------+-------------------------------+
/// |F|0 0 0| opcode|M| length (7)  | length 16 or 64, if 126 or 127|
/// +-+-----+-------+-+-------------+-------------------------------+
/// | masking key, if M             | payload, masked with it       |
/// +-------------------------------+-------------------------------+
/// ```
///
/// A client masks what it sends, with a key nobody can foresee, so that no page can make it send bytes that a proxy
/// between would take for HTTP. A server does not.
public enum WebSocketOpcode: UInt8, Sendable {
    case continuation = 0
    case text = 1
    case binary = 2
    case close = 8
    case ping = 9
    case pong = 10

    var isControl: Bool { rawValue >= 8 }
}

/// Why a connection ends: RFC 6455 §7.4.
public struct WebSocketCloseCode: Hashable, Sendable, CustomStringConvertible {
    public let number: UInt16

    /// Nil for numbers that must not be sent: below 1000, the reserved ones (1004–1006, 1015), and beyond 4999.
    public init?(_ number: UInt16) {
        switch number {
        case 1000...1003, 1007...1014, 3000...4999: self.number = number
        default: return nil
        }
    }

    private init(known number: UInt16) { self.number = number }

    public static let normal = WebSocketCloseCode(known: 1000)
    /// A server that stops, a page that is left.
    public static let goingAway = WebSocketCloseCode(known: 1001)
    public static let protocolError = WebSocketCloseCode(known: 1002)
    public static let unacceptable = WebSocketCloseCode(known: 1003)
    /// Text that is not UTF-8.
    public static let invalidPayload = WebSocketCloseCode(known: 1007)
    public static let policyViolation = WebSocketCloseCode(known: 1008)
    public static let tooBig = WebSocketCloseCode(known: 1009)
    public static let internalError = WebSocketCloseCode(known: 1011)

    public var description: String { String(number) }
}

/// Writes frames.
public enum WebSocketWriter {
    /// Bytes of a control frame's payload at most, RFC 6455 §5.5.
    public static let controlLimitBytes = 125

    /// - Parameters:
    ///   - mask: a client's key; nil for a server.
    ///   - isLast: false where the message goes on in a further frame.
    public static func frame(
        _ opcode: WebSocketOpcode, _ payload: some Collection<UInt8>, isLast: Bool = true, mask: UInt32?,
        into out: inout [UInt8]
    ) {
        out.append((isLast ? 0x80 : 0) | opcode.rawValue)
        let maskBit: UInt8 = mask == nil ? 0 : 0x80
        let count = payload.count
        if count < 126 {
            out.append(maskBit | UInt8(count))
        } else if count <= 0xFFFF {
            out.append(maskBit | 126)
            for shift in [8, 0] { out.append(UInt8(truncatingIfNeeded: count >> shift)) }
        } else {
            out.append(maskBit | 127)
            for shift in stride(from: 56, through: 0, by: -8) { out.append(UInt8(truncatingIfNeeded: count >> shift)) }
        }
        guard let mask else { return out.append(contentsOf: payload) }
        for shift in [24, 16, 8, 0] { out.append(UInt8(truncatingIfNeeded: mask >> UInt32(shift))) }
        var position = 0
        for byte in payload {
            out.append(byte ^ maskByte(mask, position))
            position += 1
        }
    }

    /// A close frame; without a code it says nothing. The reason is cut to what a control frame holds.
    public static func close(_ code: WebSocketCloseCode?, _ reason: String, mask: UInt32?, into out: inout [UInt8]) {
        guard let code else { return frame(.close, [], mask: mask, into: &out) }
        var text = Substring(reason)
        while text.utf8.count > controlLimitBytes - 2 { text.removeLast() }
        frame(
            .close, [UInt8(code.number >> 8), UInt8(code.number & 255)] + text.utf8, mask: mask, into: &out)
    }

    @inline(__always) static func maskByte(_ mask: UInt32, _ position: Int) -> UInt8 {
        UInt8(truncatingIfNeeded: mask >> UInt32(24 - 8 * (position & 3)))
    }
}

/// Which end reads: a server takes nothing unmasked, a client nothing masked.
public enum WebSocketRole: Sendable { case client, server }
