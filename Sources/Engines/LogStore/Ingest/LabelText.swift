import TimeSeriesEngine

/// Reads a stream's labels as Loki's clients write them in protobuf: `{job="app", env="prod"}`.
public enum LabelText {
    public struct Malformed: Error, Equatable, Sendable, CustomStringConvertible {
        public let problem: String
        public let place: Int
        public var description: String { "labels, byte \(place): \(problem)" }
    }

    public static func parse(_ text: String) throws(Malformed) -> Labels {
        var reader = Reader(bytes: Array(text.utf8))
        try reader.expect(UInt8(ascii: "{"))
        var pairs: [(String, String)] = []
        reader.skipBlanks()
        while !reader.take(UInt8(ascii: "}")) {
            if !pairs.isEmpty {
                try reader.expect(UInt8(ascii: ","))
                // One comma more than labels is a habit.
                reader.skipBlanks()
                if reader.take(UInt8(ascii: "}")) { break }
            }
            let name = try reader.name()
            try reader.expect(UInt8(ascii: "="))
            pairs.append((name, try reader.quoted()))
            reader.skipBlanks()
        }
        reader.skipBlanks()
        guard reader.place == reader.bytes.count else { throw reader.malformed("nothing should follow the brace") }
        return Labels(pairs)
    }

    private struct Reader {
        let bytes: [UInt8]
        var place = 0

        func malformed(_ problem: String) -> Malformed { Malformed(problem: problem, place: place) }

        mutating func skipBlanks() { while place < bytes.count, bytes[place] == 32 || bytes[place] == 9 { place += 1 } }

        mutating func take(_ byte: UInt8) -> Bool {
            guard place < bytes.count, bytes[place] == byte else { return false }
            place += 1
            return true
        }

        mutating func expect(_ byte: UInt8) throws(Malformed) {
            skipBlanks()
            guard take(byte) else { throw malformed("expected '\(Character(Unicode.Scalar(byte)))'") }
        }

        mutating func name() throws(Malformed) -> String {
            skipBlanks()
            let start = place
            while place < bytes.count, isOfName(bytes[place]) { place += 1 }
            guard place > start else { throw malformed("expected a label's name") }
            return String(decoding: bytes[start..<place], as: UTF8.self)
        }

        private func isOfName(_ byte: UInt8) -> Bool {
            byte == 0x5F || byte &- 48 < 10 || (byte | 0x20) &- 97 < 26 || byte >= 0x80 || byte == 0x2E || byte == 0x3A
        }

        /// In quotation marks, with Go's commonest escapes.
        mutating func quoted() throws(Malformed) -> String {
            try expect(UInt8(ascii: "\""))
            var value: [UInt8] = []
            while place < bytes.count {
                let byte = bytes[place]
                place += 1
                if byte == UInt8(ascii: "\"") { return String(decoding: value, as: UTF8.self) }
                guard byte == UInt8(ascii: "\\"), place < bytes.count else {
                    value.append(byte)
                    continue
                }
                switch bytes[place] {
                case UInt8(ascii: "n"): value.append(10)
                case UInt8(ascii: "t"): value.append(9)
                case UInt8(ascii: "r"): value.append(13)
                default: value.append(bytes[place])
                }
                place += 1
            }
            throw malformed("the quotation mark at the end is missing")
        }
    }
}
