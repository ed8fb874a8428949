import CacheLayerEngine
import KernelStructures
import Testing

/// What a read finds, by the state of its entry.
@Suite struct LayerTests {
    @Test("a miss loads, a hit does not, and the end of the time does again")
    func readThrough() {
        // @covers CL-M1
        var layer = makeLayer()
        var loads = 0
        func source(_ key: String) -> Loaded {
            loads += 1
            return .value(Number(loads))
        }
        #expect(layer.get("a", now: .at(0), source)?.number == 1)
        #expect(layer.get("a", now: .at(9.9), source)?.number == 1)
        #expect(layer.get("a", now: .at(10), source)?.number == 2)
        #expect(loads == 2)
        #expect(layer.counters.hits == 1)
        #expect(layer.counters.misses == 2)
        #expect(layer.brokenInvariants == [])
    }

    @Test("an entry is as old as the question, not as the answer")
    func age() {
        var layer = makeLayer()
        guard case .lead(let id) = layer.read("a", now: .at(0)) else { return #expect(Bool(false)) }
        _ = layer.begin(id, now: .at(0))
        _ = layer.proceed(id, .loaded(.value(Number(1))), now: .at(3))
        #expect(layer.fresh("a", now: .at(9.9)) != nil)
        #expect(layer.fresh("a", now: .at(10)) == nil, "ten seconds after it was asked for")
    }

    @Test("that nothing is there is remembered for its own time, or not at all")
    func negative() {
        var layer = makeLayer { $0.negativeTTL = .seconds(2) }
        var loads = 0
        func source(_ key: String) -> Loaded {
            loads += 1
            return .absent
        }
        #expect(layer.get("a", now: .at(0), source)?.number == nil)
        #expect(layer.fresh("a", now: .at(1.9)).map { $0.value == nil } == true)
        _ = layer.get("a", now: .at(2), source)
        #expect(loads == 2)
        var never = makeLayer { $0.negativeTTL = .zero }
        _ = never.get("a", now: .at(0), source)
        #expect(never.fresh("a", now: .at(0)) == nil)
    }

    @Test("beyond its time it is given out while one loads, and no longer than agreed")
    func revalidation() {
        var layer = makeLayer { $0.staleWhileRevalidate = .seconds(5) }
        _ = layer.get("a", now: .at(0)) { _ in .value(Number(1)) }
        guard case .hit(let found, let refresh?) = layer.read("a", now: .at(12)) else { return #expect(Bool(false)) }
        #expect(found.number == 1 && found.freshness == .stale)
        guard case .hit(_, nil) = layer.read("a", now: .at(12)) else { return #expect(Bool(false), "one is enough") }
        _ = layer.begin(refresh, now: .at(12))
        _ = layer.proceed(refresh, .loaded(.value(Number(2))), now: .at(13))
        #expect(layer.fresh("a", now: .at(13))?.number == 2)
        _ = layer.get("b", now: .at(0)) { _ in .value(Number(1)) }
        guard case .lead = layer.read("b", now: .at(15)) else { return #expect(Bool(false), "too old to be given out") }
    }

    @Test("an old answer stands in for a failed load, for as long as agreed, and never after an invalidation")
    func staleIfError() {
        var layer = makeLayer { $0.staleIfError = .seconds(60) }
        _ = layer.get("a", now: .at(0)) { _ in .value(Number(1)) }
        let late = layer.get("a", now: .at(30)) { _ in .failed("down") }
        #expect(late?.number == 1)
        let later = layer.get("a", now: .at(70)) { _ in .failed("down") }
        #expect(later.map { if case .failure(.source("down")) = $0 { true } else { false } } == true)
        _ = layer.get("a", now: .at(71)) { _ in .value(Number(2)) }
        layer.invalidate("a", now: .at(72))
        let gone = layer.get("a", now: .at(73)) { _ in .failed("down") }
        #expect(gone.map { if case .failure = $0 { true } else { false } } == true)
    }

    @Test("an error is everybody's who waited, and is not kept")
    func errors() {
        var layer = makeLayer()
        guard case .lead(let id) = layer.read("a", now: .at(0)), case .wait = layer.read("a", now: .at(0)) else {
            return #expect(Bool(false))
        }
        _ = layer.begin(id, now: .at(0))
        _ = layer.proceed(id, .loaded(.failed("down")), now: .at(1))
        #expect(layer.takeEffects().count == 1)
        #expect(layer.get("a", now: .at(1)) { _ in .value(Number(1)) }?.number == 1)
    }

    @Test("a tag's entries end together, whatever is under way for them")
    func tags() {
        // @covers CL-H5
        var layer = makeLayer(extras: Extras(tags: { [$0.hasPrefix("p") ? "product" : "other"] }))
        for key in ["p1", "p2", "u1"] { _ = layer.get(key, now: .at(0)) { _ in .value(Number(1)) } }
        guard case .lead(let id) = layer.read("p3", now: .at(0)) else { return #expect(Bool(false)) }
        _ = layer.begin(id, now: .at(0))
        layer.invalidateTag("product", now: .at(1))
        _ = layer.proceed(id, .loaded(.value(Number(1))), now: .at(1))
        #expect(["p1", "p2", "p3"].allSatisfy { layer.fresh($0, now: .at(1)) == nil })
        #expect(layer.fresh("u1", now: .at(1)) != nil)
        #expect(layer.get("p1", now: .at(1)) { _ in .value(Number(2)) }?.number == 2)
        #expect(layer.fresh("p1", now: .at(1))?.number == 2)
    }

    @Test("a load that takes too long is over for those who wait, and what it brings is dropped")
    func timeout() {
        var layer = makeLayer { $0.loaderTimeout = .seconds(1) }
        guard case .lead(let id) = layer.read("a", now: .at(0)), case .wait = layer.read("a", now: .at(0.5)) else {
            return #expect(Bool(false))
        }
        _ = layer.begin(id, now: .at(0))
        #expect(layer.nextDeadline == .at(1))
        layer.tick(now: .at(1))
        let effects = layer.takeEffects()
        guard case .tell(_, .failure(.timedOut))? = effects.first else { return #expect(Bool(false)) }
        guard case .done(.failure) = layer.proceed(id, .loaded(.value(Number(1))), now: .at(2)) else {
            return #expect(Bool(false))
        }
        #expect(layer.fresh("a", now: .at(2)) == nil)
        #expect(layer.brokenInvariants == [])
    }

    @Test("a runner who goes hands its load to the next in line; with nobody there it is over")
    func abandoned() {
        var layer = makeLayer()
        guard case .lead(let id) = layer.read("a", now: .at(0)), case .wait(let second) = layer.read("a", now: .at(0)),
            case .wait(let third) = layer.read("a", now: .at(0))
        else { return #expect(Bool(false)) }
        _ = layer.begin(id, now: .at(0))
        layer.abandon(id, now: .at(1))
        guard case .lead(second, id)? = layer.takeEffects().first else { return #expect(Bool(false)) }
        #expect(layer.cancel(third, of: "a") == true)
        #expect(layer.cancel(third, of: "a") == false)
        _ = layer.begin(id, now: .at(1))
        layer.abandon(id, now: .at(2))
        #expect(layer.takeEffects().isEmpty)
        #expect(layer.loadCount == 0)
        guard case .lead = layer.read("a", now: .at(2)) else { return #expect(Bool(false)) }
    }

    @Test("loads and those who wait for them are bounded")
    func bounds() {
        var layer = makeLayer {
            $0.maximumLoads = 2
            $0.maximumWaiters = 1
        }
        guard case .lead = layer.read("a", now: .at(0)), case .wait = layer.read("a", now: .at(0)) else {
            return #expect(Bool(false))
        }
        guard case .refused(.tooManyWaiters(1)) = layer.read("a", now: .at(0)) else { return #expect(Bool(false)) }
        guard case .lead = layer.read("b", now: .at(0)) else { return #expect(Bool(false)) }
        guard case .refused(.tooManyLoads(2)) = layer.read("c", now: .at(0)) else { return #expect(Bool(false)) }
    }

    @Test("shortly before its end one reader loads it again, and the others go on")
    func refreshAhead() {
        var layer = makeLayer([.readThrough, .refreshAhead])
        _ = layer.get("a", now: .at(0)) { _ in .value(Number(1)) }
        guard case .hit(_, nil) = layer.read("a", now: .at(7.9)) else { return #expect(Bool(false)) }
        guard case .hit(let found, let refresh?) = layer.read("a", now: .at(8)) else { return #expect(Bool(false)) }
        #expect(found.freshness == .fresh)
        guard case .hit(_, nil) = layer.read("a", now: .at(8)) else { return #expect(Bool(false)) }
        _ = layer.begin(refresh, now: .at(8))
        _ = layer.proceed(refresh, .loaded(.value(Number(2))), now: .at(8.1))
        #expect(layer.fresh("a", now: .at(12))?.number == 2)
    }

    @Test("cache-aside does nothing by itself")
    func cacheAside() {
        var layer = makeLayer(.cacheAside)
        guard case .miss = layer.read("a", now: .at(0)) else { return #expect(Bool(false)) }
        layer.put("a", Number(1), now: .at(0))
        guard case .hit(let found, nil) = layer.read("a", now: .at(1)) else { return #expect(Bool(false)) }
        #expect(found.number == 1)
    }

    @Test(
        "what makes no sense in a configuration is named",
        arguments: [
            "strategy", "refreshAhead", "ttl", "jitter", "earlyExpiration", "maximumEntries", "loaderTimeout",
        ])
    func validation(_ what: String) {
        var configuration = CacheConfiguration()
        switch what {
        case "strategy": configuration.strategy = [.writeThrough, .writeBehind]
        case "refreshAhead": configuration.strategy = [.refreshAhead]
        case "ttl": configuration.ttl = .zero
        case "jitter": configuration.jitter = .nan
        case "earlyExpiration": configuration.earlyExpiration = -1
        case "maximumEntries": configuration.maximumEntries = 0
        default: configuration.loaderTimeout = .zero
        }
        #expect { try configuration.validate() } throws: { "\($0)".contains(what) }
    }
}
