import LockEngine
import Testing

@testable import LockCheckEngine

/// The judge must be able to say no.
@Suite("What locks promise")
struct LockModelTests {
    private func holding(_ client: Int, _ token: Int64, until: Int, isShared: Bool = false, lock: Int = 0)
        -> LockModel.Holding
    {
        .init(client: client, lock: lock, isShared: isShared, token: token, certainUntil: until)
    }

    @Test("two at a time are found, unless both only read, or one has given it back, or may have lost its lease")
    func two() {
        var model = LockModel()
        #expect(model.granted(holding(1, 5, until: 100), call: 1, now: 10) == nil)
        #expect(model.granted(holding(2, 6, until: 300, lock: 1), call: 11, now: 20) == nil, "another lock")
        #expect(model.granted(holding(2, 6, until: 300), call: 90, now: 99)?.contains("at the same time") == true)
        #expect(model.granted(holding(2, 6, until: 300), call: 90, now: 100) == nil)

        model = LockModel()
        _ = model.granted(holding(1, 5, until: 100), call: 1, now: 10)
        model.renewed(1, certainUntil: 200)
        #expect(model.granted(holding(2, 6, until: 300), call: 90, now: 150) != nil, "it was renewed")
        model.released(1)
        #expect(model.granted(holding(2, 6, until: 300), call: 90, now: 150) == nil, "it was given back")

        model = LockModel()
        _ = model.granted(holding(1, 5, until: 100, isShared: true), call: 1, now: 10)
        #expect(model.granted(holding(2, 6, until: 100, isShared: true), call: 1, now: 10) == nil)
        #expect(model.granted(holding(3, 7, until: 100), call: 1, now: 10) != nil)
    }

    @Test("tokens grow with each grant, and nobody shares one")
    func tokens() {
        var model = LockModel()
        _ = model.granted(holding(1, 5, until: 20), call: 1, now: 10)
        #expect(model.granted(holding(2, 4, until: 300), call: 30, now: 40)?.contains("after client 1") == true)
        #expect(model.granted(holding(2, 5, until: 300), call: 30, now: 40)?.contains("the same token") == true)
        #expect(model.granted(holding(2, 4, until: 300), call: 9, now: 40) == nil, "its answer may be old")
    }

    @Test("a resource takes writes in the order of tokens")
    func resource() {
        var resource = GuardedResource()
        let verdicts = [5, 5, 7, 5].map { resource.write("a", token: $0) }
        #expect(verdicts.map(\.isTaken) == [true, true, true, false])
        #expect(verdicts.allSatisfy { $0.wrong == nil })
    }
}
