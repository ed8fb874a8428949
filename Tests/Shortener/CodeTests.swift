import KernelStructures
import Testing

@testable import ShortenerEngine

@Suite("Codes")
struct CodeTests {
    // @covers URL-C1 URL-H1
    @Test("every code of a length comes once, then the next length begins")
    func permutation() {
        let codes = ShortCode(key: 42, firstLength: 2)
        let all = (0..<3844 as Range<UInt64>).compactMap { codes.code($0) }
        #expect(Set(all).count == 3844)
        #expect(all.allSatisfy { $0.count == 2 })
        #expect(codes.code(3844)?.count == 3)
        #expect(codes.code(.max) == nil)
        #expect(ShortCode(key: 43, firstLength: 2).code(7) != codes.code(7))
    }

    // @covers URL-C1
    @Test("neighbours have nothing in common, so nobody can count links or guess them")
    func order() {
        let codes = ShortCode(key: 1, firstLength: 6)
        let values = (0..<2000 as Range<UInt64>).map { number in
            codes.code(number)!.utf8.reduce(0.0) { $0 * 62 + Double(ShortCode.alphabet.firstIndex(of: $1)!) }
        }
        // The correlation of a number with its code, and of a code with the next one: both are those of chance.
        #expect(abs(correlation(values.indices.map(Double.init), values)) < 0.08)
        #expect(abs(correlation(Array(values.dropLast()), Array(values.dropFirst()))) < 0.08)
        let places = values.map { Int($0 / 62e9 * 62 / 0.916) }
        #expect(Set(places).count > 30, "they lie everywhere")
    }

    private func correlation(_ a: [Double], _ b: [Double]) -> Double {
        let (meanA, meanB) = (a.reduce(0, +) / Double(a.count), b.reduce(0, +) / Double(b.count))
        var (both, ofA, ofB) = (0.0, 0.0, 0.0)
        for (x, y) in zip(a, b) {
            both += (x - meanA) * (y - meanB)
            ofA += (x - meanA) * (x - meanA)
            ofB += (y - meanB) * (y - meanB)
        }
        return both / (ofA * ofB).squareRoot()
    }

    @Test("a link is over from the very moment, and after the very visit, that were agreed")
    func verdicts() {
        let start = LabTime(parsing: "2024-01-15T10:00:00Z")!
        func link(_ change: (inout Link) -> Void) -> Link {
            var link = Link(code: "c", target: "http://a/", createdAt: start)
            change(&link)
            return link
        }
        func leads(_ link: Link, after time: LabDuration = .zero, visits: Int = 0) -> Bool {
            let leads = link.verdict(now: start + time, visits: visits) == .redirect
            let isSteady = SteadyRedirect(link)?.leads(now: start + time, visits: visits) ?? false
            // Near its end browsers keep it for less, so that its answer is no longer always the same.
            #expect(isSteady == leads || leads && link.expiresAt.map { $0 - start - time < .seconds(90) } == true)
            return leads
        }
        let timed = link { $0.expiresAt = start + .seconds(10) }
        #expect(leads(timed, after: .milliseconds(9_999)) && !leads(timed, after: .seconds(10)))
        let found = link {
            $0.expiresAt = start + .seconds(10)
            $0.redirect = .found
        }
        #expect(leads(found, after: .milliseconds(9_999)) && !leads(found, after: .seconds(10)))
        let few = link { $0.maxVisits = 2 }
        #expect(leads(few, visits: 1) && !leads(few, visits: 2))
        let later = link { $0.validSince = start + .seconds(1) }
        #expect(later.verdict(now: start, visits: 0) == .notYet && !leads(later) && leads(later, after: .seconds(1)))
        #expect(!leads(link { $0.deletedAt = start }))
    }

    @Test("an alias is what can be typed, and no path of the service")
    func aliases() {
        for good in ["a", "my-link_1", String(repeating: "x", count: 64)] {
            #expect(throws: Never.self) { try Alias.check(good) }
        }
        for bad in ["", String(repeating: "x", count: 65), "a b", "a/b", "ü", "a+", "API", "health", "a\r\n"] {
            #expect(throws: Alias.Malformed.self) { try Alias.check(bad) }
        }
    }

    // @covers URL-H5
    @Test("the filter never forgets a code, and takes few for known that are not")
    func filter() {
        var filter = AliasFilter(capacity: 10_000, seed: 9)
        for number in 0..<10_000 { filter.insert("taken\(number)") }
        #expect((0..<10_000).allSatisfy { filter.mayContain("taken\($0)") })
        let wrong = (0..<20_000).count { filter.mayContain("free\($0)") }
        #expect(wrong < 400, "one in 120 is to be expected: \(wrong)")
        #expect(filter.isFull)
    }

    @Test(
        "different visitors are told within a few percent, however often they come",
        arguments: [0, 1, 50, 1000, 30_000])
    func distinct(_ count: Int) {
        var estimate = DistinctEstimate()
        for _ in 0..<2 { for number in 0..<count { estimate.insert(mixed(UInt64(number) &* 77)) } }
        #expect(abs(estimate.count - count) <= max(1, count / 10))
        var other = DistinctEstimate(registers: estimate.registers)
        other.merge(DistinctEstimate())
        #expect(other == estimate)
        #expect(DistinctEstimate(registers: [1, 2]) == DistinctEstimate())
    }

    @Test("of the signs in a name the first of the table counts, wherever it stands and however it is written")
    func signs() {
        var random = SeededRandom(seed: 4)
        for _ in 0..<2000 {
            let words = (0..<random.below(5)).map { _ -> String in
                let sign = VisitorAgent.signs[random.below(VisitorAgent.signs.count)].sign
                let cut = random.chance(0.3) ? String(sign.dropLast()) : sign
                return random.chance(0.5) ? cut.uppercased() : cut
            }
            let name = words.joined(separator: ["", " ", "\u{E9}", "b"][random.below(4)])
            let expected = VisitorAgent.signs.first { name.lowercased().contains($0.sign) }?.agent ?? .other
            #expect(VisitorAgent(name) == expected && VisitorAgent(bytes: Array(name.utf8)) == expected, "\(name)")
        }
        #expect(VisitorAgent(String(repeating: "x", count: 1024) + "bot") == .other, "a kilobyte is looked at")
    }

    @Test("programs by what they say they are")
    func agents() {
        #expect(VisitorAgent("Mozilla/5.0 (compatible; Googlebot/2.1)").isBot)
        #expect(VisitorAgent("Mozilla/5.0 AppleWebKit/537.36 Chrome/120.0 Safari/537.36 Edg/120.0") == .edge)
        #expect(VisitorAgent("Mozilla/5.0 AppleWebKit/605.1 Version/17 Safari/605.1") == .safari)
        #expect(VisitorAgent("curl/8.0") == .curl)
        #expect(VisitorAgent(nil) == .other)
        #expect(Referrer.host("https://www.Google.com/search?q=x") == "google.com")
        #expect(Referrer.host("android-app://x") == "direct")
    }
}
