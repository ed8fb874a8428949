import KernelStructures
import KernelWire
import RegistryEngine
import Testing

@Suite("The registry's zone")
struct ZoneTests {
    private var book: Book {
        var book = Book()
        book.register("api", "a", address: "10.0.0.9", port: 8080, tags: ["v1"], status: .passing)
        book.register("api", "b", address: "10.0.0.10", port: 8081, tags: ["v2"], status: .warning)
        book.register("api", "c", address: "10.0.0.11", port: 8082, status: .critical)
        book.register("six", "s", address: "2001:db8::1", port: 1)
        book.register("far", "f", address: "db.example.com", port: 5432)
        book.register("here", "h", address: "", port: 9)
        return book
    }

    private func texts(_ records: [DNSRecord]) -> [String] { records.map { "\($0.type) \($0.data)" }.sorted() }

    @Test("healthy instances as A and SRV, by name, tag, datacenter, RFC 2782, in either zone, in any case")
    func names() {
        let catalog = book.catalog
        for name in [
            "api.service.consul", "API.Service.CONSUL", "api.service.dc1.consul", "api.service.local",
            "_api._tcp.service.consul",
        ] {
            #expect(texts(catalog.answer(name, .a).answers) == ["A 10.0.0.10", "A 10.0.0.9"], "\(name)")
            let answer = catalog.answer(name, .srv)
            #expect(answer.answers.count == 2 && answer.isAuthoritative, "\(name)")
            #expect(answer.answers[0].name.description == name + ".", "as it was asked for")
        }
        for name in ["v1.api.service.consul", "_api._v1.service.consul"] {
            #expect(texts(catalog.answer(name, .a).answers) == ["A 10.0.0.9"], "\(name)")
        }
        #expect(texts(catalog.answer("six.service.consul", .aaaa).answers) == ["AAAA 2001:db8::1"])
        #expect(texts(catalog.answer("far.service.consul", .a).answers) == ["CNAME db.example.com."])
        #expect(texts(catalog.answer("api.service.consul", .any).answers).count == 4)
    }

    @Test("an SRV target is a name, with its address in the additional section")
    func targets() {
        let catalog = book.catalog
        let answer = catalog.answer("v1.api.service.local", .srv)
        #expect(texts(answer.answers) == ["SRV 1 1 8080 0a000009.addr.dc1.local."])
        #expect(answer.additional.map { "\($0.name) \($0.data)" } == ["0a000009.addr.dc1.local. 10.0.0.9"])
        #expect(texts(catalog.answer("0a000009.addr.dc1.local", .a).answers) == ["A 10.0.0.9"])
        #expect(texts(catalog.answer("six.service.consul", .srv).additional) == ["AAAA 2001:db8::1"])
        #expect(texts(catalog.answer("far.service.consul", .srv).answers) == ["SRV 1 1 5432 db.example.com."])
        let here = catalog.answer("here.service.consul", .srv)
        #expect(texts(here.answers) == ["SRV 1 1 9 n1.node.dc1.consul."])
        #expect(texts(here.additional) == ["A 10.0.0.1"])
    }

    @Test("what exists without such a record is no data, what does not exist is a name error, both with the SOA")
    func absence() {
        let catalog = book.catalog
        for (name, type, code) in [
            ("api.service.consul", DNSType.aaaa, DNSMessage.ResponseCode.noError), ("service.consul", .a, .noError),
            ("consul", .a, .noError), ("dc1.consul", .a, .noError), ("none.service.consul", .a, .nameError),
            ("v9.api.service.consul", .a, .nameError), ("api.service.dc2.consul", .a, .nameError),
            ("n9.node.consul", .a, .nameError), ("zz.addr.consul", .a, .nameError), ("x.consul", .a, .nameError),
        ] {
            let answer = catalog.answer(name, type)
            #expect(answer.code == code && answer.answers.isEmpty, "\(name)")
            #expect(answer.authority.map(\.type) == [.soa], "\(name)")
        }
        for name in ["example.com", "consul.example", "1.0.0.10.in-addr.arpa"] {
            let answer = catalog.answer(name, .a)
            #expect(answer.code == .refused && !answer.isAuthoritative && answer.authority.isEmpty, "\(name)")
        }
    }

    @Test("the zone itself, nodes, and addresses back to names")
    func others() {
        let catalog = book.catalog
        #expect(texts(catalog.answer("consul", .ns).answers) == ["NS ns.consul."])
        #expect(texts(catalog.answer("consul", .soa).answers).count == 1)
        #expect(texts(catalog.answer("n1.node.consul", .a).answers) == ["A 10.0.0.1"])
        #expect(texts(catalog.answer("1.0.0.10.in-addr.arpa", .ptr).answers) == ["PTR n1.node.dc1.consul."])
        #expect(texts(catalog.answer("9.0.0.10.in-addr.arpa", .ptr).answers) == ["PTR api.service.dc1.consul."])
        let reversed = "1." + String(repeating: "0.", count: 23) + "8.b.d.0.1.0.0.2.ip6.arpa"
        #expect(texts(catalog.answer(reversed, .ptr).answers) == ["PTR six.service.dc1.consul."])
    }

    @Test("answers are shuffled, so that clients that take the first spread")
    func shuffled() {
        let catalog = book.catalog
        let firsts = (0..<40).map { catalog.answer("api.service.consul", .a, seed: $0).answers[0].data.description }
        #expect(Set(firsts) == ["10.0.0.9", "10.0.0.10"])
    }

    @Test("what is no plain question is refused in its own way")
    func complaints() {
        func code(_ change: (inout DNSMessage) -> Void) -> DNSMessage.ResponseCode {
            var message = query("api.service.consul", .a, payload: 1232)
            change(&message)
            var random = SeededRandom(seed: 1)
            return RegistryZone.answer(message, book.catalog, RegistrySettings(), random: &random).response.code
        }
        #expect(code { $0.opcode = 5 } == .notImplemented)
        #expect(code { $0.questions = [] } == .formatError)
        #expect(code { $0.questions.append($0.questions[0]) } == .formatError)
        #expect(code { $0.edns?.version = 1 } == .badVersion)
        #expect(code { $0.questions[0].recordClass = .chaos } == .refused)
        #expect(code { $0.questions[0].type = .axfr } == .refused)
    }

    @Test("any question of any catalogue has an answer that can be written and read")
    func fuzz() throws {
        var random = SeededRandom(seed: 9)
        let catalog = book.catalog
        let words = [
            "api", "service", "consul", "local", "node", "addr", "_api", "_tcp", "dc1", "arpa", "in-addr", "1", "x",
        ]
        for _ in 0..<2000 {
            let name = (0..<1 + random.below(6)).map { _ in words[random.below(words.count)] }.joined(separator: ".")
            let type = [DNSType.a, .aaaa, .srv, .any, .ptr, .txt, .soa, .ns][random.below(8)]
            let answer = catalog.answer(name, type)
            #expect(try DNSMessage(reading: answer.bytes()) == answer)
            #expect(answer.code == .noError || answer.answers.isEmpty)
        }
    }
}
