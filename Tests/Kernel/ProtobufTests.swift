import KernelProtobuf
import KernelStructures
import Testing

@Suite("Protocol Buffers' wire format")
struct ProtobufTests {
    @Test("the bytes of the documentation")
    func documented() {
        var writer = ProtobufWriter()
        writer.varint(1, 150)
        writer.text(2, "testing")
        writer.message(3) { $0.varint(1, 150) }
        #expect(
            writer.bytes == [0x08, 0x96, 0x01, 0x12, 0x07] + Array("testing".utf8) + [0x1A, 0x03, 0x08, 0x96, 0x01])
        var folded = ProtobufWriter()
        for number: Int64 in [0, -1, 1, -2, 2_147_483_647, -2_147_483_648] { folded.zigzag(1, number, always: true) }
        #expect(
            folded.bytes
                == [8, 0, 8, 1, 8, 2, 8, 3, 8, 0xFE, 0xFF, 0xFF, 0xFF, 0x0F, 8, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F])
        var packed = ProtobufWriter()
        packed.zigzags(6, [3, -270, 43_046])
        #expect(packed.bytes == [0x32, 0x06, 0x06, 0x9B, 0x04, 0xCC, 0xA0, 0x05])
    }

    @Test("zero and nothing are left out unless they count, and -0 is not zero")
    func zeros() {
        var writer = ProtobufWriter()
        writer.varint(1, 0)
        writer.double(2, 0)
        writer.text(3, "")
        writer.zigzags(4, [])
        writer.doubles(5, [])
        #expect(writer.bytes.isEmpty)
        writer.double(2, 0, always: true)
        writer.double(2, -0.0)
        writer.message(4) { _ in }
        #expect(writer.bytes == [0x11] + [UInt8](repeating: 0, count: 8) + [0x11, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x22, 0])
    }

    /// A value for each kind of field.
    private enum Value: Equatable {
        case number(UInt64), folded(Int64), double(UInt64), short(UInt32), bytes([UInt8])
        case foldedList([Int64]), doubles([UInt64])
    }

    private func random(_ random: inout SeededRandom) -> Value {
        let bits = random.next() >> UInt64(random.below(64))
        switch random.below(7) {
        case 0: return .number(bits)
        case 1: return .folded(Int64(bitPattern: bits))
        case 2: return .double(random.next())
        case 3: return .short(UInt32(truncatingIfNeeded: bits | 1))
        case 4: return .bytes((0..<random.below(20)).map { UInt8($0) })
        case 5: return .foldedList((0...random.below(5)).map { _ in Int64(bitPattern: random.next()) >> 40 })
        default: return .doubles((0...random.below(5)).map { _ in random.next() })
        }
    }

    private func write(_ value: Value, _ number: Int, to writer: inout ProtobufWriter) {
        switch value {
        case .number(let value): writer.varint(number, value, always: true)
        case .folded(let value): writer.zigzag(number, value, always: true)
        case .double(let bits): writer.double(number, Double(bitPattern: bits), always: true)
        case .short(let value): writer.fixed32(number, value)
        case .bytes(let bytes): writer.bytes(number, bytes, always: true)
        case .foldedList(let values): writer.zigzags(number, values)
        case .doubles(let values): writer.doubles(number, values.map { Double(bitPattern: $0) })
        }
    }

    private func read(_ field: ProtobufField, like value: Value) throws -> Value {
        switch value {
        case .number: return .number(try field.integer())
        case .folded: return .folded(try field.zigzag())
        case .double: return .double(try field.double().bitPattern)
        case .short: return .short(UInt32(try field.integer()))
        case .bytes: return .bytes(Array(try field.bytes()))
        case .foldedList:
            var values: [Int64] = []
            try field.forEachZigzag { values.append($0) }
            return .foldedList(values)
        case .doubles:
            var values: [UInt64] = []
            try field.forEachDouble { values.append($0.bitPattern) }
            return .doubles(values)
        }
    }

    @Test("what is written is what is read, message by message", arguments: 0..<20)
    func roundTrip(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let messages = (0..<20).map { _ in
            (0..<random.below(8)).map { _ in (number: 1 + random.below(ProtobufField.numberLimit), self.random(&random))
            }
        }
        var stream = ProtobufWriter()
        for message in messages {
            var writer = ProtobufWriter()
            for (number, value) in message { write(value, number, to: &writer) }
            stream.delimited(writer.bytes)
        }
        var reader = ProtobufReader(stream.bytes[...])
        for message in messages {
            var fields = try #require(try reader.nextDelimited())
            for (number, value) in message {
                let field = try #require(try fields.next())
                #expect(try field.number == number && read(field, like: value) == value)
            }
            #expect(try fields.next() == nil)
        }
        #expect(try reader.nextDelimited() == nil)
    }

    /// Whatever the bytes are: an error, or fields that lie one behind the other within them.
    @Test("any bytes at all", arguments: 0..<10)
    func anyBytes(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for _ in 0..<500 {
            var writer = ProtobufWriter()
            for _ in 0..<random.below(6) {
                write(self.random(&random), 1 + random.below(20), to: &writer)
            }
            var bytes = writer.bytes
            for _ in 0..<1 + random.below(6) where !bytes.isEmpty {
                switch random.below(3) {
                case 0: bytes[random.below(bytes.count)] = UInt8(random.below(256))
                case 1: bytes.remove(at: random.below(bytes.count))
                default: bytes.insert(UInt8(random.below(256)), at: random.below(bytes.count))
                }
            }
            var count = 0
            func walk(_ reader: ProtobufReader, _ depth: Int) throws(ProtobufError) {
                var reader = reader
                while let field = try reader.next() {
                    count += 1
                    if depth < 3, case .bytes(let inner) = field.value {
                        try? walk(ProtobufReader(inner), depth + 1)
                        try? field.forEachZigzag { _ in count += 1 }
                        try? field.forEachDouble { _ in count += 1 }
                    }
                }
            }
            try? walk(ProtobufReader(bytes[...]), 0)
            #expect(count <= 16 * bytes.count)
        }
    }
}
