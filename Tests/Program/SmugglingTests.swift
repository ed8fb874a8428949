import Glibc
import Testing

/// The same bytes to the balancer, to the limiter, to the gateway, to HAProxy and to nginx, each in front of a server
/// that writes down what it gets.
///
/// Request smuggling is a disagreement between two programs on where a request ends. So the question is never what a
/// proxy thinks of a request, but whether the next program reads what the proxy sends as the proxy meant it.
@Suite struct SmugglingTests {
    /// What must hold of each case for our own, in the two ways in which a client can end what it says.
    @Test(
        "the origin reads what the proxy meant, and the client hears what became of it",
        arguments: SmugglingFront.Own.allCases, [true, false])
    func proxies(own: SmugglingFront.Own, finishes: Bool) throws {
        let front = try own.start()
        for smuggling in SmugglingCase.all {
            // Without its end, an accepted connection stays open: there is nothing to wait for.
            if !finishes, smuggling.statuses.isEmpty || smuggling.statuses.last == 200 { continue }
            let outcome = try front.run(smuggling.bytes, finishes: finishes, method: smuggling.method)
            check(smuggling, outcome, own.outcome(of: smuggling))
            // One that waits for ever is enough.
            if !outcome.isEnded { return }
        }
    }

    private func check(
        _ smuggling: SmugglingCase, _ outcome: SmugglingFront.Outcome, _ expected: (statuses: [Int], seen: [String])
    ) {
        let comment = Comment(
            rawValue: "\(smuggling.name), RFC \(smuggling.rule): \(outcome.text)\n" + Latin1.text(outcome.origin.bytes))
        #expect(outcome.statuses == expected.statuses, comment)
        #expect(outcome.origin.requests.map(\.summary) == expected.seen, comment)
        #expect(outcome.origin.doubts == [], comment)
        #expect(outcome.origin.requests.flatMap(Self.fieldsOfOneConnection) == [], comment)
        // What was begun and refused breaks off at the origin; nothing else does.
        #expect(outcome.origin.cuts <= (smuggling.isRefused ? 1 : 0), comment)
        #expect(outcome.isEnded, comment)
        #expect(outcome.victim == SmugglingFront.victimAnswer, comment)
    }

    /// What should have ended at the proxy, RFC 9110 §7.6.1. A protocol to switch to may be passed on, but not HTTP/2:
    /// behind a proxy that is a tunnel (RFC 9113 §3.1). Trailers may be announced where there can be any.
    private static func fieldsOfOneConnection(_ request: StrictRequest) -> [String] {
        request.fields.filter { name, value in
            switch name.lowercased() {
            case "keep-alive", "proxy-connection", "te": true
            case "trailer": request.value("transfer-encoding") == nil
            case "connection": value.lowercased() != "upgrade"
            case "upgrade": value.lowercased().contains("h2c")
            default: false
            }
        }.map { "\($0.name): \($0.value)" }
    }

    @Test("no case is there twice, and there are many of each kind")
    func table() {
        let texts = SmugglingCase.all.map(\.bytes)
        #expect(Set(texts).count == texts.count)
        #expect(SmugglingCase.all.count { $0.isRefused } > 60)
        #expect(SmugglingCase.all.count { !$0.isRefused } > 30)
    }

    @Test(
        "what both HAProxy and nginx refuse is refused here, too; what both accept is, or it is said why not",
        .enabled(
            if: ProgramTool.canRun("haproxy", "nginx"), "haproxy and nginx are not there: run scripts/setup test"),
        arguments: SmugglingFront.Own.allCases)
    func difference(own: SmugglingFront.Own) throws {
        let fronts = [try own.start(), try .haproxy(), try .nginx()]
        var table = ""
        for smuggling in SmugglingCase.all {
            let outcomes = try fronts.map { try $0.run(smuggling.bytes, finishes: true, method: smuggling.method) }
            let row = zip(fronts, outcomes).map { "\($0.name): \($1.text)" }.joined(separator: ", ")
            table += Self.padded(outcomes.map(\.text)) + smuggling.name + "\n"
            let accepted = outcomes.map(\.isAccepted)
            if !accepted[1], !accepted[2] { #expect(!accepted[0], "\(smuggling.name): \(row)") }
            if accepted[1], accepted[2], !accepted[0] {
                #expect(smuggling.strictness != nil, "\(smuggling.name): \(row)")
            }
        }
        if getenv("SDLAB_TABLE") != nil { print(Self.padded(fronts.map(\.name)) + "\n" + table) }
    }

    private static func padded(_ cells: [String]) -> String {
        cells.map { $0 + String(repeating: " ", count: max(1, 14 - $0.count)) }.joined()
    }
}
