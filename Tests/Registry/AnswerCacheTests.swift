import KernelStructures
import KernelWire
import KernelWorld
import RegistryEngine
import RegistryService
import TestSupport
import Testing

@Suite("The registry's answers that are kept")
struct AnswerCacheTests {
    private let reader = IPAddress(IPv4Address(bits: 0x7F00_0001))

    private func book(_ count: Int) -> RegistryCatalog {
        var book = Book()
        for number in 1...count { book.register("api", "api-\(number)", address: "10.0.0.\(number)", port: number) }
        return book.catalog
    }

    /// A question and its first answer, kept.
    private func keep(_ catalog: RegistryCatalog, _ type: DNSType, payload: UInt16? = nil, in cache: inout AnswerCache)
        -> [UInt8]
    {
        let question = query("Api.service.CONSUL", type, payload: payload)
        var random = SeededRandom(seed: 1)
        let (answer, service) = RegistryZone.answer(question, catalog, RegistrySettings(), random: &random)
        let bytes = question.bytes()
        bytes.withUnsafeBytes {
            cache.keep(answer, limitBytes: Int(payload ?? 512), to: $0, from: reader, service: service)
        }
        return bytes
    }

    private func ask(_ cache: inout AnswerCache, _ question: [UInt8], _ random: inout SeededRandom) throws -> (
        message: DNSMessage, service: String?
    )? {
        let found = question.withUnsafeBytes { cache.answer($0, from: reader, random: &random) }
        guard let found else { return nil }
        return (try found.bytes.withUnsafeBytes { try DNSMessage(reading: $0) }, found.service)
    }

    @Test("the same as one that is made anew but for its order, with the client's number and its case of letters")
    func same() throws {
        let catalog = book(5)
        for type in [DNSType.a, .srv] {
            var cache = AnswerCache()
            var question = keep(catalog, type, payload: 4096, in: &cache)
            var random = SeededRandom(seed: 2)
            question[0] = 0xAB
            question[1] = 0xCD
            for _ in 0..<20 {
                let answer = try #require(try ask(&cache, question, &random)).message
                #expect(answer.id == 0xABCD && answer.questions[0].name.description == "Api.service.CONSUL.")
                let fresh = catalog.answer("Api.service.CONSUL", type)
                func sorted(_ records: [DNSRecord]) -> [String] { records.map { "\($0)" }.sorted() }
                #expect(sorted(answer.answers) == sorted(fresh.answers))
                #expect(sorted(answer.additional) == sorted(fresh.additional))
                #expect(answer.isAuthoritative && answer.edns != nil)
            }
        }
    }

    @Test("who stands first is drawn evenly, and after a thousand answers the order is made anew")
    func spread() throws {
        let catalog = book(3)
        var cache = AnswerCache()
        var random = SeededRandom(seed: 3)
        var firsts: [String: Int] = [:]
        var asked = 0
        let question = keep(catalog, .a, in: &cache)
        while let answer = try ask(&cache, question, &random) {
            firsts[answer.message.answers[0].data.description, default: 0] += 1
            asked += 1
        }
        #expect(asked == 1000 && cache.count == 0)
        #expect(firsts.count == 3 && firsts.values.allSatisfy { (250...420).contains($0) }, "\(firsts)")
    }

    @Test("an answer that does not fit is cut for each client as it can take it, whoever stands first")
    func cut() throws {
        let catalog = book(50)
        for (payload, isCut) in [(UInt16?.none, true), (1232, false)] {
            var cache = AnswerCache()
            var random = SeededRandom(seed: 4)
            let question = keep(catalog, .a, payload: payload, in: &cache)
            for _ in 0..<60 {
                let found = question.withUnsafeBytes { cache.answer($0, from: reader, random: &random) }
                let bytes = try #require(found?.bytes)
                let answer = try bytes.withUnsafeBytes { try DNSMessage(reading: $0) }
                #expect(answer.isTruncated == isCut && bytes.count <= Int(payload ?? 512))
            }
        }
    }

    @Test("what there is none of, and what is of several kinds, is not kept; a flood of questions has its bounds")
    func bounds() {
        let catalog = book(2)
        var cache = AnswerCache()
        var random = SeededRandom(seed: 5)
        for (name, type) in [
            ("none.service.consul", DNSType.a), ("api.service.consul", .any), ("api.service.consul", .aaaa),
            ("consul", .ns), ("n1.node.consul", .a),
        ] {
            let question = query(name, type)
            let (answer, service) = RegistryZone.answer(question, catalog, RegistrySettings(), random: &random)
            question.bytes().withUnsafeBytes {
                cache.keep(answer, limitBytes: 512, to: $0, from: reader, service: service)
            }
            #expect(cache.count == 0, "\(name)")
        }
        let (answer, service) = RegistryZone.answer(
            query("api.service.consul", .a), catalog, RegistrySettings(), random: &random)
        for number in 0..<5000 {
            var bytes = query("api.service.consul", .a).bytes()
            bytes += [UInt8(number >> 8), UInt8(number & 255)]
            bytes.withUnsafeBytes { cache.keep(answer, limitBytes: 512, to: $0, from: reader, service: service) }
            #expect(cache.count <= 1024)
        }
    }

    /// A client that asks over datagrams.
    private final class Asker: DatagramHandler {
        private(set) var socket: DatagramSocket!
        private(set) var answers: [DNSMessage] = []
        init(_ node: Node) throws { socket = try node.bindDatagrams(handler: self) }
        func datagramSocket(_ socket: DatagramSocket, received bytes: UnsafeRawBufferPointer, from remote: Endpoint) {
            if let message = try? DNSMessage(reading: bytes) { answers.append(message) }
        }
    }

    @Test("nobody is told of an instance that is gone, or not of one that is new; and who saw what is still noted")
    func changes() throws {
        let lab = try RegistryLab()
        let asker = try Asker(lab.world.node("asker"))
        func ask() throws -> [String] {
            for _ in 0..<3 {
                try asker.socket.send(
                    query("api.service.consul", .a).bytes(), to: HostPort(host: "registry", port: 8600))
                lab.world.pass(.milliseconds(2))
            }
            let last = asker.answers.suffix(3).map { $0.answers.map(\.data.description).sorted() }
            #expect(last.count == 3 && Set(last).count == 1)
            return last.last ?? []
        }
        func register(_ number: Int, _ status: String = "passing") throws {
            let body =
                #"{"ID": "\#(number)", "Name": "api", "Address": "10.0.0.\#(number)", "#
                + #""Check": {"TTL": "1h", "Status": "\#(status)"}}"#
            #expect(try lab.ask("PUT", "/v1/agent/service/register", body).status == 200)
        }
        try register(1)
        #expect(try ask() == ["10.0.0.1"])
        try register(2)
        #expect(try ask() == ["10.0.0.1", "10.0.0.2"])
        #expect(try lab.ask("PUT", "/v1/kv/a", "1").status == 200)
        #expect(try lab.ask("PUT", "/v1/agent/check/fail/service:1").status == 200)
        #expect(try ask() == ["10.0.0.2"])
        #expect(try lab.ask("PUT", "/v1/agent/service/deregister/2").status == 200)
        #expect(try ask() == [])
        let sightings = lab.host.engine.sightings.changes.map { $0.sightings.map(\.client) }
        #expect(sightings == [[], ["asker"], ["asker"], ["asker"]])
    }
}
