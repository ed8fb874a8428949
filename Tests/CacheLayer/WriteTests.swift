import CacheLayerEngine
import KernelStructures
import Testing

/// Writes, and each step of them failing.
@Suite struct WriteTests {
    private func run(
        _ layer: inout CacheLayer, _ shared: SharedStore, _ value: Int?, _ report: WriteReport, now: LabTime
    )
        -> Result<Void, CacheFailure>?
    {
        guard case .begin(let id) = layer.write("k", value.map { Number($0) }, now: now) else { return nil }
        var step = layer.beginWrite(id, now: now)
        while true {
            switch step {
            case .store: step = layer.proceedWrite(id, report, now: now)
            case .ask(let request): step = layer.proceedWrite(id, .reply(shared.ask(request)), now: now)
            case .append: step = layer.proceedWrite(id, .appended, now: now)
            case .done(let outcome): return outcome
            }
        }
    }

    private func load(_ layer: inout CacheLayer, _ shared: SharedStore, _ value: Int, now: LabTime) -> CacheAnswer? {
        switch layer.read("k", now: now) {
        case .hit(let found, _): return found
        case .lead(let id):
            var step = layer.begin(id, now: now)
            while true {
                switch step {
                case .ask(let request): step = layer.proceed(id, .reply(shared.ask(request)), now: now)
                case .pause: step = layer.proceed(id, .paused, now: now + .seconds(3))
                case .load: step = layer.proceed(id, .loaded(.value(Number(value))), now: now)
                case .done(let outcome): return try? outcome.get()
                }
            }
        default: return nil
        }
    }

    @Test("if the source refuses, the caches keep what was; if nobody knows, they keep nothing")
    func sourceFirst() {
        // @covers CL-H2 CL-M3
        var layer = makeLayer(codec: Number.codec)
        let shared = SharedStore()
        #expect(load(&layer, shared, 1, now: .at(0))?.number == 1)
        let refused = run(&layer, shared, 2, .refused("constraint"), now: .at(1))
        #expect(refused.map { if case .failure(.source("constraint")) = $0 { true } else { false } } == true)
        #expect(layer.fresh("k", now: .at(1))?.number == 1)
        #expect(shared.number("k") == 1)
        let unknown = run(&layer, shared, 2, .unknown("reset"), now: .at(2))
        #expect(unknown.map { if case .failure(.outcomeUnknown) = $0 { true } else { false } } == true)
        #expect(layer.fresh("k", now: .at(2)) == nil)
        #expect(shared.entries["k"] == nil)
    }

    @Test("if the shared cache does not take the value the key is removed there; if not even that, it is suspect")
    func cacheFails() {
        // @covers CL-C2
        var layer = makeLayer(codec: Number.codec) { $0.keepsLocally = false }
        let shared = SharedStore()
        _ = load(&layer, shared, 1, now: .at(0))
        shared.failures = 1
        #expect(run(&layer, shared, 2, .stored(version: 0), now: .at(1)).map { (try? $0.get()) != nil } == true)
        #expect(shared.entries["k"] == nil, "removed")
        _ = load(&layer, shared, 2, now: .at(1))
        shared.failures = 2
        #expect(run(&layer, shared, 3, .stored(version: 0), now: .at(2)).map { (try? $0.get()) != nil } == true)
        #expect(shared.number("k") == 2, "the old value is still there")
        #expect(layer.explain("k", now: .at(2)).isSuspect)
        #expect(load(&layer, shared, 3, now: .at(3))?.number == 3, "and is not believed")
        #expect(!layer.explain("k", now: .at(3)).isSuspect, "it could be removed now")
        #expect(shared.number("k") == 3)
    }

    @Test("writes of one key go one after the other, in the order in which they came")
    func order() {
        var layer = makeLayer()
        guard case .begin(let first) = layer.write("k", Number(1), now: .at(0)),
            case .wait(let second) = layer.write("k", Number(2), now: .at(0)),
            case .wait(let third) = layer.write("k", Number(3), now: .at(0)),
            case .begin = layer.write("other", Number(1), now: .at(0))
        else { return #expect(Bool(false)) }
        _ = layer.beginWrite(first, now: .at(0))
        #expect(layer.cancelWrite(second) == true)
        #expect(layer.cancelWrite(first) == false, "it has begun")
        _ = layer.proceedWrite(first, .stored(version: 0), now: .at(0))
        guard case .mayWrite(third)? = layer.takeEffects().first else { return #expect(Bool(false)) }
        _ = layer.beginWrite(third, now: .at(0))
        _ = layer.proceedWrite(third, .stored(version: 0), now: .at(0))
        #expect(layer.fresh("k", now: .at(0))?.number == 3)
    }

    @Test("a write around the cache has it forget, and so does a removal")
    func around() {
        var layer = makeLayer([.readThrough, .writeAround])
        _ = layer.get("k", now: .at(0)) { _ in .value(Number(1)) }
        _ = layer.set("k", 2, now: .at(1))
        #expect(layer.fresh("k", now: .at(1)) == nil)
        var through = makeLayer()
        _ = through.get("k", now: .at(0)) { _ in .value(Number(1)) }
        _ = through.set("k", nil, now: .at(1))
        #expect(through.fresh("k", now: .at(1)) == nil)
    }

    @Test("an older version never takes the place of a newer one")
    func versions() {
        var layer = makeLayer()
        _ = layer.set("k", 5, now: .at(0), .stored(version: 5))
        _ = layer.set("k", 4, now: .at(1), .stored(version: 4))
        #expect(layer.fresh("k", now: .at(1))?.number == 5)
    }

    @Test("a copy of the source that lags behind does not take a newer version's place")
    func laggingSource() {
        var layer = makeLayer { $0.staleWhileRevalidate = .seconds(60) }
        _ = layer.get("k", now: .at(0)) { _ in .value(Number(5), version: 5) }
        guard case .hit(_, let refresh?) = layer.read("k", now: .at(11)) else { return #expect(Bool(false)) }
        _ = layer.begin(refresh, now: .at(11))
        _ = layer.proceed(refresh, .loaded(.value(Number(4), version: 4)), now: .at(12))
        guard case .hit(let found, _) = layer.read("k", now: .at(12)) else { return #expect(Bool(false)) }
        #expect(found.number == 5)
    }

    @Test("behind the cache: read at once, written later, the last value only, and in the order of the first writes")
    func behind() {
        // @covers CL-H3
        var layer = makeLayer([.readThrough, .writeBehind])
        for (key, value) in [("a", 1), ("b", 2), ("a", 3)] {
            guard case .begin(let id) = layer.write(key, Number(value), now: .at(0)) else {
                return #expect(Bool(false))
            }
            _ = layer.beginWrite(id, now: .at(0))
            _ = layer.proceedWrite(id, .appended, now: .at(0))
        }
        #expect(layer.get("a", now: .at(0)) { _ in .failed("not asked") }?.number == 3)
        layer.invalidateAll(now: .at(0))
        #expect(layer.get("a", now: .at(0)) { _ in .failed("not asked") }?.number == 3, "from the queue")
        #expect(layer.takeBatch(now: .at(0)).isEmpty, "it gathers")
        let batch = layer.takeBatch(now: .at(0.1))
        #expect(batch.map(\.key) == ["a", "b"])
        #expect(batch.map { ($0.value as? Number)?.value } == [3, 2])
        #expect(layer.get("a", now: .at(0.1)) { _ in .failed("not asked") }?.number == 3, "on its way")
        guard case .confirmed(let numbers) = layer.flushed(now: .at(0.2)) else { return #expect(Bool(false)) }
        #expect(numbers == [3, 2])
        #expect(layer.writeBehind.isEmpty)
    }

    @Test("a source that does not answer is asked again, less and less often, and newer writes take older ones' place")
    func retries() {
        var settings = WriteBehindQueue.Settings()
        settings.delay = .zero
        settings.capacity = 2
        var layer = makeLayer([.readThrough, .writeBehind], queue: settings)
        func write(_ key: String, _ value: Int, _ now: LabTime) -> Bool {
            guard case .begin(let id) = layer.write(key, Number(value), now: now) else { return false }
            _ = layer.beginWrite(id, now: now)
            _ = layer.proceedWrite(id, .appended, now: now)
            return true
        }
        #expect(write("a", 1, .at(0)) && write("b", 1, .at(0)))
        #expect(!write("c", 1, .at(0)), "two may wait")
        #expect(write("a", 2, .at(0)), "but one that waits may be written again")
        var now = LabTime.at(0)
        var pauses: [LabDuration] = []
        for _ in 0..<10 {
            #expect(!layer.takeBatch(now: now).isEmpty)
            #expect(write("a", 3, now))
            layer.notFlushed(now: now)
            #expect(layer.writeBehind.count == 2)
            pauses.append(layer.nextDeadline - now)
            now = layer.nextDeadline
        }
        #expect(pauses.first == .milliseconds(100) && pauses.last == .seconds(10))
        #expect(zip(pauses, pauses.dropFirst()).allSatisfy { $0 <= $1 })
        #expect(layer.takeBatch(now: now).map { ($0.value as? Number)?.value } == [3, 1])
        #expect(layer.brokenInvariants == [])
    }

    @Test("what the source will never take is dropped, and the caches forget it")
    func rejected() {
        var settings = WriteBehindQueue.Settings()
        settings.delay = .zero
        var layer = makeLayer([.readThrough, .writeBehind], queue: settings)
        guard case .begin(let id) = layer.write("a", Number(1), now: .at(0)) else { return #expect(Bool(false)) }
        _ = layer.beginWrite(id, now: .at(0))
        _ = layer.proceedWrite(id, .appended, now: .at(0))
        _ = layer.takeBatch(now: .at(0))
        _ = layer.flushed(rejected: ["a"], now: .at(0))
        #expect(layer.writeBehind.rejectedCount == 1)
        #expect(layer.fresh("a", now: .at(0)) == nil)
    }
}
