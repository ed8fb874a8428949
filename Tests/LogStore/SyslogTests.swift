import Glibc
import KernelJSON
import KernelStorage
import KernelStructures
import TestSupport
import Testing

@testable import LogStoreEngine

@Suite("Syslog")
struct SyslogTests {
    private static let now = LabTime(parsing: "2026-11-28T12:00:00Z")!

    private func read(_ text: String, _ standard: SyslogMessage.Standard = .either) throws -> SyslogMessage {
        try Array(text.utf8).withUnsafeBytes { bytes throws(SyslogMessage.Malformed) in
            try SyslogMessage(bytes, standard, now: Self.now)
        }
    }

    /// Influx's line protocol, as far as the cases use it.
    private func line(_ message: SyslogMessage) -> [String: String] {
        var fields = [
            "facility_code": "\(message.facility)i", "severity_code": "\(message.severity)i",
            "facility": message.facilityName, "severity": message.severityName,
        ]
        if message.version > 0 { fields["version"] = "\(message.version)u" }
        fields["hostname"] = message.host
        fields["appname"] = message.application
        fields["procid"] = message.process
        fields["msgid"] = message.messageID
        if let time = message.time { fields["timestamp"] = "\(time.nanoseconds)i" }
        if let text = message.text {
            var end = text.count
            while end > 0, text[end - 1] == 10 { end -= 1 }
            fields["message"] = String(decoding: text[..<end], as: UTF8.self)
        }
        for element in message.data {
            if element.parameters.isEmpty { fields[element.id] = "true" }
            for parameter in element.parameters { fields["\(element.id)_\(parameter.name)"] = parameter.value }
        }
        return fields
    }

    private func parse(influx text: String) -> [String: String] {
        var fields: [String: String] = [:]
        var key = ""
        var value = ""
        var isKey = true
        var isQuoted = false
        var characters = Array(text.drop { $0 != "," }.dropFirst())[...]
        func finish() { if !key.isEmpty { fields[key] = value } }
        while let character = characters.popFirst() {
            if isQuoted {
                if character == "\\", let next = characters.popFirst() {
                    value.append(next == "n" ? "\n" : next)
                } else if character == "\"" {
                    isQuoted = false
                } else {
                    value.append(character)
                }
            } else if character == "\"" {
                isQuoted = true
            } else if character == "=" && isKey {
                isKey = false
            } else if character == "," || character == " " {
                finish()
                (key, value, isKey) = ("", "", true)
            } else if isKey {
                key.append(character)
            } else {
                value.append(character)
            }
        }
        fields["source"] = nil
        return fields
    }

    @Test("telegraf's cases")
    func vectors() throws {
        guard let file = try? FileDisk(root: nil).open("\(Self.vectors)/syslog/cases.json", [], owner: .lab) else {
            return print("skipped: no vectors of syslog")
        }
        let cases = try JSONValue(parsing: try file.read(at: 0, count: file.size))
        guard case .array(let all) = cases else { return }
        var checked = 0
        for one in all {
            let cursor = JSONCursor(one)
            let config = cursor["config"]
            let server = try config["server"].string()
            let isOld = (try? config["syslog_standard"].string()) == "RFC3164"
            let framing = (try? config["framing"].string()) ?? "octet-counting"
            let input = Array(try cursor["input"].string().utf8)
            var messages: [SyslogMessage] = []
            func take(_ bytes: UnsafeRawBufferPointer) {
                do throws(SyslogMessage.Malformed) {
                    messages.append(try SyslogMessage(bytes, isOld ? .rfc3164 : .rfc5424, now: Self.now))
                } catch {
                    if config["best_effort"].ifPresent != nil, let partial = error.partial { messages.append(partial) }
                }
            }
            if server.hasPrefix("udp") {
                input.withUnsafeBytes { take($0) }
            } else {
                var cutter = LineFraming(limitBytes: 1 << 20, countsOctets: framing == "octet-counting")
                _ = input.withUnsafeBytes { bytes in
                    cutter.feed(bytes) { message in
                        take(message)
                        return true
                    }
                }
                if framing != "octet-counting" { cutter.finish { take($0) } }
            }
            let expected = try cursor["expected"].array().map { parse(influx: try $0.string()) }
            let name = try cursor["name"].string()
            #expect(messages.map(line) == expected, "\(name)")
            checked += 1
        }
        #expect(checked == 32)
    }

    private static var vectors: String { getenv("SDLAB_VECTORS").map { String(cString: $0) } ?? "../shared/vectors" }

    @Test("RFC 5424's own examples")
    func examples() throws {
        let first = try read(
            "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 "
                + "[exampleSDID@32473 iut=\"3\" eventSource=\"Appli\\]cation\"][x@1] \u{FEFF}An event")
        #expect(first.facility == 20 && first.severity == 5 && first.version == 1)
        #expect(first.time?.description == "2003-10-11T22:14:15.003Z" && first.process == nil)
        #expect(first.data[0].parameters[1].value == "Appli]cation" && first.data[1].parameters == [])
        #expect(first.text == Array("An event".utf8) && first.level == "info")
        #expect(try read("<0>1 - - - - - -").text == nil)
    }

    @Test("RFC 3164 as programs write it: with and without host, process and year")
    func old() throws {
        let first = try read("<34>Oct 11 22:14:15 mymachine su[4711]: 'su root' failed")
        #expect(first.host == "mymachine" && first.application == "su" && first.process == "4711")
        #expect(first.time?.description == "2026-10-11T22:14:15Z" && first.text == Array("'su root' failed".utf8))
        #expect(try read("<13>Jan  1 00:00:01 h app: x").time?.description == "2027-01-01T00:00:01Z")
        let logger = try read("<13>Oct 11 22:14:15 app[1]: text")
        #expect(logger.host == nil && logger.application == "app" && logger.text == Array("text".utf8))
        #expect(try read("<13>2026-10-11T22:14:15.5+02:00 h app: x").time?.description == "2026-10-11T20:14:15.5Z")
        #expect(try read("<13>2026-10-11T22:14:15 h app: x").time?.description == "2026-10-11T22:14:15Z")
        #expect(try read("<13>Oct 11 22:14:15 h no tag here").text == Array("no tag here".utf8))
    }

    @Test(
        "nothing that comes is a trap, and what is read has its parts from the input", arguments: [1, 2, 3] as [UInt64])
    func fuzz(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let samples = [
            "<165>1 2003-10-11T22:14:15.003Z host app 12 ID47 [a@1 b=\"c\"] text",
            "<34>Oct 11 22:14:15 host su[1]: text", "97 <34>1 - - - - - - x",
        ].map { Array($0.utf8) }
        for _ in 0..<(isLong ? 300_000 : 10_000) {
            var bytes = samples[random.below(3)]
            for _ in 0..<random.below(5) where !bytes.isEmpty {
                switch random.below(3) {
                case 0: bytes[random.below(bytes.count)] = UInt8(random.below(256))
                case 1: bytes.remove(at: random.below(bytes.count))
                default: bytes.insert(UInt8(random.below(256)), at: random.below(bytes.count + 1))
                }
            }
            for standard in [SyslogMessage.Standard.either, .rfc5424, .rfc3164] {
                guard
                    let message = try? bytes.withUnsafeBytes({ bytes throws(SyslogMessage.Malformed) in
                        try SyslogMessage(bytes, standard, now: Self.now)
                    })
                else { continue }
                #expect(message.facility * 8 + message.severity <= 191)
                #expect(bytes.count >= (message.text?.count ?? 0))
            }
        }
    }

    // MARK: Framing

    private func cut(_ bytes: [UInt8], pieces: Int, limit: Int = 1000, counts: Bool = true) -> [String] {
        var cutter = LineFraming(limitBytes: limit, countsOctets: counts)
        var found: [String] = []
        var place = 0
        while place < bytes.count {
            let end = min(bytes.count, place + pieces)
            _ = bytes[place..<end].withUnsafeBytes { bytes in
                cutter.feed(bytes) { line in
                    found.append(String(decoding: line, as: UTF8.self))
                    return true
                }
            }
            place = end
        }
        cutter.finish { found.append(String(decoding: $0, as: UTF8.self)) }
        return found
    }

    @Test("a message with its length in front may have line ends in it; however it comes, it is the same")
    func octetCounting() {
        let bytes = Array("10 <1>1 a\nb\nc<1>line\r\n\n<2>two\n5 <3>x\n\n<4>rest".utf8)
        let expected = ["<1>1 a\nb\nc", "<1>line", "<2>two", "<3>x", "<4>rest"]
        for pieces in 1...bytes.count { #expect(cut(bytes, pieces: pieces) == expected, "\(pieces)") }
    }

    @Test("what is too long is left out, and what follows is not")
    func tooLong() {
        let bytes = Array(
            "<1>short\n\(String(repeating: "x", count: 50))\n30 \(String(repeating: "y", count: 30))<2>two\n".utf8)
        for pieces in 1...bytes.count {
            #expect(cut(bytes, pieces: pieces, limit: 20) == ["<1>short", "<2>two"], "\(pieces)")
        }
    }

    @Test("a length that is none ends the connection, and a sender may be told to wait between two messages")
    func lost() {
        var cutter = LineFraming(limitBytes: 100, countsOctets: true)
        #expect(Array("12x".utf8).withUnsafeBytes { cutter.feed($0) { _ in true } } == .lost)
        var other = LineFraming(limitBytes: 100, countsOctets: false)
        var found: [String] = []
        func take(_ line: UnsafeRawBufferPointer) -> Bool {
            found.append(String(decoding: line, as: UTF8.self))
            return false
        }
        _ = Array("a\nb\nc".utf8).withUnsafeBytes { other.feed($0, take) }
        #expect(found == ["a"])
        _ = other.resume(take)
        _ = other.resume(take)
        #expect(found == ["a", "b"])
    }
}
