import CacheLayerService
import KernelStructures
import Testing

/// What is stale, and since when.
@Suite struct AuditTests {
    private var audit = StalenessAudit(percent: 100)
    private var random = SeededRandom(seed: 1)

    /// Compares what was loaded at second 10 and given out at `time` with what the database has.
    private mutating func check(
        _ user: User, at time: Double, _ name: String, version: UInt64, updatedAt: Double, loadedAt: Double = 10
    ) {
        let begins = audit.begins(&random)
        #expect(begins)
        let row = User(id: user.id, name: name, email: user.email, version: version)
        audit.ended(
            .init(user, version: 0, loadedAt: .at(loadedAt), at: .at(time)),
            truth: .success(.init(user: row, updatedAt: .at(updatedAt))), now: .at(time + 0.001))
    }

    private let old = User(id: 1, name: "Old", email: "o@example.com", version: 3)

    @Test("a newer version with a date of its own counts from that date, and a change after the answer does not count")
    mutating func dated() {
        check(old, at: 30, "New", version: 5, updatedAt: 25)
        #expect(audit.stale == 1 && audit.undated == 0 && audit.oldest == .seconds(5))
        #expect(audit.mostVersionsBehind == 2)
        check(old, at: 30, "New", version: 4, updatedAt: 30.0005)
        check(old, at: 30, "Old", version: 3, updatedAt: 5)
        #expect(audit.checked == 3 && audit.stale == 1)
    }

    @Test("another value under the same version is stale, since the audit first saw it")
    mutating func sameVersion() {
        // @covers CL-C3
        check(old, at: 30, "New", version: 3, updatedAt: 5)
        #expect(audit.stale == 1 && audit.undated == 1 && audit.oldest == .zero)
        check(old, at: 34.001, "New", version: 3, updatedAt: 5)
        #expect(audit.stale == 2 && audit.oldest == .seconds(4))
        #expect(audit.mostVersionsBehind == 0)
    }

    @Test("a version that was counted up without a date is no older than the load, whatever its date says")
    mutating func undatedVersion() {
        check(old, at: 30, "New", version: 4, updatedAt: 5)
        #expect(audit.stale == 1 && audit.undated == 1 && audit.oldest == .zero && audit.mostVersionsBehind == 1)
        // The same user, loaded anew: what was seen of the earlier entry says nothing about this one.
        check(old, at: 60, "Newer", version: 4, updatedAt: 5, loadedAt: 50)
        #expect(audit.stale == 2 && audit.oldest == .zero)
    }

    @Test("what was written here has no version: only its value counts")
    mutating func withoutVersion() {
        let written = User(id: 1, name: "Mine", email: "o@example.com")
        check(written, at: 30, "Mine", version: 9, updatedAt: 20)
        #expect(audit.checked == 1 && audit.stale == 0)
        check(written, at: 30, "Theirs", version: 10, updatedAt: 20)
        #expect(audit.stale == 1 && audit.mostVersionsBehind == 0)
    }
}
