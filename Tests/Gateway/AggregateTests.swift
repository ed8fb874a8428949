import GatewayEngine
import KernelJSON
import KernelStructures
import TestSupport
import Testing

// @covers GW-C5 GW-H4 GW-M4
@Suite("Aggregates") struct AggregateTests {
    private func aggregate(_ parts: String, _ more: String = "") throws -> Aggregate {
        let yaml = "routes:\n- path: /d\n  auth: none\n  aggregate:\n    parts:\n\(parts)\n\(more)"
        guard case .aggregate(let aggregate) = try gateway(yaml).routes[0].action else { fatalError("no aggregate") }
        return aggregate
    }

    private static let dashboard = """
            - {group: user, service: users, path: /users/me, required: true}
            - {group: recent_orders, service: orders, path: "/orders?user={user.id}&limit=5"}
            - {group: notifications, service: notes, path: /notifications}
        """

    @Test("parts are asked at once, but for those that need another's answer") func chaining() throws {
        var run = AggregateRun(try aggregate(Self.dashboard))
        #expect(run.start().map(\.target) == ["/users/me", "/notifications"])
        #expect(run.finished(2, .success([])) == [])
        #expect(
            run.finished(0, .success(["id": "a/b c", "name": "Alice"])).map(\.target) == [
                "/orders?user=a%2Fb%20c&limit=5"
            ])
        #expect(run.outcome == nil)
        #expect(run.finished(1, .success([["id": 1]])) == [])
        let outcome = try #require(run.outcome)
        #expect(outcome.status == 200 && outcome.isComplete)
        #expect(
            outcome.body.text
                == #"{"user": {"id": "a/b c", "name": "Alice"}, "recent_orders": [{"id": 1}], "notifications": []}"#)
    }

    @Test(
        "what a part answers cannot lead another request elsewhere",
        arguments: ["..", ".", "", "a/b", "..\\..", "../admin", "a\0"])
    func wanderers(_ id: String) throws {
        let parts = """
                - {group: u, service: users, path: /me}
                - {group: x, service: orders, path: "/open/{u.id}/x"}
            """
        var run = AggregateRun(try aggregate(parts))
        _ = run.start()
        #expect(run.finished(0, .success(["id": .string(id)])) == [], "nobody is asked")
        let outcome = try #require(run.outcome)
        #expect(outcome.missing == ["x"] && !outcome.isComplete)
        // In a query it means nothing.
        var other = AggregateRun(try aggregate(Self.dashboard))
        _ = other.start()
        #expect(other.finished(0, .success(["id": .string(id)])).count == 1)
    }

    @Test("two values do not make dots between them") func wanderersInPieces() throws {
        let parts = """
                - {group: u, service: users, path: /me}
                - {group: x, service: orders, path: "/open/.{u.id}/x"}
            """
        var run = AggregateRun(try aggregate(parts))
        _ = run.start()
        #expect(run.finished(0, .success(["id": "b"])).map(\.target) == ["/open/.b/x"])
        var dots = AggregateRun(try aggregate(parts.replacing(".{u.id}", with: "{u.id}{u.id}")))
        _ = dots.start()
        #expect(dots.finished(0, .success(["id": "."])) == [] && dots.outcome?.missing == ["x"])
    }

    @Test("an optional part that is missing is said, in the body and in the outcome") func partial() throws {
        var run = AggregateRun(try aggregate(Self.dashboard, "    partial_status: 206"))
        _ = run.start()
        _ = run.finished(0, .success(["id": 7]))
        _ = run.finished(2, .failure(.init("it answered 500")))
        _ = run.finished(1, .success([]))
        let outcome = try #require(run.outcome)
        #expect(outcome.status == 206 && outcome.missing == ["notifications"] && !outcome.isRefused)
        #expect(outcome.body["notifications"] == .null)
        #expect(outcome.body["_incomplete"] == ["notifications": "it answered 500"])
    }

    @Test("without a required part there is no answer, and nobody is waited for") func required() throws {
        var run = AggregateRun(try aggregate(Self.dashboard))
        _ = run.start()
        #expect(run.finished(0, .failure(.init("no answer in time", isTimeout: true))) == [])
        let outcome = try #require(run.outcome)
        #expect(outcome.status == 504 && outcome.isRefused && outcome.missing == ["user"])
        // What comes later changes nothing.
        #expect(run.finished(2, .success([])) == [])
        #expect(run.outcome == outcome)
    }

    @Test("a part whose source is missing is missing, too") func dependent() throws {
        let parts = """
                - {group: a, service: s, path: /a}
                - {group: b, service: s, path: "/b/{a.list.1.x}"}
                - {group: c, service: s, path: "/c/{b.y}"}
            """
        var run = AggregateRun(try aggregate(parts))
        #expect(run.start().map(\.target) == ["/a"])
        #expect(run.finished(0, .success(["list": [["x": 1], ["x": 2]]])).map(\.target) == ["/b/2"])
        #expect(run.finished(1, .success(["y": ["not": "scalar"]])) == [])
        #expect(run.outcome?.missing == ["c"] && run.outcome?.body["_incomplete"] == ["c": "b has no y"])
        var late = AggregateRun(try aggregate(parts))
        _ = late.start()
        late.expire()
        #expect(late.outcome?.missing == ["a", "b", "c"] && late.outcome?.status == 200)
    }

    @Test("pick, allow, deny and mapping") func filters() throws {
        let parts = """
                - service: s
                  path: /a
                  group: user
                  pick: data.user
                  allow: [id, name, address]
                  deny: [address.street]
                  mapping: {name: full_name}
                - {service: s, name: list, group: list, path: /b, deny: [secret]}
            """
        var run = AggregateRun(try aggregate(parts))
        _ = run.start()
        let answer: JSONValue = [
            "data": ["user": ["id": 1, "name": "A", "password": "x", "address": ["street": "s", "city": "c"]]]
        ]
        _ = run.finished(0, .success(answer))
        _ = run.finished(1, .success([["a": 1, "secret": 2], ["secret": 3]]))
        #expect(
            run.outcome?.body.text
                == #"{"user": {"id": 1, "full_name": "A", "address": {"city": "c"}}, "list": [{"a": 1}, {}]}"#)
    }

    @Test("two parts that give the same member: the first stays, and it is said") func conflict() throws {
        let parts = "    - {service: s, name: a, path: /a}\n    - {service: s, name: b, path: /b}"
        var run = AggregateRun(try aggregate(parts))
        _ = run.start()
        _ = run.finished(1, .success(["x": 2, "y": 2]))
        _ = run.finished(0, .success(["x": 1]))
        #expect(run.outcome?.missing == ["b"] && run.outcome?.body["x"] == 1 && run.outcome?.body["y"] == 2)
    }

    /// Whatever comes in whatever order: the outcome comes once, and is complete just if every part has succeeded.
    @Test("any order of any answers ends, and never in silence") func orders() throws {
        let parts = """
                - {group: a, service: s, path: /a}
                - {group: b, service: s, path: "/b/{a.id}"}
                - {group: c, service: s, path: /c, required: true}
                - {group: d, service: s, path: "/d/{b.id}/{c.id}"}
            """
        let aggregate = try aggregate(parts)
        for seed in 0..<(isLong ? 50_000 : 2000) {
            var random = SeededRandom(seed: UInt64(seed))
            var run = AggregateRun(aggregate)
            var open = run.start()
            var failures = 0
            while run.outcome == nil, !open.isEmpty {
                let question = open.remove(at: random.below(open.count))
                if random.below(5) == 0 {
                    failures += 1
                    open += run.finished(question.part, .failure(.init("x")))
                } else {
                    open += run.finished(question.part, .success(["id": 1]))
                }
                if random.below(50) == 0 {
                    if run.outcome == nil { failures += 1 }
                    run.expire()
                }
            }
            let outcome = try #require(run.outcome, "seed \(seed)")
            #expect(outcome.isComplete == (failures == 0), "seed \(seed)")
            #expect(outcome.isComplete || outcome.isRefused || outcome.body["_incomplete"] != nil, "seed \(seed)")
        }
    }
}
