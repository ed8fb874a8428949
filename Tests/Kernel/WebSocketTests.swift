import KernelStructures
import KernelWire
import TestSupport
import Testing

@Suite("WebSocket frames")
struct WebSocketTests {
    private func events(
        _ bytes: [UInt8], _ role: WebSocketRole = .client, limit: Int = 1 << 20, pieces: [Int] = []
    ) -> [WebSocketEvent] {
        var reader = WebSocketReader(role, messageLimitBytes: limit)
        var events: [WebSocketEvent] = []
        var start = 0
        for count in pieces + [bytes.count] {
            let end = min(bytes.count, start + count)
            let isOver = Array(bytes[start..<end]).withUnsafeBytes { piece -> Bool in
                var position = 0
                while true {
                    let event = reader.next(piece, &position)
                    if event == .needMore { return false }
                    events.append(event)
                    if case .failed = event { return true }
                }
            }
            if isOver { break }
            start = end
        }
        return events
    }

    /// RFC 6455 §5.7.
    @Test("the examples of the RFC")
    func examples() {
        let hello: [UInt8] = [0x48, 0x65, 0x6c, 0x6c, 0x6f]
        #expect(events([0x81, 0x05] + hello) == [.text("Hello")])
        let masked: [UInt8] = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]
        #expect(events(masked, .server) == [.text("Hello")])
        var written: [UInt8] = []
        WebSocketWriter.frame(.text, hello, mask: 0x37FA_213D, into: &written)
        #expect(written == masked)
        #expect(events([0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f]) == [.text("Hello")])
        #expect(events([0x89, 0x05] + hello) == [.ping(hello)])
        #expect(events([0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58], .server) == [.pong(hello)])
        let bytes = [UInt8](repeating: 7, count: 65536)
        #expect(events([0x82, 0x7E, 0x01, 0x00] + bytes[..<256]) == [.binary(Array(bytes[..<256]))])
        #expect(events([0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0] + bytes) == [.binary(bytes)])
        // A control frame between fragments.
        #expect(events([0x01, 0x01, 0x61, 0x89, 0x00, 0x80, 0x01, 0x62]) == [.ping([]), .text("ab")])
    }

    @Test("closing, with a code or without")
    func closing() {
        #expect(events([0x88, 0x00, 0x81, 0x00]) == [.closed(nil, reason: "")])
        #expect(events([0x88, 0x04, 0x03, 0xE8, 0x68, 0x69]) == [.closed(.normal, reason: "hi")])
        for number: UInt16 in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
            let found = events([0x88, 0x02, UInt8(number >> 8), UInt8(number & 255)])
            #expect(found == [.failed(.protocolError, "a close code that must not be sent")], "\(number)")
        }
        var long: [UInt8] = []
        WebSocketWriter.close(.goingAway, String(repeating: "é", count: 100), mask: nil, into: &long)
        #expect(events(long) == [.closed(.goingAway, reason: String(repeating: "é", count: 61))])
    }

    @Test(
        "what breaks the protocol is told apart",
        arguments: [
            ([0xC1, 0x00], 1002), ([0x83, 0x00], 1002), ([0x8B, 0x00], 1002), ([0x09, 0x00], 1002),
            ([0x89, 0x7E], 1002),
            ([0x81, 0x80], 1002), ([0x80, 0x00], 1002), ([0x01, 0x00, 0x01, 0x00], 1002), ([0x82, 0x7E, 0, 125], 1002),
            ([0x82, 0x7F, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], 1002), ([0x82, 0x7F, 0x80, 0, 0, 0, 0, 0, 0, 0], 1002),
            ([0x82, 0x7F, 0x7F, 255, 255, 255, 255, 255, 255, 255], 1009), ([0x82, 0x7E, 0x01, 0x01], 1009),
            ([0x02, 0x7E, 0x01, 0x00] + [UInt8](repeating: 0, count: 256) + [0x80, 0x01], 1009),
            ([0x81, 0x01, 0xFF], 1007), ([0x88, 0x03, 0x03, 0xE8, 0xFF], 1007), ([0x88, 0x01, 0x03], 1002),
        ] as [([UInt8], UInt16)])
    func violations(_ bytes: [UInt8], _ code: UInt16) {
        guard case .failed(let found, _)? = events(bytes, limit: 256).last else {
            Issue.record("\(bytes) passes")
            return
        }
        #expect(found.number == code)
    }

    @Test("a client's frame must be masked")
    func unmasked() {
        #expect(events([0x81, 0x00], .server) == [.failed(.protocolError, "a client's frame without a mask")])
    }

    @Test(
        "messages arrive as they were sent, however they are fragmented and cut",
        arguments: 1...200 as ClosedRange<UInt64>)
    func roundTrip(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let role: WebSocketRole = random.chance(0.5) ? .server : .client
        var bytes: [UInt8] = []
        var expected: [WebSocketEvent] = []
        func mask() -> UInt32? { role == .server ? UInt32(truncatingIfNeeded: random.next()) : nil }
        for _ in 0..<4 {
            let isText = random.chance(0.5)
            var payload = randomBytes([0, 5, 125, 126, 300, 65_535, 65_536][random.below(7)], seed: random.next())
            if isText { payload = Array(String(decoding: payload, as: UTF8.self).utf8) }
            var rest = payload[...]
            var opcode: WebSocketOpcode = isText ? .text : .binary
            repeat {
                let piece = random.chance(0.5) ? rest : rest.prefix(random.below(rest.count + 1))
                rest = rest[piece.endIndex...]
                WebSocketWriter.frame(opcode, piece, isLast: rest.isEmpty, mask: mask(), into: &bytes)
                opcode = .continuation
                if rest.isEmpty {
                    expected.append(isText ? .text(String(decoding: payload, as: UTF8.self)) : .binary(payload))
                }
                if random.chance(0.3) {
                    WebSocketWriter.frame(.ping, [1, 2], mask: mask(), into: &bytes)
                    expected.append(.ping([1, 2]))
                }
            } while !rest.isEmpty
        }
        let pieces = (0..<40).map { _ in random.below(3) == 0 ? 1 : random.below(5000) }
        let isSame = events(bytes, role, pieces: pieces) == expected
        #expect(isSame)
    }

    @Test("noise gives the same verdict in one piece and in many", arguments: 1...300 as ClosedRange<UInt64>)
    func noise(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var bytes = randomBytes(60, seed: seed)
        for index in stride(from: 0, to: bytes.count, by: 7) where random.chance(0.7) {
            bytes[index] = [0x81, 0x01, 0x80, 0x89, 0x88, 0x82][random.below(6)]
        }
        let role: WebSocketRole = random.chance(0.5) ? .server : .client
        #expect(events(bytes, role, limit: 100) == events(bytes, role, limit: 100, pieces: bytes.map { _ in 1 }))
    }
}
