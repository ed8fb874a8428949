import CacheLayerEngine
import KernelStructures
import Testing

/// Several processes around one cache.
@Suite struct SharedCacheTests {
    /// A flight up to the step that does not follow at once.
    private func advance(
        _ layer: inout CacheLayer, _ id: FlightID, _ step: FlightStep, _ shared: SharedStore, now: LabTime
    ) -> FlightStep {
        var step = step
        while case .ask(let request) = step { step = layer.proceed(id, .reply(shared.ask(request)), now: now) }
        return step
    }

    private func lead(_ layer: inout CacheLayer, _ shared: SharedStore, now: LabTime) -> (FlightID, FlightStep)? {
        guard case .lead(let id) = layer.read("k", now: now) else { return nil }
        return (id, advance(&layer, id, layer.begin(id, now: now), shared, now: now))
    }

    @Test("of two processes one loads, and the other waits for what it brings")
    func lease() throws {
        // @covers CL-C1
        var (first, second) = (makeLayer(codec: Number.codec, seed: 1), makeLayer(codec: Number.codec, seed: 2))
        let shared = SharedStore()
        let (one, load) = try #require(lead(&first, shared, now: .at(0)))
        guard case .load = load else { return #expect(Bool(false)) }
        let (other, pause) = try #require(lead(&second, shared, now: .at(0)))
        guard case .pause = pause else { return #expect(Bool(false), "the first one holds the key") }
        _ = advance(&first, one, first.proceed(one, .loaded(.value(Number(7))), now: .at(0.5)), shared, now: .at(0.5))
        guard
            case .done(.success(let found)) = advance(
                &second, other, second.proceed(other, .paused, now: .at(0.6)), shared, now: .at(0.6))
        else { return #expect(Bool(false)) }
        #expect(found.number == 7)
        #expect(second.counters.loads == 0)
        #expect(second.counters.leaseWaits == 1)
    }

    @Test("one that died while it loaded is not waited for longer than agreed")
    func deadHolder() throws {
        var (first, second) = (makeLayer(codec: Number.codec, seed: 1), makeLayer(codec: Number.codec, seed: 2))
        let shared = SharedStore()
        _ = try #require(lead(&first, shared, now: .at(0)))
        var (id, step) = try #require(lead(&second, shared, now: .at(0)))
        var now = LabTime.at(0)
        while case .pause(let duration) = step {
            now = now + duration
            step = advance(&second, id, second.proceed(id, .paused, now: now), shared, now: now)
        }
        guard case .load = step else { return #expect(Bool(false)) }
        #expect(now == .at(2))
        step = advance(&second, id, second.proceed(id, .loaded(.value(Number(8))), now: now), shared, now: now)
        guard case .done(.success) = step else { return #expect(Bool(false)) }
        #expect(shared.number("k") == 8, "and its value takes the dead one's place")
    }

    /// The notice of the change is still on its way, so the refusal is all that this process knows.
    @Test("what the shared cache refuses this process does not keep either")
    func refusedFill() throws {
        var layer = makeLayer(codec: Number.codec)
        let shared = SharedStore()
        let (id, _) = try #require(lead(&layer, shared, now: .at(0)))
        shared.entries = [:]
        let step = advance(&layer, id, layer.proceed(id, .loaded(.value(Number(7))), now: .at(1)), shared, now: .at(1))
        guard case .done(.success(let found)) = step else { return #expect(Bool(false)) }
        #expect(found.number == 7 && layer.fresh("k", now: .at(1)) == nil && layer.counters.discardedFills == 1)
    }

    @Test("a failed load gives the key free, so that the next one need not wait")
    func release() throws {
        var layer = makeLayer(codec: Number.codec)
        let shared = SharedStore()
        let (id, _) = try #require(lead(&layer, shared, now: .at(0)))
        #expect(shared.entries["k"] != nil)
        _ = advance(&layer, id, layer.proceed(id, .loaded(.failed("down")), now: .at(1)), shared, now: .at(1))
        #expect(shared.entries["k"] == nil)
    }

    @Test("a tag that was invalidated in one process is so in all, also where its word was forgotten")
    func tags() throws {
        let extras = Extras(tags: { _ in ["all"] })
        var first = makeLayer(codec: Number.codec, extras: extras, seed: 1)
        var second = makeLayer(codec: Number.codec, extras: extras, seed: 2) { $0.keepsLocally = false }
        let shared = SharedStore()
        func load(_ layer: inout CacheLayer, _ value: Int) throws -> Int? {
            let (id, step) = try #require(lead(&layer, shared, now: .at(0)))
            var next = step
            if case .load = next {
                next = advance(
                    &layer, id, layer.proceed(id, .loaded(.value(Number(value))), now: .at(0)), shared, now: .at(0))
            }
            guard case .done(let outcome) = next else { return nil }
            return outcome.number
        }
        #expect(try load(&first, 1) == 1)
        #expect(try load(&second, 2) == 1, "from the shared cache")
        guard let request = first.remoteInvalidation(ofTag: "all") else { return #expect(Bool(false)) }
        #expect(shared.ask(request) == .done)
        #expect(try load(&second, 2) == 2)
        // The cache forgets the tag, to make room: an entry of before must not come back to life.
        shared.tags = [:]
        #expect(try load(&second, 3) == 3)
    }

    @Test("another machine's clock that is ahead does not make entries live longer")
    func clocks() throws {
        let shared = SharedStore()
        var ahead = makeLayer(codec: Number.codec, seed: 1)
        let (id, _) = try #require(lead(&ahead, shared, now: .at(1_000_000)))
        _ = advance(
            &ahead, id, ahead.proceed(id, .loaded(.value(Number(1))), now: .at(1_000_000)), shared, now: .at(1_000_000))
        var layer = makeLayer(codec: Number.codec, seed: 2)
        _ = lead(&layer, shared, now: .at(0))
        #expect(layer.fresh("k", now: .at(0))?.number == 1)
        #expect(layer.fresh("k", now: .at(20)) == nil)
    }

    @Test("whoever is not told of changes uses his own entries for a second, and forgets them when that ends")
    func deaf() throws {
        let shared = SharedStore()
        var layer = makeLayer(codec: Number.codec)
        layer.hears(false, now: .at(0))
        let (id, _) = try #require(lead(&layer, shared, now: .at(0)))
        _ = advance(&layer, id, layer.proceed(id, .loaded(.value(Number(1))), now: .at(0)), shared, now: .at(0))
        #expect(layer.fresh("k", now: .at(0.9)) != nil)
        #expect(layer.fresh("k", now: .at(1)) == nil)
        layer.hears(true, now: .at(1))
        _ = lead(&layer, shared, now: .at(1))
        #expect(layer.fresh("k", now: .at(9)) != nil)
        layer.hears(false, now: .at(9))
        #expect(layer.fresh("k", now: .at(9)) == nil)
    }

    @Test("what another process has written is news, and its own words are none")
    func notices() {
        var layer = makeLayer { $0.keyPrefix = "user:" }
        layer.put("7", Number(1), now: .at(0))
        layer.heard(ofKey: "order:7", now: .at(0))
        #expect(layer.fresh("7", now: .at(0)) != nil)
        layer.heard(ofKey: "user:7", now: .at(0))
        #expect(layer.fresh("7", now: .at(0)) == nil)
        #expect(layer.explain("7", now: .at(1)).lastRemoval?.reason == .notified)
    }
}
