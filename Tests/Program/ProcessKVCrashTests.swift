import Glibc
import KernelStructures
import Testing

/// `sdlab lsm-kv` killed with -9 at random moments, again and again over one directory: what a client was told is there
/// afterwards, and what else is there is a beginning of what it sent.
extension ProgramHeavyTests {
    @Suite struct ProcessKVCrashTests {
        private static let keyCount = 150

        @Test("every acknowledged write survives kill -9", .timeLimit(.minutes(10)))
        func kills() throws {
            let directory = try ProgramDirectory()
            let data = directory.path + "/data"
            var random = SeededRandom(seed: 2026)
            var model: [String: String] = [:]
            var sent = 0
            var acknowledgedAltogether = 0
            for round in 0..<ProgramSize.full(200, else: 15) {
                let port = try ProgramPort.free()
                let server = try ProgramProcess.service(
                    "lsm-kv", "--data-dir", data, "--appendfsync", "always", "--memtable-size", "64KiB", port: port)
                try check(model, port, round)
                let connection = try ProgramConnection(port: port)
                var writes: [(key: String, value: String)] = []
                let end = ProgramClock.seconds + 0.002 + 0.1 * random.unit()
                while ProgramClock.seconds < end {
                    sent += 1
                    let key = "key\(random.below(Self.keyCount))"
                    let value = "\(sent) " + String(repeating: "x", count: random.below(400))
                    writes.append((key, value))
                    try connection.send(Self.command("SET", key, value))
                    // Now and then many at once, which then share a commit.
                    if random.chance(0.7) { poll(nil, 0, 1) }
                }
                server.send(SIGKILL)
                _ = try server.waitForExit()
                let answers = try #require(connection.rest()).split(separator: UInt8(ascii: "\n"))
                #expect(answers.allSatisfy { $0.elementsEqual("+OK\r".utf8) })
                acknowledgedAltogether += answers.count
                try settle(&model, writes, acknowledged: answers.count, data, round)
            }
            #expect(acknowledgedAltogether > 100)
        }

        /// Finds out how many of the writes are there, and takes them into the model.
        private func settle(
            _ model: inout [String: String], _ writes: [(key: String, value: String)], acknowledged: Int,
            _ data: String, _ round: Int
        ) throws {
            let port = try ProgramPort.free()
            let server = try ProgramProcess.service("lsm-kv", "--data-dir", data, port: port)
            let seen = try contents(port)
            // Killed as well, so that the next recovery follows on this one.
            server.send(SIGKILL)
            var state = model
            for (key, value) in writes.prefix(acknowledged) { state[key] = value }
            var index = acknowledged
            while state != seen, index < writes.count {
                state[writes[index].key] = writes[index].value
                index += 1
            }
            #expect(
                state == seen,
                "round \(round): not a beginning of what was sent, with \(acknowledged) of \(writes.count) acknowledged"
            )
            model = seen
        }

        private func check(_ model: [String: String], _ port: UInt16, _ round: Int) throws {
            let seen = try contents(port)
            #expect(seen == model, "round \(round): another start, other contents")
        }

        private func contents(_ port: UInt16) throws -> [String: String] {
            let connection = try ProgramConnection(port: port)
            let keys = (0..<Self.keyCount).map { "key\($0)" }
            try connection.send(keys.map { Self.command("GET", $0) }.joined() + Self.command("QUIT"))
            let text = String(decoding: try #require(connection.rest()), as: UTF8.self)
            // Values hold no line ends: of every answer but the missing ones the second line is the value.
            var lines = text.components(separatedBy: "\r\n")[...]
            var result: [String: String] = [:]
            for key in keys {
                guard let head = lines.popFirst() else { throw ProgramTrouble("no answer for \(key): \(text)") }
                if head == "$-1" { continue }
                guard head.hasPrefix("$"), let value = lines.popFirst() else {
                    throw ProgramTrouble("for \(key): \(head)")
                }
                result[key] = value
            }
            return result
        }

        private static func command(_ words: String...) -> String {
            "*\(words.count)\r\n" + words.map { "$\($0.utf8.count)\r\n\($0)\r\n" }.joined()
        }
    }
}

extension String {
    /// The pieces between a separator.
    fileprivate func components(separatedBy separator: String) -> [String] {
        var pieces: [String] = []
        var rest = utf8[...]
        let mark = Array(separator.utf8)
        var piece: [UInt8] = []
        while let byte = rest.first {
            if rest.starts(with: mark) {
                pieces.append(String(decoding: piece, as: UTF8.self))
                piece = []
                rest = rest.dropFirst(mark.count)
            } else {
                piece.append(byte)
                rest = rest.dropFirst()
            }
        }
        return pieces
    }
}
