import KernelCryptography
import KernelJSON
import KernelStructures
import TestSupport
import Testing

/// Random values and mutilated documents: what is written is read as the same, cut anywhere it is refused, and whatever
/// is accepted at all survives being written.
@Suite("Fuzzing JSON")
struct JSONFuzzTests {
    private static func value(_ random: inout SeededRandom, depth: Int) -> JSONValue {
        switch random.below(depth > 0 ? 9 : 7) {
        case 0: .null
        case 1: .bool(random.chance(0.5))
        case 2: .integer(Int(truncatingIfNeeded: random.next()) >> random.below(64))
        case 3: .unsigned(random.next())
        case 4:
            .number({ $0.isFinite ? $0 : -0.0 }(Double(bitPattern: random.next())))
        case 5: .decimal("-" + String(repeating: "9", count: 19 + random.below(280)))
        case 6: .string(text(&random))
        case 7: .array((0..<random.below(5)).map { _ in value(&random, depth: depth - 1) })
        default:
            .object((0..<random.below(20)).map { (text(&random) + "\($0)", value(&random, depth: depth - 1)) })
        }
    }

    private static func text(_ random: inout SeededRandom) -> String {
        var text = ""
        for _ in 0..<random.below(8) {
            let bound = [0x20, 0x80, 0x800, 0x11_0000][random.below(4)]
            if let scalar = Unicode.Scalar(UInt32(random.below(bound))) { text.unicodeScalars.append(scalar) }
        }
        return text
    }

    @Test("what is written is read as the same value, and no beginning of it is a document")
    func roundTrip() throws {
        var random = SeededRandom(seed: 7)
        for _ in 0..<2_000 {
            let value = JSONValue.array([Self.value(&random, depth: 4)])
            let style = [JSONStyle.compact, .spaced, .pretty][random.below(3)]
            let bytes = value.bytes(style)
            #expect(try JSONValue(parsing: bytes) == value)
            #expect(throws: JSONError.self) { try JSONValue(parsing: Array(bytes[..<random.below(bytes.count)])) }
        }
    }

    @Test("what is accepted of mutilated documents survives being written; what is refused has its place")
    func mutilated() throws {
        var random = SeededRandom(seed: 8)
        var acceptedCount = 0
        for _ in 0..<20_000 {
            let bytes = Self.mutilated(&random)
            do throws(JSONError) {
                let value = try JSONValue(parsing: bytes)
                acceptedCount += 1
                #expect(try JSONValue(parsing: value.bytes()) == value)
            } catch {
                #expect((0...bytes.count).contains(error.offset) && !error.problem.isEmpty)
                #expect(error.line >= 1 && error.column >= 1 && error.column <= error.offset + 1)
            }
        }
        #expect(acceptedCount > 1_000, "the fuzz must reach the inside")
    }

    private static func mutilated(_ random: inout SeededRandom) -> [UInt8] {
        var bytes = value(&random, depth: 3).bytes(.spaced)
        for _ in 0...random.below(3) where !bytes.isEmpty {
            let place = random.below(bytes.count)
            switch random.below(4) {
            case 0: bytes[place] = UInt8(truncatingIfNeeded: random.next())
            case 1: bytes.remove(at: place)
            case 2: bytes.insert(Array("[]{}\",:\\0-.eu".utf8)[random.below(13)], at: place)
            default: bytes.removeSubrange(place..<min(bytes.count, place + random.below(6)))
            }
        }
        return bytes
    }

    /// Python takes three things that this reader refuses: NaN and Infinity, lone halves of surrogate pairs, and
    /// numbers beyond a `Double`, which it makes infinite.
    @Test("Python's reader accepts and refuses the same, and reads the same", .enabled(if: TestPython.canRun))
    func python() throws {
        let program = """
            import sys, json, math
            def refuse(text): raise ValueError(text)
            def number(text):
                if math.isinf(float(text)): raise ValueError(text)
                return float(text)
            def whole(text):
                if math.isinf(float(text)): raise ValueError(text)
                return int(text)
            def unique(pairs):
                if len(dict(pairs)) < len(pairs): raise ValueError('twice')
                return dict(pairs)
            for line in sys.stdin:
                try:
                    value = json.loads(bytes.fromhex(line.strip()).decode('utf-8'), parse_constant=refuse,
                        parse_float=number, parse_int=whole, object_pairs_hook=unique)
                    text = json.dumps(value, ensure_ascii=False).encode('utf-8')
                    print(text.hex())
                except (ValueError, OverflowError):
                    print('no')
            """
        var random = SeededRandom(seed: 10)
        let inputs = (0..<5_000).map { _ in Self.mutilated(&random) }
        let lines = inputs.map { Hexadecimal.encode($0) }.joined(separator: "\n")
        let answers = try TestPython.run(program, input: lines + "\n").split(separator: "\n")
        #expect(answers.count == inputs.count)
        for (input, answer) in zip(inputs, answers) {
            let own = try? JSONValue(parsing: input)
            let theirs = try Hexadecimal.decode(String(answer)).map { try JSONValue(parsing: $0) }
            #expect(own == theirs, "\(String(decoding: input, as: UTF8.self).debugDescription)")
        }
    }
}
