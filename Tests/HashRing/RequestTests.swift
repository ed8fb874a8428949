import HashRingService
import KernelStructures
import KernelWire
import TestSupport
import Testing

@Suite("Requests to the ring")
struct RequestTests {
    private func read(_ method: String, _ target: String, _ body: String = "") throws(HTTPError) -> RingRequest {
        try read(method, target, Array(body.utf8))
    }

    /// As a router would.
    private func read(_ method: String, _ target: String, _ body: [UInt8]) throws(HTTPError) -> RingRequest {
        var table = HTTPRouteTable<RingRequest.Reader>()
        for (method, template, reader) in RingRequest.routes { table.add(method, template, reader) }
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        switch table.match(method, path: Array(parts[0].utf8)) {
        case .found(let reader, let parameters):
            var query = try HTTPQuery(parsing: parts.count > 1 ? parts[1] : "")
            let request = try reader(&query, parameters, body)
            try query.expectNothingElse()
            return request
        case .notAllowed: throw HTTPError(405, "")
        case .notFound: throw HTTPError(404, "")
        case .malformed(let text): throw HTTPError(400, text)
        }
    }

    @Test("what is documented is understood")
    func documented() throws {
        #expect(try read("GET", "/ring") == .stats)
        #expect(try read("GET", "/") == .stats)
        #expect(try read("GET", "/ring/drawing?key=user:123&key=%E2%82%AC") == .drawing(keys: ["user:123", "€"]))
        #expect(try read("GET", "/ring/export") == .export)
        #expect(try read("GET", "/lookup?key=a+b&rf=2") == .lookup(keys: ["a b"], replicationFactor: 2))
        #expect(try read("POST", "/lookup", "a\r\nb\n\nc") == .lookup(keys: ["a", "b", "c"], replicationFactor: nil))
        #expect(
            try read("POST", "/nodes?name=node-A&vnodes=150&weight=2&zone=z")
                == .add(.init("node-A", virtualNodes: 150, weight: 2, zone: "z")))
        #expect(try read("PATCH", "/nodes/node%2FA?weight=2") == .reweight(.init("node/A", weight: 2)))
        #expect(try read("DELETE", "/nodes/node+A") == .remove("node+A"))
        #expect(
            try read("GET", "/preview?change=reweight&name=a&vnodes=3")
                == .preview(.reweight, .init("a", virtualNodes: 3)))
        #expect(try read("HEAD", "/moved?ranges=0") == .moved(ranges: 0))
        #expect(
            try read("GET", "/compare?keys=10&add=x&remove=y&hash=sha1")
                == .compare(keys: 10, add: "x", remove: "y", hash: .sha1))
    }

    @Test(
        "what is wrong is named",
        arguments: [
            ("GET", "/rings", 404, ""), ("POST", "/ring", 405, ""),
            ("GET", "/ring/x", 404, ""), ("GET", "/lookup", 400, "which key?"),
            ("GET", "/lookup?key=a&rf=0", 400, "rf: '0' is not a whole number of 1 to 64"),
            ("GET", "/lookup?key=a&rf=1&rf=2", 400, "rf stands there twice"),
            ("GET", "/lookup?key=%zz", 400, "a % must be followed"),
            ("GET", "/lookup?key=%ff", 400, "that is not UTF-8"),
            ("GET", "/lookup?keys=a&key=b", 400, "'keys' means nothing here; did you mean key?"),
            ("POST", "/nodes", 400, "which node?"), ("POST", "/nodes?name=a&vnodes=-1", 400, "vnodes: '-1'"),
            ("PATCH", "/nodes/a", 400, "to what?"), ("GET", "/nodes/a", 405, ""),
            ("GET", "/preview?change=move&name=a", 400, "which change?"),
            ("GET", "/compare?hash=md4", 400, "hash: 'md4' is unknown; did you mean md5?"),
            ("GET", "/compare?keys=99999999999999999999", 400, "keys: "),
        ])
    func wrong(_ method: String, _ target: String, _ status: Int, _ text: String) {
        #expect(throws: HTTPError.self) { try read(method, target) }
        do { _ = try read(method, target) } catch {
            #expect(error.status == status && error.text.hasPrefix(text), "\(error)")
        }
    }

    @Test("limits: long keys and too many are refused")
    func limits() {
        #expect(throws: HTTPError.self) { try read("POST", "/lookup", String(repeating: "k", count: 4097)) }
        #expect(throws: HTTPError.self) {
            try read("POST", "/lookup", String(repeating: "k\n", count: 10_001))
        }
        #expect(throws: Never.self) { try read("POST", "/lookup", String(repeating: "k\n", count: 10_000)) }
    }

    @Test("what is written is read as it was, whatever is in the names", arguments: 1...200)
    func roundTrip(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let odd = Array("a/?&=%+ #\u{0}\n\r\"é漢😀;")
        func text() -> String { String((0...random.below(12)).map { _ in odd[random.below(odd.count)] }) }
        func node() -> RingRequest.NodeWords {
            .init(
                text(), virtualNodes: random.chance(0.5) ? 1 + random.below(1000) : nil,
                weight: 1 + random.below(256), zone: nil)
        }
        var zoned = node()
        zoned.zone = text()
        let many = (0..<400).map { "key \($0)" }
        let requests: [RingRequest] = [
            .stats, .export, .drawing(keys: [text(), text()]), .lookup(keys: [text()], replicationFactor: 2),
            .lookup(keys: many, replicationFactor: nil), .lookup(keys: many + ["a\nb"], replicationFactor: 3),
            .add(zoned), .reweight(node()), .remove(text()), .preview(.add, zoned), .preview(.reweight, node()),
            .preview(.remove, .init(text())), .moved(ranges: random.below(100)),
            .compare(keys: 5, add: text(), remove: nil, hash: .sha1),
        ]
        for request in requests {
            let wire = request.wire
            #expect(wire.target.utf8.allSatisfy { $0 > 32 && $0 < 127 })
            #expect(try read(wire.method, wire.target, wire.body) == request)
        }
    }

    @Test("random bytes are refused or understood, and never more than that", arguments: 1...400)
    func fuzz(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let pieces = [
            "/ring", "/nodes/", "/lookup?", "key=", "&", "=", "%", "%41", "%F", "?", "rf=", "9", "-", "name=",
            "vnodes=",
            "/preview?change=", "add", "/", "+", "\u{0}", "é", "/moved", "/compare?keys=", "\n",
        ]
        for _ in 0..<50 {
            let target = (0..<random.below(12)).map { _ in pieces[random.below(pieces.count)] }.joined()
            let method = ["GET", "POST", "PATCH", "DELETE", "PUT", ""][random.below(6)]
            let body = randomBytes(random.below(40), seed: random.next())
            guard let request = try? read(method, target, body) else { continue }
            let wire = request.wire
            #expect(
                (try? read(wire.method, wire.target, wire.body)) == request, "\(target)")
        }
    }
}
