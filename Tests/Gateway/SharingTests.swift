import GatewayEngine
import GatewayService
import KernelStructures
import KernelWire
import KernelWorld
import TestSupport
import Testing

/// Splits that clients stay in: canaries of clients, not of requests.
// @covers GW-C1
@Suite("Shares that are kept") struct SharingTests {
    private func shares(_ old: Int, _ new: Int) -> StickyShares {
        StickyShares([.init(service: "v1", weight: old), .init(service: "v2", weight: new)], by: .user)
    }

    @Test("clients are shared as the weights say, and always in the same way") func proportion() {
        let shares = shares(90, 10)
        let chosen = (0..<10_000).map { shares.pick("user:\($0)") ?? -1 }
        let canary = chosen.count { $0 == 1 }
        #expect((900...1100).contains(canary), "\(canary)")
        #expect(chosen == (0..<10_000).map { self.shares(90, 10).pick("user:\($0)") ?? -1 })
    }

    @Test("who has the new version keeps it while its share grows", arguments: [(10, 20), (20, 50), (50, 99), (0, 1)])
    func growth(from: Int, to: Int) {
        let (before, after) = (shares(100 - from, from), shares(100 - to, to))
        var moved = 0
        for user in 0..<5000 {
            let (one, other) = (before.pick("user:\(user)"), after.pick("user:\(user)"))
            #expect(one == 0 || other == 1, "user \(user) lost the new version")
            if one != other { moved += 1 }
        }
        #expect(moved > 0)
    }

    @Test("a share without a weight gets nobody, and the place is that in the file") func noWeight() {
        let shares = StickyShares(
            [.init(service: "a", weight: 0), .init(service: "b", weight: 1), .init(service: "c", weight: 0)],
            by: .user)
        #expect(Set((0..<200).map { shares.pick("\($0)") }) == [1])
    }

    private func bench(_ sticky: String, auth: String = "none") throws -> GatewayBench {
        try GatewayBench(
            """
            services: {v1: "http://v1", v2: "http://v2"}
            routes: [{path: /*, auth: \(auth), split: {v1: 50, v2: 50}, sticky: \(sticky)}]
            """, files: ["jwks.json": try Issuer().jwks], services: ["v1", "v2"])
    }

    @Test("a user has one version, wherever it comes from") func byUser() throws {
        let bench = try bench("user", auth: "jwt")
        var seen: Set<String> = []
        for name in ["ann", "bob", "cid", "dan", "eve", "fay"] {
            let bearer = try Issuer().bearer(name)
            let bodies = try (0..<4).map { try bench.ask("/x", bearer, from: "client\($0)").body }
            #expect(Set(bodies).count == 1, "\(name): \(bodies)")
            seen.formUnion(bodies)
        }
        #expect(seen == ["v1", "v2"])
    }

    @Test("a header and a cookie are known, an address is where nobody has to say who he is") func byOthers() throws {
        for (sticky, field) in [("{header: X-Device}", "X-Device: d"), ("{cookie: id}", "Cookie: a=b; id=d")] {
            let bench = try bench(sticky)
            let bodies = try (0..<8).map { device in
                Set(try (0..<3).map { _ in try bench.ask("/x", field + "\(device)").body })
            }
            #expect(bodies.allSatisfy { $0.count == 1 } && Set(bodies).count == 2, "\(sticky): \(bodies)")
            // Who says nothing is shared by chance.
            #expect(Set(try (0..<20).map { _ in try bench.ask("/x").body }) == ["v1", "v2"])
        }
        let bench = try bench("user")
        #expect(Set(try (0..<8).map { _ in try bench.ask("/x").body }).count == 1)
    }

    @Test("what cannot be kept is said with its place") func mistakes() {
        func route(_ more: String) -> String { complaint("routes:\n- {path: /a, auth: none, \(more)}") }
        #expect(route("service: s, sticky: user").contains("sticky is for split"))
        #expect(route("split: {a: 1}, sticky: me").contains("sticky is user, {header: NAME} or {cookie: NAME}"))
        #expect(route("split: {a: 1}, sticky: {header: X, cookie: y}").contains("one of them"))
        #expect(route("split: {a: 1}, sticky: {cookie: 'a b'}").contains("cannot be a cookie's name"))
        #expect(route("split: {a: 1}, sticky: {header: 'a b'}").contains("no name of a header field"))
    }
}
