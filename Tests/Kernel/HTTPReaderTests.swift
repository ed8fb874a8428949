import KernelStructures
import KernelWire
import Testing

@Suite("Reading HTTP")
struct HTTPReaderTests {
    private func body(_ text: String, kind: HTTPReader.Kind = .requests, method: HTTPMethod = .get, ends: Bool = false)
        -> [String]
    {
        transcript(kind, Array(text.utf8), pieces: [], method: method, ends: ends)
    }

    @Test("bytes above 0x7F in a target are read as they are; HTTP/1.2 is read as 1.1")
    func tolerance() {
        var reader = HTTPReader(.requests)
        let bytes: [UInt8] = Array("GET /caf".utf8) + [0xC3, 0xA9, 0xFF] + Array(" HTTP/1.2\r\nHost: h\r\n\r\n".utf8)
        bytes.withUnsafeBytes { input in
            var position = 0
            #expect(reader.next(input, &position) == .head)
        }
        #expect(Array(reader.head.targetBytes) == Array("/caf".utf8) + [0xC3, 0xA9, 0xFF])
        #expect(reader.head.minorVersion == 1 && reader.head.keepsAlive)
    }

    @Test("pipelined requests come one after another, with their bodies")
    func pipelining() {
        let text =
            "GET /a?q=1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /b HTTP/1.1\r\nhOsT: h\r\nContent-Length: 5\r\n\r\nhello"
            + "PUT /c HTTP/1.0\r\nConnection: keep-alive\r\n\r\n\r\nGET /d HTTP/1.1\r\nHost:\t h \t\r\nConnection: foo, close\r\n\r\n"
        #expect(
            transcript(text) == [
                "GET /a?q=1", "fields=Host=h", "none keep=true", "body=", "POST /b", "fields=hOsT=h|Content-Length=5",
                "length(5) keep=true", "body=hello", "PUT /c", "fields=Connection=keep-alive", "none keep=true",
                "body=",
                "GET /d", "fields=Host=h|Connection=foo, close", "none keep=false", "body=",
            ])
    }

    @Test("chunked bodies are put together; extensions are dropped, trailers kept")
    func chunked() {
        let text =
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n00a;name=\"v\";x\r\n0123456789\r\n0\r\nX-T: 1\r\nY: 2\r\n\r\nGET /next HTTP/1.1\r\nHost: h\r\n\r\n"
        let result = transcript(text)
        #expect(
            result[2...5] == ["chunked keep=true", "trailers=X-T: 1\r\nY: 2\r\n", "body=hello0123456789", "GET /next"])
    }

    @Test("an empty body of either kind ends at once")
    func emptyBodies() {
        #expect(
            transcript("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n").suffix(2) == [
                "length(0) keep=true", "body=",
            ])
        #expect(
            transcript("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").suffix(2) == [
                "chunked keep=true", "body=",
            ])
    }

    @Test(
        "responses without a body have none, whatever their fields say",
        arguments: [
            ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", HTTPMethod.get),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", .get),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", .head),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", .head),
            ("HTTP/1.1 200 OK\r\n\r\n", .connect),
            ("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", .get),
        ])
    func bodiless(_ text: String, _ method: HTTPMethod) {
        let result = transcript(.responses, Array(text.utf8), pieces: [], method: method)
        #expect(result.last == "body=" && result[result.count - 2].hasPrefix("none "))
    }

    @Test("interim responses precede the one that counts")
    func interim() {
        let text =
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        let heads = transcript(.responses, Array(text.utf8), pieces: []).filter { $0.first?.isNumber == true }
        #expect(heads == ["100 Continue", "103 Early Hints", "200 OK"])
    }

    @Test("a response without framing lasts until the connection ends, and does not keep it")
    func untilClose() {
        let text = "HTTP/1.1 200\r\n\r\nall of this"
        #expect(
            body(text, kind: .responses, ends: true).suffix(2) == [
                "untilClose keep=false", "body=all of this at the end",
            ])
    }

    @Test("a connection that ends within a message cuts it short; between messages nothing is lost")
    func cut() {
        #expect(body("", ends: true) == ["nothing cut"])
        #expect(body("GET / HTTP/1.1\r\nHost: h\r\n\r\n", ends: true).last == "nothing cut")
        for text in [
            "G", "GET / HTTP/1.1\r\n", "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nfour",
            "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n",
        ] {
            #expect(body(text, ends: true).last?.hasPrefix("failed 400") == true, "\(text)")
        }
        #expect(
            body("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfour", kind: .responses, ends: true).last?.hasPrefix(
                "failed 502") == true)
    }

    @Test("keep-alive follows the version and the Connection field")
    func keepAlive() {
        func keeps(_ version: String, _ connection: String?) -> Bool {
            transcript("GET / HTTP/\(version)\r\nHost: h\r\n\(connection.map { "Connection: \($0)\r\n" } ?? "")\r\n")
                .contains("none keep=true")
        }
        #expect(
            keeps("1.1", nil) && keeps("1.1", "keep-alive") && !keeps("1.1", "Close")
                && !keeps("1.1", "keep-alive, close"))
        #expect(!keeps("1.0", nil) && keeps("1.0", "Keep-Alive") && !keeps("1.0", "keep-alive,close"))
        #expect(keeps("1.1", "closed") && keeps("1.1", "x-close"))
    }

    @Test("expectations and upgrades are recognized where they mean something")
    func flags() {
        func head(_ text: String) -> HTTPHead {
            var reader = HTTPReader(.requests)
            var position = 0
            _ = Array(text.utf8).withUnsafeBytes { reader.next($0, &position) }
            return reader.head
        }
        #expect(head("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-Continue\r\n\r\n").expectsContinue)
        #expect(!head("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n").expectsContinue)
        #expect(!head("PUT / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n").expectsContinue)
        #expect(head("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").asksForUpgrade)
        #expect(!head("GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n").asksForUpgrade)
        #expect(!head("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\n\r\n").asksForUpgrade)
        let one = head("GET /p/a?x=/y HTTP/1.1\r\nHost: h\r\nCookie: a\r\ncookie: b\r\n\r\n")
        #expect(one.path == "/p/a" && one.values(of: "COOKIE") == ["a", "b"] && one.value(of: .cookie) == "a")
    }

    @Test("what the writer writes, the reader reads", arguments: 1...50 as ClosedRange<UInt64>)
    func roundTrip(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let isRequest = random.chance(0.5)
        var out: [UInt8] = []
        let status = 200 + random.below(2)
        if isRequest {
            HTTPWriter.requestLine("POST", "/p\(seed)", into: &out)
        } else {
            HTTPWriter.statusLine(status, into: &out)
        }
        HTTPWriter.field("Host", "h", into: &out)
        for index in 0..<random.below(5) { HTTPWriter.field("X-\(index)", "value \(random.below(1000))", into: &out) }
        let body = String(repeating: "b", count: random.below(3000))
        if random.chance(0.5) {
            HTTPWriter.field("Content-Length", body.utf8.count, into: &out)
            HTTPWriter.endHead(&out)
            out.append(utf8: body)
        } else {
            HTTPWriter.field("Transfer-Encoding", "chunked", into: &out)
            HTTPWriter.endHead(&out)
            var rest = Substring(body)
            while !rest.isEmpty {
                let piece = rest.prefix(1 + random.below(700))
                HTTPWriter.chunkStart(piece.utf8.count, into: &out)
                out.append(utf8: String(piece))
                HTTPWriter.chunkEnd(&out)
                rest = rest.dropFirst(piece.count)
            }
            HTTPWriter.lastChunk(&out)
        }
        let result = transcript(
            isRequest ? .requests : .responses, out, pieces: [random.below(out.count), random.below(out.count)])
        #expect(result.first == (isRequest ? "POST /p\(seed)" : "\(status) \(HTTPStatus.reason(status))"))
        #expect(result.last == "body=\(body)")
    }

    @Test("the writer's guard lets nothing through that could end a line")
    func safeFields() {
        #expect(HTTPWriter.isSafeField(name: "X-A", value: "b c\té"))
        for (name, value) in [
            ("", "x"), ("a b", "x"), ("a:", "x"), ("é", "x"), ("a", "x\r\nB: c"), ("a", "x\n"), ("a", "x\0"),
            ("a\r", "x"), ("a", "\u{7F}"),
        ] {
            #expect(!HTTPWriter.isSafeField(name: name, value: value))
        }
    }
}
