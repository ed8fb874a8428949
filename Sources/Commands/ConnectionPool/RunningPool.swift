import CommandServices
import ShellSession

extension Session {
    /// A running pool by its node's name, or the only one there is.
    ///
    /// - Throws: `CommandFailure` if there is none, or not just one.
    func pool(named name: String?) throws -> PoolTest {
        try running(PoolTest.self, named: name, what: "connection pool", start: "pool-test --max-conns 10 &")
    }
}
