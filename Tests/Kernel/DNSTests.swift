import Foundation
import KernelStructures
import KernelWire
import Testing

@Suite("DNS messages")
struct DNSTests {
    private func name(_ text: String) -> DNSName { DNSName(parsing: text)! }

    private var example: DNSMessage {
        var message = DNSMessage(id: 7)
        message.isResponse = true
        message.isAuthoritative = true
        message.questions = [.init(name("a.service.consul"), .srv)]
        for number in 0..<3 {
            let target = name("7f00000\(number).addr.dc1.consul")
            message.answers.append(
                DNSRecord(
                    name("a.service.consul"), ttlSeconds: 0, .srv(priority: 1, weight: 1, port: 8080, target: target)))
            message.additional.append(
                DNSRecord(target, ttlSeconds: 0, .a(IPv4Address(127, 0, 0, UInt8(number)))))
        }
        message.edns = .init(payloadBytes: 1232)
        return message
    }

    @Test("a message reads back as it was written, and names that repeat are written once (RFC 1035, 4.1.4)")
    func roundTrip() throws {
        let bytes = example.bytes()
        #expect(try DNSMessage(reading: bytes) == example)
        // The owner of each answer is a pointer to the question, that of each address one to the target.
        #expect(bytes.count == 12 + 22 + 3 * (2 + 10 + 6 + 26) + 3 * (2 + 10 + 4) + 11)
        #expect(String(decoding: bytes, as: UTF8.self).components(separatedBy: "\u{7}service").count == 2)
    }

    @Test("a name keeps its case, and is equal in any (RFC 4343)")
    func cases() throws {
        var message = DNSMessage(id: 1)
        message.questions = [.init(name("PaYmEnt.ConSul"), .a)]
        message.answers = [DNSRecord(name("payment.consul"), ttlSeconds: 1, .a(IPv4Address(1, 2, 3, 4)))]
        let read = try DNSMessage(reading: message.bytes())
        #expect(read.questions[0].name.description == "PaYmEnt.ConSul.")
        #expect(read.answers[0].name.description == "payment.consul.")
        #expect(read.questions[0].name == read.answers[0].name)
        #expect(Set([read.questions[0].name, read.answers[0].name]).count == 1)
    }

    @Test("names are read and written as zone files have them (RFC 1035, 5.1)")
    func presentation() {
        #expect(name("a\\.b.c").labels.count == 2)
        #expect(name("a\\.b.c").description == "a\\.b.c.")
        #expect(name("\\007x.c").description == "\\007x.c.")
        #expect(name("\\097.c").description == "a.c.")
        for text in ["", "a..b", ".a", "a\\", "a\\25", "a\\256", String(repeating: "a", count: 64)] {
            #expect(DNSName(parsing: text) == nil, "\(text)")
        }
        let long = Array(repeating: String(repeating: "a", count: 63), count: 4).joined(separator: ".")
        #expect(DNSName(parsing: long) == nil)
        #expect(DNSName(parsing: long.dropLast(2)) != nil)
        #expect(name("x.a.consul").isWithin(name("CONSUL")))
        #expect(!name("x.aconsul").isWithin(name("consul")))
        #expect(name("x").isWithin(.root))
    }

    @Test("what does not fit is left out: TC for an answer, nothing for an addition (RFC 2181, 9)")
    func truncation() throws {
        var message = example
        message.edns = nil
        for number in 0..<60 {
            message.additional.append(
                DNSRecord(name("x\(number).consul"), ttlSeconds: 0, .a(IPv4Address(127, 0, 0, 1))))
        }
        let less = try DNSMessage(reading: message.bytes(limit: 512))
        #expect(!less.isTruncated && less.answers == message.answers && less.additional.count < 63)
        for number in 0..<60 {
            message.answers.append(
                DNSRecord(name("y\(number).consul"), ttlSeconds: 0, .a(IPv4Address(127, 0, 0, 1))))
        }
        let cut = message.bytes(limit: 0)
        #expect(cut.count <= 512)
        let read = try DNSMessage(reading: cut)
        #expect(read.isTruncated && read.additional.isEmpty)
        #expect(read.answers == Array(message.answers.prefix(read.answers.count)) && read.answers.count > 10)
        message.edns = .init(payloadBytes: 1232)
        #expect(try DNSMessage(reading: message.bytes(limit: 512)).edns?.payloadBytes == 1232)
    }

    @Test("a pointer leads back, never forward, to itself, or in a circle")
    func pointers() {
        let head: [UInt8] = [0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
        func read(_ name: [UInt8]) -> Result<DNSMessage, DNSError> {
            Result { () throws(DNSError) in try DNSMessage(reading: head + name + [0, 1, 0, 1]) }
        }
        #expect(read([0xC0, 12]) == .failure(.pointer))
        #expect(read([0xC0, 14]) == .failure(.pointer))
        #expect(read([1, 97, 0xC0, 12]) == .failure(.pointer))
        #expect(read([0x40, 97, 0]) == .failure(.name))
        #expect(read([0xC0]) == .failure(.pointer) || read([0xC0]) == .failure(.truncated))
        // Into the head: bytes that happen to be a name.
        #expect(throws: Never.self) { try read([0xC0, 4]).get() }
    }

    // MARK: Fuzzing

    private static func name(_ random: inout SeededRandom) -> DNSName {
        let words = ["a", "service", "consul", "PAYMENT", "x\u{0}y", String(repeating: "l", count: 63)]
        return DNSName(labels: (0..<random.below(4)).map { _ in Array(words[random.below(words.count)].utf8)[...] })!
    }

    private static func record(_ random: inout SeededRandom) -> DNSRecord {
        let number = UInt16(truncatingIfNeeded: random.next())
        let data: DNSData =
            switch random.below(10) {
            case 0: .a(IPv4Address(bits: UInt32(truncatingIfNeeded: random.next())))
            case 1: .aaaa(IPv6Address(high: random.next(), low: random.next()))
            case 2: .ns(name(&random))
            case 3: .cname(name(&random))
            case 4: .ptr(name(&random))
            case 5: .mx(preference: number, name(&random))
            case 6: .txt((0...random.below(3)).map { _ in randomBytes(&random, random.below(256)) })
            case 7: .srv(priority: number, weight: 1, port: 2, target: name(&random))
            case 8:
                .soa(
                    DNSAuthority(
                        server: name(&random), mailbox: name(&random), serial: 1, refreshSeconds: 2, retrySeconds: 3,
                        expireSeconds: UInt32(number), minimumSeconds: 5))
            default: .other(DNSType(rawValue: 60_000), randomBytes(&random, random.below(40)))
            }
        return DNSRecord(name(&random), ttlSeconds: UInt32(truncatingIfNeeded: random.next()), data)
    }

    private static func randomBytes(_ random: inout SeededRandom, _ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    private static func message(_ random: inout SeededRandom) -> DNSMessage {
        var message = DNSMessage(id: UInt16(truncatingIfNeeded: random.next()))
        message.isResponse = random.chance(0.5)
        message.opcode = UInt8(random.below(16))
        message.wantsRecursion = random.chance(0.5)
        message.isAuthoritative = random.chance(0.5)
        message.questions = (0..<random.below(3)).map { _ in .init(name(&random), .any) }
        message.answers = (0..<random.below(6)).map { _ in record(&random) }
        message.authority = (0..<random.below(3)).map { _ in record(&random) }
        message.additional = (0..<random.below(3)).map { _ in record(&random) }
        if random.chance(0.5) {
            message.edns = .init(payloadBytes: UInt16(truncatingIfNeeded: random.next()))
            message.edns?.wantsDNSSEC = random.chance(0.5)
            message.edns?.options = (0..<random.below(3)).map {
                .init(code: UInt16($0), bytes: randomBytes(&random, random.below(30)))
            }
            message.code = .init(rawValue: UInt16(random.below(4096)))
        } else {
            message.code = .init(rawValue: UInt16(random.below(16)))
        }
        return message
    }

    @Test("whatever is written reads back; whatever is read, writes and reads back the same; at any limit it is whole")
    func fuzz() throws {
        for seed in 0..<400 as Range<UInt64> {
            var random = SeededRandom(seed: seed)
            let message = Self.message(&random)
            let bytes = message.bytes()
            #expect(try DNSMessage(reading: bytes) == message, "seed \(seed)")
            let limit = 512 + random.below(600)
            let cut = message.bytes(limit: limit)
            let read = try DNSMessage(reading: cut)
            #expect(cut.count <= limit, "seed \(seed)")
            #expect(read.answers == Array(message.answers.prefix(read.answers.count)), "seed \(seed)")
            #expect(read.isTruncated || read.answers.count == message.answers.count, "seed \(seed)")
            for _ in 0..<20 {
                var damaged = bytes
                for _ in 0...random.below(4) where !damaged.isEmpty {
                    damaged[random.below(damaged.count)] = UInt8(truncatingIfNeeded: random.next())
                }
                if random.chance(0.3) { damaged.removeLast(random.below(damaged.count)) }
                guard let seen = try? DNSMessage(reading: damaged) else { continue }
                let again = seen.bytes()
                #expect(try DNSMessage(reading: again) == seen, "seed \(seed)")
            }
        }
    }

    // MARK: Other people's records

    private static let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    static let zone = root + "/../shared/vectors/dns/example1.good.txt"

    /// A line's data, of the types that are known here.
    private func data(_ type: String, _ words: [String], _ line: String) -> DNSData? {
        func absolute(_ word: String) -> DNSName {
            word == "@" ? name("example.") : word.hasSuffix(".") ? name(word) : name(word + ".example.")
        }
        let numbers = words.map { UInt16($0) ?? 0 }
        switch type {
        case "A": return IPv4Address(parsing: words[0]).map { .a($0) }
        case "AAAA": return IPv6Address(parsing: words[0]).map { .aaaa($0) }
        case "NS": return .ns(absolute(words[0]))
        case "CNAME": return .cname(absolute(words[0]))
        case "PTR": return .ptr(absolute(words[0]))
        case "MX": return .mx(preference: numbers[0], absolute(words[1]))
        case "SRV":
            return .srv(priority: numbers[0], weight: numbers[1], port: numbers[2], target: absolute(words[3]))
        default: return nil
        }
    }

    @Test(
        "dnspython's zone: each record of a known type survives the wire, names as they are written",
        .enabled(if: FileManager.default.fileExists(atPath: zone)))
    func vectors() throws {
        var count = 0
        for line in try String(contentsOfFile: Self.zone, encoding: .utf8).split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            guard words.count >= 5, let data = data(words[3], Array(words[4...]), String(line)) else { continue }
            let owner = words[0] == "@" ? name("example.") : name(words[0] + ".example.")
            let record = DNSRecord(owner, ttlSeconds: UInt32(words[1])!, data)
            var message = DNSMessage(id: 1)
            message.answers = [record, record]
            #expect(try DNSMessage(reading: message.bytes()) == message, "\(line)")
            if words[0] != "@" { #expect(owner.description == words[0] + ".example.", "\(line)") }
            count += 1
        }
        #expect(count > 30)
    }
}
