import Glibc
import KernelStructures
import Testing

/// Cases that nobody has thought of: those of the table, cut, joined and peppered by chance.
@Suite struct SmugglingFuzzTests {
    @Test(
        "whatever is made of the cases, the origin has no doubts, and reads what a strict reader reads at the front",
        // The gateway passes paths on in one form, which the strict reader does not know.
        arguments: [SmugglingFront.Own.loadbalancer, .ratelimiter])
    func mutants(own: SmugglingFront.Own) throws {
        let front = try own.start()
        var accepted = 0
        let count = ProgramSize.full(15_000, else: 1500)
        for seed in 0..<UInt64(count) {
            var chance = SeededRandom(seed: seed)
            let bytes = Self.mutant(&chance)
            let outcome = try front.run(bytes, finishes: true, method: Latin1.text(bytes.prefix { $0 != 32 }))
            let comment = Comment(
                rawValue:
                    "seed \(seed): \(outcome.text)\n\(Latin1.text(bytes))\n⇒\n\(Latin1.text(outcome.origin.bytes))")
            let seen = outcome.origin.requests.map(\.summary)
            accepted += seen.count
            #expect(outcome.origin.doubts == [], comment)
            #expect(outcome.isEnded, comment)
            #expect(outcome.victim == SmugglingFront.victimAnswer, comment)
            // An answer for each request, and none for anybody else's; which of them answers a HEAD is not known
            // here.
            if !seen.contains(where: { $0.hasPrefix("HEAD ") }) {
                #expect(outcome.answers.count { $0.isFromOrigin } == seen.count, comment)
            }
            // As far as both understand it. Each bears something that the other refuses: the proxy a URL for a
            // target, the strict reader an expectation.
            for (ours, strict) in zip(seen, Self.strictly(bytes)) { #expect(ours == strict, comment) }
        }
        // If nearly all were refused, nothing would be tested.
        #expect(accepted > count / 5)
    }

    private static func strictly(_ bytes: [UInt8]) -> [String] {
        var reader = StrictRequestReader()
        var bytes = bytes[...]
        // RFC 9112 §2.2: empty lines before a request line are skipped.
        while bytes.starts(with: [13, 10]) { bytes = bytes.dropFirst(2) }
        reader.append(bytes)
        var seen: [String] = []
        while let request = try? reader.next() { seen.append(request.summary) }
        return seen
    }

    private static let cases = SmugglingCase.all.map(\.bytes).filter { $0.count < 2000 }

    private static let passing = SmugglingCase.all.filter { !$0.isRefused }.map(\.bytes)

    private static let spices = [
        "\r", "\n", "\r\n", "\r\n\r\n", " ", "\t", "\0", "\u{B}", "\u{C}", "\u{85}", "\u{A0}", "\u{FF}", ":", ",", ";",
        "=",
        "\"", "/", "#", "?", "@", "%0d%0a", "0", "5", "f", "-", "+", "0x", "chunked", "close", "HTTP/1.1", "HTTP/1.0",
        "Content-Length: 5\r\n", "Content-Length: 0\r\n", "Transfer-Encoding: chunked\r\n", "Host: evil\r\n",
        "Connection: close\r\n", "Expect: 100-continue\r\n", "0\r\n\r\n", "5\r\nhello\r\n", SmugglingCase.second,
    ].map(Latin1.bytes)

    private static func mutant(_ chance: inout SeededRandom) -> [UInt8] {
        // Mostly of what passes: the rest is refused anyway.
        let stock = chance.chance(0.8) ? passing : cases
        var bytes = stock[chance.below(stock.count)]
        for _ in 0...chance.below(3) {
            let place = chance.below(bytes.count + 1)
            switch chance.below(6) {
            case 0: bytes = bytes.prefix(place) + cases[chance.below(cases.count)]
            case 1: bytes.removeSubrange(place..<min(bytes.count, place + 1 + chance.below(8)))
            case 2: bytes.insert(contentsOf: bytes[place..<min(bytes.count, place + 1 + chance.below(40))], at: place)
            case 3 where place < bytes.count: bytes[place] = UInt8(chance.below(256))
            default: bytes.insert(contentsOf: spices[chance.below(spices.count)], at: place)
            }
        }
        return bytes
    }
}
