import KernelOTLP
import KernelStructures
import KernelTelemetry
import Testing
import TracingEngine

@Suite("Trees, critical paths and clocks")
struct TreeTests {
    private func names(_ tree: TraceTree) -> [String] {
        tree.nodes.indices.map { String(repeating: ".", count: tree.nodes[$0].depth) + tree.span($0).span.name }
    }

    @Test("children stand under their parents in the order in which they began")
    func order() {
        let tree = TraceTree(
            trace([
                sample(3, in: 1, "c", "third", from: 5, to: 6), sample(2, in: 1, "b", "second", from: 1, to: 4),
                sample(1, "a", "first", from: 0, to: 10), sample(4, in: 2, "b", "fourth", from: 2, to: 3),
            ]))
        #expect(names(tree) == ["first", ".second", "..fourth", ".third"] && tree.isConnected)
        #expect(tree.main == 0)
    }

    @Test("whatever comes makes a tree: circles, orphans, ids that are there twice, and chains that are very long")
    func anything() {
        let circle = TraceTree(
            trace([sample(1, in: 2, "a", "x"), sample(2, in: 1, "a", "y"), sample(3, in: 3, "a", "z")]))
        #expect(circle.nodes.count == 3 && !circle.isConnected)
        let orphan = TraceTree(trace([sample(1, in: 9), sample(2)]))
        #expect(orphan.nodes.filter(\.isOrphan).count == 1 && orphan.main == 1)
        let twice = TraceTree(trace([sample(1, "a"), sample(1, "b"), sample(2, in: 1), sample(1, "a")]))
        #expect(twice.nodes.count == 3, "an equal one counts once")
        let long = TraceTree(trace((1...20_000).map { sample($0, in: $0 > 1 ? $0 - 1 : nil) }))
        #expect(long.nodes.last?.depth == 19_999 && long.isConnected)
        #expect(CriticalPath(long).durations.reduce(0, +) == 10_000_000)
        #expect(SkewAdjustment.shifts(long).allSatisfy { $0 == 0 })
        for seed in 0..<40 {
            for (_, spans) in Dictionary(grouping: randomSpans(60, seed: UInt64(seed), traces: 3), by: \.span.traceID) {
                let tree = TraceTree(trace(spans))
                #expect(tree.nodes.map(\.index).sorted() == Array(spans.indices))
                for (place, node) in tree.nodes.enumerated() {
                    if let parent = node.parent {
                        #expect(parent < place && tree.nodes[parent].children.contains(place))
                    }
                }
            }
        }
    }

    @Test("the critical path goes through whoever ended last, and is as long as the whole")
    func path() {
        let tree = TraceTree(
            trace([
                sample(1, "a", "root", from: 0, to: 100), sample(2, in: 1, "b", "salad", from: 10, to: 30),
                sample(3, in: 1, "c", "roast", from: 10, to: 90), sample(4, in: 3, "d", "oven", from: 20, to: 50),
                sample(5, in: 1, "e", "unawaited", from: 95, to: 400),
            ]))
        let path = CriticalPath(tree)
        let parts = path.segments.map { segment in
            "\(tree.span(segment.node).span.name) \((segment.end - segment.start) / 1_000_000)"
        }
        #expect(parts == ["root 10", "roast 10", "oven 30", "roast 40", "root 10"])
        for seed in 0..<60 {
            for (_, spans) in Dictionary(grouping: randomSpans(40, seed: UInt64(seed), traces: 3), by: \.span.traceID) {
                let tree = TraceTree(trace(spans))
                guard let root = tree.main else { continue }
                let path = CriticalPath(tree)
                let whole = tree.span(root).span
                #expect(path.durations.reduce(0, +) == whole.duration)
                #expect(zip(path.segments, path.segments.dropFirst()).allSatisfy { $0.end == $1.start })
            }
        }
    }

    @Test("a child on another machine is put into the middle of its parent, with all that is below it there")
    func skew() {
        let tree = TraceTree(
            trace([
                sample(1, "a", "root", from: 0, to: 100), sample(2, in: 1, "a", "call", from: 10, to: 50, kind: 3),
                sample(3, in: 2, "b", "serve", from: 5010, to: 5040),
                sample(4, in: 3, "b", "part", from: 5020, to: 5030),
                sample(5, in: 1, "c", "message", from: 9000, to: 9001, kind: 5),
                sample(6, in: 1, "d", "long", from: 700, to: 900),
            ]))
        let shifts = SkewAdjustment.shifts(tree)
        let byName = Dictionary(uniqueKeysWithValues: tree.nodes.indices.map { (tree.span($0).span.name, shifts[$0]) })
        #expect(byName["serve"] == -4_995_000_000 && byName["part"] == -4_995_000_000 && byName["call"] == 0)
        #expect(byName["message"] == 0, "nobody waited for it")
        #expect(byName["long"] == -700_000_000, "longer than its parent: it begins with it")
        #expect(SkewAdjustment.shifted(5, by: -10) == 0 && SkewAdjustment.shifted(5, by: 10) == 15)
    }

    @Test("a call that a dead server did not answer is one to it, where its port is known")
    func namedLeaves() {
        let port: [(String, OTLPValue)] = [("server.address", .text("localhost")), ("server.port", .integer(8083))]
        let traces = [
            trace([sample(1, "lb", from: 0, to: 90, kind: 3, port), sample(2, in: 1, "backend-3", from: 10, to: 80)]),
            trace([sample(3, "lb", from: 0, to: 9, kind: 3, isError: true, port)]),
        ]
        let graph = ServiceGraph(traces) { address, port in
            address == "localhost" && port == 8083 ? "backend-3" : nil
        }
        #expect(graph.edges.map(\.to) == ["backend-3"])
        #expect(graph.edges[0].calls == 2 && graph.edges[0].errors == 1 && !graph.edges[0].isLeaf)
        #expect(ServiceGraph(traces).edges.map(\.to) == ["backend-3", "localhost"])
    }

    @Test("who talks to whom, through queues and to those that make no spans")
    func graph() {
        let graph = ServiceGraph([
            trace([
                sample(1, "gateway", from: 0, to: 100),
                sample(2, in: 1, "gateway", from: 0, to: 90, kind: 3, [("server.address", .text("orders"))]),
                sample(3, in: 2, "orders", from: 10, to: 80, isError: true),
                sample(4, in: 3, "orders", "GET", from: 10, to: 12, kind: 3, [("server.address", .text("redis"))]),
                sample(5, in: 3, "orders", from: 20, to: 21, kind: 4),
                sample(6, in: 5, "mail", from: 500, to: 510, kind: 5),
            ])
        ])
        #expect(graph.edges.map { "\($0.from)>\($0.to)" } == ["gateway>orders", "orders>mail", "orders>redis"])
        #expect(graph.edges.map(\.isLeaf) == [false, false, true])
        #expect(graph.edges.map(\.isAsynchronous) == [false, true, false])
        #expect(graph.edges[0].errors == 1 && graph.edges[0].quantile(0.99) == 90_000_000)
        #expect(graph.services == ["gateway", "mail", "orders"])
        #expect(
            JaegerJSON.dependencies(graph.calls).text
                == #"[{"parent": "gateway", "child": "orders", "callCount": 1}, "#
                + #"{"parent": "orders", "child": "mail", "callCount": 1}]"#)
    }
}

@Suite("Sampling when it is over")
struct TailSamplerTests {
    private func sampler(_ policies: [TailSampler.Policy], limit: Int = 1000) -> TailSampler {
        var settings = TailSampler.Settings()
        settings.policies = policies
        settings.spanLimit = limit
        return TailSampler(settings)
    }

    private let start = LabTime.documentedEpoch

    @Test("without a policy all is kept at once")
    func none() {
        var sampler = sampler([])
        #expect(sampler.add([sample(1)], now: start).count == 1 && sampler.nextDecision == nil)
    }

    @Test("slow ones and failed ones are kept whole after the wait, others are dropped; later spans follow them")
    func policies() {
        var sampler = sampler([.latency(.milliseconds(500)), .errors])
        let spans = [
            sample(1, trace: 1, to: 499), sample(1, trace: 2, to: 500), sample(1, trace: 3),
            sample(2, in: 1, trace: 3, "b", isError: true),
        ]
        #expect(sampler.add(spans, now: start).isEmpty && sampler.waitingSpanCount == 4)
        #expect(sampler.nextDecision == start + .seconds(10))
        #expect(sampler.advance(to: start + .milliseconds(9_999)).isEmpty)
        let kept = sampler.advance(to: start + .seconds(10))
        #expect(kept.map { $0.span.traceID.low } == [2, 3, 3] && sampler.waitingSpanCount == 0)
        let late = sampler.add([sample(9, trace: 1), sample(9, trace: 2)], now: start + .seconds(11))
        #expect(late.map { $0.span.traceID.low } == [2] && sampler.counters.droppedSpans == 2)
    }

    @Test("a share goes by the trace's id, and everybody who asks gets the same answer")
    func share() {
        var random = SeededRandom(seed: 1)
        let spans = (0..<2000).map { index -> TracedSpan in
            var span = sample(1)
            span.span.traceID = TraceID(random: &random)
            return span
        }
        var kept: [[TraceID]] = []
        for _ in 0..<2 {
            var sampler = sampler([.share(0.1)], limit: 10_000)
            _ = sampler.add(spans, now: start)
            kept.append(sampler.finish(now: start).map(\.span.traceID))
        }
        #expect(kept[0] == kept[1] && (150...250).contains(kept[0].count))
    }

    @Test("a rate is not exceeded in any second, and what waits is bounded")
    func rate() {
        var sampler = sampler([.rate(5)], limit: 20)
        let kept = sampler.add((1...100).map { sample(1, trace: $0) }, now: start)
        #expect(kept.count == 5 && sampler.waitingSpanCount == 20 && sampler.counters.earlyTraces == 80)
        #expect(sampler.advance(to: start + .seconds(10)).count == 5)
    }
}
