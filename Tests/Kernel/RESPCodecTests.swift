import KernelStructures
import KernelWire
import Testing

@Suite("RESP requests")
struct RESPRequestTests {
    private func read(_ text: String, limits: RESPLimits = RESPLimits()) -> [String] {
        requests(Array(text.utf8), limits: limits)
    }

    @Test("arrays of bulk strings, one after another")
    func arrays() {
        #expect(
            read("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n$4\r\nPING\r\n*1\r\n$1\r\nx") == ["<GET><k>", "<PING>"])
        #expect(read("*2\r\n$4\r\nECHO\r\n$0\r\n\r\n") == ["<ECHO><>"])
        #expect(read("*2\r\n$4\r\nECHO\r\n$4\r\n\r\n$1\r\n") == ["<ECHO><\r\n$1>"])
    }

    @Test("empty requests ask for nothing")
    func empty() { #expect(read("*0\r\n*-1\r\n\r\n   \r\nPING\r\n") == ["<PING>"]) }

    @Test("lines are split as Redis splits them")
    func inline() {
        #expect(read("SET k v\r\n get  k\n") == ["<SET><k><v>", "<get><k>"])
        #expect(read("SET \"a b\" 'c d'\r\n") == ["<SET><a b><c d>"])
        #expect(read("X \"\\x41\\n\\\"\\q\" 'it\\'s \\n'\r\n") == ["<X><A\n\"q><it's \\n>"])
        #expect(read("X \"\"\r\n") == ["<X><>"])
        #expect(read("X a\"b\"\r\n") == ["<X><ab>"])
        for bad in ["X \"a\r\n", "X 'a\r\n", "X \"a\"b\r\n", "X 'a'b\r\n", "X \"\\x4\r\n"] {
            #expect(read(bad) == ["failed: Protocol error: unbalanced quotes in request"], "\(bad)")
        }
    }

    @Test("what is malformed is named as Redis names it")
    func malformed() {
        #expect(read("*x\r\n") == ["failed: Protocol error: invalid multibulk length"])
        #expect(read("*1048577\r\n") == ["failed: Protocol error: invalid multibulk length"])
        #expect(read("*1\r\n:1\r\n") == ["failed: Protocol error: expected '$', got ':'"])
        #expect(read("*1\r\n$-1\r\n") == ["failed: Protocol error: invalid bulk length"])
        #expect(read("*1\r\n$x\r\n") == ["failed: Protocol error: invalid bulk length"])
        #expect(read("*1\r\n$536870913\r\n") == ["failed: Protocol error: invalid bulk length"])
        #expect(read("*1\r\n$99999999999999999999\r\n") == ["failed: Protocol error: invalid bulk length"])
        #expect(read("*1\r\n$1\r\nxyz") == ["failed: Protocol error: a bulk string is not followed by CRLF"])
        #expect(
            read(String(repeating: "x", count: 70_000)) == ["failed: Protocol error: too big inline request"])
    }

    @Test("512 MB may be announced, and take no memory before they come")
    func announced() {
        let reader = RESPRequestReader()
        var position = 0
        let bytes = Array("*2\r\n$3\r\nGET\r\n$536870912\r\nabc".utf8)
        #expect(bytes.withUnsafeBytes { reader.next($0, &position) } == .needMore)
        #expect(reader.heldByteCount == bytes.count && reader.isInsideRequest)
    }

    @Test("a large value in small pieces is laid together once, and the next request is not lost")
    func large() {
        let value = randomLetters(3_000_000)
        var bytes: [UInt8] = []
        RESPRequest.encode([Array("SET".utf8), Array("k".utf8), value], into: &bytes)
        RESPRequest.encode(["PING"], into: &bytes)
        let pieces = [Int](repeating: 999, count: bytes.count / 999)
        #expect(requests(bytes, pieces: pieces) == ["<SET><k><\(String(decoding: value, as: UTF8.self))>", "<PING>"])
    }

    @Test("a request that grows beyond its limit is refused")
    func requestLimit() {
        var limits = RESPLimits()
        limits.requestBytes = 100
        let bytes = Array("*2\r\n$3\r\nGET\r\n$500\r\n".utf8) + [UInt8](repeating: 97, count: 200)
        #expect(
            requests(bytes, pieces: [30, 30, 30, 30], limits: limits)
                == ["failed: Protocol error: the request is longer than 100 bytes"])
    }

    @Test("whole numbers have one form only")
    func numbers() {
        func number(_ text: String) -> Int? { Array(text.utf8).withUnsafeBytes { RESPNumber.integer($0) } }
        #expect(number("0") == 0 && number("-1") == -1 && number("9223372036854775807") == .max)
        #expect(number("-9223372036854775808") == .min)
        for bad in ["", "-", "+1", " 1", "1 ", "01", "-0", "1.0", "9223372036854775808", "-9223372036854775809", "1e3"]
        {
            #expect(number(bad) == nil, "\(bad)")
        }
        func double(_ text: String) -> Double? { Array(text.utf8).withUnsafeBytes { RESPNumber.double($0) } }
        #expect(double("1.5") == 1.5 && double("-inf") == -.infinity && double("5e3") == 5000)
        #expect(double("nan") == nil && double("") == nil && double("1.5x") == nil && double(" 1") == nil)
    }

    private func randomLetters(_ count: Int) -> [UInt8] {
        var random = SeededRandom(seed: 5)
        return (0..<count).map { _ in 97 + UInt8(random.below(26)) }
    }
}

@Suite("RESP replies")
struct RESPReplyTests {
    private func written(_ version: RESPVersion, _ body: (inout RESPWriter) -> Void) -> String {
        var writer = RESPWriter(version: version)
        body(&writer)
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    @Test("RESP2 has other words for what only RESP3 knows")
    func versions() {
        let body: (inout RESPWriter) -> Void = {
            $0.map(1)
            $0.null()
            $0.double(1.5)
            $0.boolean(true)
            $0.set(0)
            $0.nullArray()
            $0.verbatim("hi")
            $0.bigNumber("12")
        }
        #expect(
            written(.two, body)
                == "*2\r\n$-1\r\n$3\r\n1.5\r\n:1\r\n*0\r\n*-1\r\n$2\r\nhi\r\n$2\r\n12\r\n")
        #expect(written(.three, body) == "%1\r\n_\r\n,1.5\r\n#t\r\n~0\r\n_\r\n=6\r\ntxt:hi\r\n(12\r\n")
    }

    @Test("an error cannot be broken into two lines")
    func injection() { #expect(written(.two) { $0.error("ERR a\r\n+OK") } == "-ERR a  +OK\r\n") }

    @Test("what is written is read again")
    func roundTrip() {
        var writer = RESPWriter(version: .three)
        writer.array(10)
        writer.simple("OK")
        writer.error("ERR no")
        writer.integer(-42)
        writer.bulk([0, 255, 13, 10])
        writer.null()
        writer.double(0.1)
        writer.boolean(false)
        writer.verbatim("text")
        writer.map(1)
        writer.bulk("k")
        writer.push(1)
        writer.integer(7)
        writer.set(1)
        writer.bigNumber("-99999999999999999999")
        let expected = RESPValue.array([
            .simple("OK"), .error("ERR no"), .integer(-42), .bulk([0, 255, 13, 10]), .null, .double(0.1),
            .boolean(false), .verbatim(format: "txt", text: "text"),
            .map([.bulk(Array("k".utf8)), .push([.integer(7)])]),
            .set([.bigNumber("-99999999999999999999")]),
        ])
        var reader = RESPReplyReader()
        var position = 0
        #expect(writer.bytes.withUnsafeBytes { reader.next($0, &position) } == .value(expected))
        #expect(position == writer.count && !reader.isInsideValue)
    }

    @Test("attributes are read and left out")
    func attributes() {
        #expect(replies(Array("|1\r\n+ttl\r\n:3600\r\n:5\r\n".utf8)) == ["\(RESPValue.integer(5))"])
    }

    @Test("depth, lengths and counts are bounded")
    func limits() {
        let deep = String(repeating: "*1\r\n", count: 40)
        #expect(replies(Array(deep.utf8)) == ["failed: Protocol error: replies are nested deeper than 32"])
        #expect(replies(Array("$536870913\r\n".utf8)) == ["failed: Protocol error: invalid bulk length"])
        #expect(replies(Array("*16777217\r\n".utf8)) == ["failed: Protocol error: invalid multibulk length"])
        #expect(replies(Array("$?\r\n".utf8)) == ["failed: Protocol error: '?' is not a number"])
        #expect(replies(Array("+a\n".utf8)) == ["failed: Protocol error: a line of a reply ends without CR"])
    }
}
