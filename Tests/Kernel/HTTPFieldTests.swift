import KernelStructures
import KernelWire
import TestSupport
import Testing

@Suite("Cookies of a server")
struct HTTPCookieTests {
    @Test("a cookie with everything")
    func everything() throws {
        var cookie = try HTTPCookie("__Host-id", "a-b.c")
        cookie.path = "/"
        cookie.lifetime = .seconds(3600)
        cookie.isSecure = true
        cookie.isHTTPOnly = true
        cookie.sameSite = .strict
        #expect(
            try cookie.fieldValue()
                == "__Host-id=a-b.c; Path=/; Max-Age=3600; Secure; HttpOnly; SameSite=Strict")
        cookie.lifetime = .seconds(-5)
        #expect(try cookie.fieldValue().contains("Max-Age=0;"))
    }

    @Test("what clients would drop or misread is not sent")
    func refused() throws {
        for (name, value) in [
            ("", "x"), ("a b", "x"), ("a=", "x"), ("a", "x y"), ("a", "x;y"), ("a", "é"), ("a", "\""),
        ] {
            #expect(throws: HTTPCookie.Malformed.self) { try HTTPCookie(name, value) }
        }
        #expect(throws: HTTPCookie.Malformed.self) { try HTTPCookie("a", String(repeating: "x", count: 4096)) }
        func refused(_ name: String, _ change: (inout HTTPCookie) -> Void) throws {
            var cookie = try HTTPCookie(name, "1")
            change(&cookie)
            #expect(throws: HTTPCookie.Malformed.self, "\(cookie)") { try cookie.fieldValue() }
        }
        try refused("a") { $0.path = "/x; Domain=evil" }
        try refused("a") { $0.domain = "a\r\nX: y" }
        try refused("__Secure-a") { _ in }
        try refused("__HOST-a") { $0.isSecure = true }
        try refused("__Host-a") { ($0.isSecure, $0.path, $0.domain) = (true, "/", "example.org") }
        try refused("a") { $0.sameSite = HTTPCookie.SameSite.none }
    }

    @Test("what clients send is read, and what is no pair is passed over")
    func reading() {
        let read = HTTPCookie.read("a=1;b = \"2\" ; nothing; c=x=y;=v;d=; a=2").map { "\($0.name)=\($0.value)" }
        #expect(read == ["a=1", "b=2", "c=x=y", "d=", "a=2"])
    }

    @Test("what is set is read back", arguments: 1...100 as ClosedRange<UInt64>)
    func roundTrip(_ seed: UInt64) throws {
        let text = PercentCoding.encode(String(decoding: randomBytes(20, seed: seed), as: UTF8.self))
        let field = try HTTPCookie("n", text).fieldValue()
        #expect(HTTPCookie.read(field).first.map { $0.value } == text)
    }
}

@Suite("What clients would rather have")
struct HTTPNegotiationTests {
    @Test("weights of codings")
    func codings() {
        func weight(_ field: String?) -> Int { HTTPNegotiation.weight(ofCoding: "gzip", field) }
        #expect(weight(nil) == 0 && weight("") == 0 && weight("gzip") == 1000 && weight("GZIP;q=0.5") == 500)
        #expect(weight("br, gzip ; q=0.001") == 1 && weight("*;q=0.3") == 300 && weight("gzip;q=0, *") == 0)
        #expect(weight("gzip;q=2") == 0 && weight("gzip;q=1.001") == 0 && weight("gzip;q=0.1234") == 0)
        #expect(weight("gzip;q=") == 0 && weight(",,gzip,,") == 1000)
        #expect(HTTPNegotiation.weight(ofCoding: "identity", "gzip") == 1000)
        #expect(HTTPNegotiation.weight(ofCoding: "identity", "*;q=0") == 0)
        let long = String(repeating: "x,", count: 100) + "gzip"
        #expect(weight(long) == 0)
    }

    @Test("the closest range decides, the highest weight wins")
    func types() {
        let types = ["text/plain", "application/json"]
        func best(_ accept: String?) -> String? { HTTPNegotiation.best(of: types, accept) }
        #expect(best(nil) == "text/plain" && best("*/*") == "text/plain")
        #expect(best("application/json") == "application/json" && best("image/png") == nil)
        #expect(best("text/*;q=0.5, application/*") == "application/json")
        #expect(best("text/plain;q=0, */*") == "application/json")
        #expect(best("application/json;charset=utf-8;q=0.9, */*;q=0.1") == "application/json")
        #expect(best("TEXT/PLAIN, application/json") == "text/plain")
    }
}

@Suite("Server-sent events")
struct ServerSentEventTests {
    private func written(_ event: ServerSentEvent) -> String {
        var out: [UInt8] = []
        event.write(into: &out)
        return String(decoding: out, as: UTF8.self)
    }

    @Test("how events are written")
    func writing() {
        #expect(written(ServerSentEvent("a")) == "data: a\n\n")
        #expect(
            written(ServerSentEvent("a\nb\r\nc\rd", event: "e", id: "7", retry: .seconds(3)))
                == "event: e\nid: 7\nretry: 3000\ndata: a\ndata: b\ndata: c\ndata: d\n\n")
        #expect(
            written(ServerSentEvent("")) == "data: \n\n" && written(ServerSentEvent("a\n")) == "data: a\ndata: \n\n")
        #expect(written(ServerSentEvent("a", event: "x\ndata: evil", id: "1\r2")) == "data: a\n\n")
    }

    @Test("how a stream is read: the examples of the specification")
    func reading() throws {
        var reader = ServerSentEventReader()
        let stream =
            "\u{FEFF}: test stream\n\ndata: first\nid: 1\n\ndata:second\nid\n\ndata:  third\n\nevent: x\n\ndata\n\n"
            + "data\ndata\n\ndata: cut"
        let events = try reader.read(Array(stream.utf8))
        #expect(events.map(\.data) == ["first", "second", " third", "", "\n"])
        #expect(events.map(\.id) == ["1", "", "", "", ""])
        var small = ServerSentEventReader(limitBytes: 8)
        #expect(throws: ServerSentEventReader.TooLong.self) { try small.read("data: 123".utf8) }
    }

    @Test("events are read as they were written, however the stream is cut", arguments: 1...200 as ClosedRange<UInt64>)
    func roundTrip(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let odd = ["a", "\n", "\r", "\r\n", ":", " ", "é", "data", ""]
        func text() -> String { (0..<random.below(6)).map { _ in odd[random.below(odd.count)] }.joined() }
        let events = (0..<5).map { index in
            ServerSentEvent(text(), event: random.chance(0.5) ? "kind" : nil, id: "\(index)")
        }
        var bytes: [UInt8] = []
        for event in events {
            event.write(into: &bytes)
            bytes += ServerSentEvent.comment
        }
        var reader = ServerSentEventReader()
        var read: [ServerSentEvent] = []
        while !bytes.isEmpty {
            let count = min(bytes.count, 1 + random.below(7))
            read += try reader.read(bytes.prefix(count))
            bytes.removeFirst(count)
        }
        let expected = events.map { event in
            var event = event
            // By bytes: to Swift CR LF is one character, also one that a replacement has made.
            var lines: [UInt8] = []
            for byte in event.data.utf8 {
                if byte == 10, lines.last == 13 { lines[lines.count - 1] = 10 } else { lines.append(byte) }
            }
            event.data = String(decoding: lines.map { $0 == 13 ? 10 : $0 }, as: UTF8.self)
            return event
        }
        #expect(read == expected)
    }
}
