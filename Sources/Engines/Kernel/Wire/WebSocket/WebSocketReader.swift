import KernelStructures

/// What a reader of frames found.
public enum WebSocketEvent: Equatable, Sendable {
    /// The input is used up.
    case needMore
    case text(String)
    case binary([UInt8])
    case ping([UInt8])
    case pong([UInt8])
    /// The peer closes; nothing comes behind it.
    case closed(WebSocketCloseCode?, reason: String)
    /// The peer has broken the protocol or a limit: it is to be told the code, and the connection to end.
    case failed(WebSocketCloseCode, String)
}

/// Reads frames and puts messages together, however the bytes are cut (RFC 6455 §5).
///
/// It is used as `HTTPReader` is: `next` with the same buffer until it answers `.needMore`. At most one message of
/// `messageLimitBytes` and one control frame are held.
///
/// Strict where the RFC leaves no choice: reserved bits and opcodes, masking, lengths in their shortest form, fragments
/// in order, control frames whole, close codes, UTF-8. Text is checked when its message is complete.
public struct WebSocketReader: Sendable {
    public let role: WebSocketRole
    /// Bytes of one message, its fragments together; a longer one ends the connection with 1009.
    public let messageLimitBytes: Int

    private var state = State.head
    /// Bytes of a frame's head, up to 14.
    private var head: [UInt8] = []
    private var opcode = WebSocketOpcode.continuation
    private var isLast = true
    private var remaining = 0
    private var mask: UInt32?
    private var taken = 0
    /// What kind of message is being put together; nil between messages.
    private var kind: WebSocketOpcode?
    private var message: [UInt8] = []
    private var control: [UInt8] = []

    private enum State: Equatable {
        case head, payload, over
        case failed(WebSocketCloseCode, String)
    }

    private struct Violation: Error {
        var code = WebSocketCloseCode.protocolError
        let text: String
    }

    public init(_ role: WebSocketRole, messageLimitBytes: Int = 1 << 20) {
        self.role = role
        self.messageLimitBytes = messageLimitBytes
    }

    public mutating func next(_ input: UnsafeRawBufferPointer, _ position: inout Int) -> WebSocketEvent {
        while true {
            switch state {
            case .failed(let code, let text): return .failed(code, text)
            case .over:
                position = input.count
                return .needMore
            case .head, .payload: break
            }
            do throws(Violation) {
                if state == .head {
                    guard try readHead(input, &position) else { return .needMore }
                }
                guard readPayload(input, &position) else { return .needMore }
                if let event = try endFrame() { return event }
            } catch {
                state = .failed(error.code, error.text)
                message = []
            }
        }
    }

    // MARK: Heads

    private mutating func readHead(_ input: UnsafeRawBufferPointer, _ position: inout Int) throws(Violation) -> Bool {
        while position < input.count {
            head.append(input[position])
            position += 1
            if head.count == 1 { try checkFirst(head[0]) }
            if head.count == 2 { try checkSecond(head[1]) }
            if head.count >= 2, head.count == headLength {
                try takeHead()
                return true
            }
        }
        return false
    }

    private var lengthBytes: Int { head[1] & 127 == 127 ? 8 : head[1] & 127 == 126 ? 2 : 0 }
    private var headLength: Int { 2 + lengthBytes + (head[1] & 0x80 != 0 ? 4 : 0) }

    private mutating func checkFirst(_ byte: UInt8) throws(Violation) {
        guard byte & 0x70 == 0 else { throw Violation(text: "reserved bits without an extension") }
        guard let opcode = WebSocketOpcode(rawValue: byte & 15) else {
            throw Violation(text: "a reserved opcode: \(byte & 15)")
        }
        self.opcode = opcode
        isLast = byte & 0x80 != 0
        if opcode.isControl {
            if !isLast { throw Violation(text: "a control frame in fragments") }
        } else if opcode == .continuation {
            if kind == nil { throw Violation(text: "a continuation of nothing") }
        } else if kind != nil {
            throw Violation(text: "a new message before the last one's end")
        }
    }

    private func checkSecond(_ byte: UInt8) throws(Violation) {
        guard (byte & 0x80 != 0) == (role == .server) else {
            throw Violation(text: role == .server ? "a client's frame without a mask" : "a server's frame with a mask")
        }
        if opcode.isControl, byte & 127 > 125 { throw Violation(text: "a control frame of more than 125 bytes") }
    }

    private mutating func takeHead() throws(Violation) {
        var length = UInt64(head[1] & 127)
        let extended = head[2..<2 + lengthBytes]
        if !extended.isEmpty {
            length = extended.reduce(0) { $0 << 8 | UInt64($1) }
            guard length >= (extended.count == 2 ? 126 : 0x10000) else {
                throw Violation(text: "a length that is not written in its shortest form")
            }
            guard length <= UInt64(Int64.max) else { throw Violation(text: "a length of more than 63 bits") }
        }
        if !opcode.isControl, Int(length) > messageLimitBytes - message.count {
            throw Violation(code: .tooBig, text: "a message of more than \(messageLimitBytes) bytes")
        }
        mask = role == .server ? head.suffix(4).reduce(0) { $0 << 8 | UInt32($1) } : nil
        remaining = Int(length)
        taken = 0
        if !opcode.isControl, opcode != .continuation { kind = opcode }
        control.removeAll(keepingCapacity: true)
        head.removeAll(keepingCapacity: true)
        state = .payload
    }

    // MARK: Payloads

    private mutating func readPayload(_ input: UnsafeRawBufferPointer, _ position: inout Int) -> Bool {
        let count = min(remaining, input.count - position)
        let piece = input[position..<position + count]
        if opcode.isControl {
            Self.append(piece, mask, taken, to: &control)
        } else {
            Self.append(piece, mask, taken, to: &message)
        }
        position += count
        taken += count
        remaining -= count
        return remaining == 0
    }

    private static func append(
        _ piece: Slice<UnsafeRawBufferPointer>, _ mask: UInt32?, _ start: Int, to out: inout [UInt8]
    ) {
        guard let mask else { return out.append(contentsOf: piece) }
        out.reserveCapacity(out.count + piece.count)
        var position = start
        for byte in piece {
            out.append(byte ^ WebSocketWriter.maskByte(mask, position))
            position += 1
        }
    }

    private mutating func endFrame() throws(Violation) -> WebSocketEvent? {
        state = .head
        switch opcode {
        case .ping: return .ping(control)
        case .pong: return .pong(control)
        case .close: return try closed()
        case .text, .binary, .continuation: break
        }
        guard isLast else { return nil }
        let isText = kind == .text
        let bytes = message
        kind = nil
        message = []
        guard isText else { return .binary(bytes) }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Violation(code: .invalidPayload, text: "text that is not UTF-8")
        }
        return .text(text)
    }

    private mutating func closed() throws(Violation) -> WebSocketEvent {
        guard !control.isEmpty else {
            state = .over
            return .closed(nil, reason: "")
        }
        guard control.count >= 2, let code = WebSocketCloseCode(UInt16(control[0]) << 8 | UInt16(control[1])) else {
            throw Violation(text: "a close code that must not be sent")
        }
        guard let reason = String(validating: control.dropFirst(2), as: UTF8.self) else {
            throw Violation(code: .invalidPayload, text: "a reason that is not UTF-8")
        }
        state = .over
        return .closed(code, reason: reason)
    }
}
