import DatabaseEngine
import KernelStructures
import Testing

/// Who waits for whom: advisory locks (PostgreSQL's manual, section 13.3.5), and circles of those who wait.
@Suite struct LockingTests {
    @Test func anAdvisoryLockIsHeldByOneAndCounted() throws {
        let bench = try SessionBench()
        let (first, second) = (bench.client(), bench.client())
        #expect(first.ask("select pg_advisory_lock(7), pg_try_advisory_lock(7)") == ["|t", "SELECT 1", "I"])
        #expect(second.ask("select pg_try_advisory_lock(7)") == ["f", "SELECT 1", "I"])
        #expect(second.ask("select pg_advisory_unlock(7)") == ["f", "notice 01000", "SELECT 1", "I"])
        #expect(first.ask("select pg_advisory_unlock(7)") == ["t", "SELECT 1", "I"])
        #expect(second.ask("select pg_try_advisory_lock(7)") == ["f", "SELECT 1", "I"], "it was taken twice")
        #expect(first.ask("select pg_advisory_unlock(7)") == ["t", "SELECT 1", "I"])
        #expect(second.ask("select pg_try_advisory_lock(7)") == ["t", "SELECT 1", "I"])
        #expect(first.ask("select pg_try_advisory_lock(0, 7)") == ["t", "SELECT 1", "I"], "another key")
    }

    @Test func waitersAreServedInOrderAndSharedOnesTogether() throws {
        let bench = try SessionBench()
        let clients = (0..<4).map { _ in bench.client() }
        #expect(clients[0].ask("select pg_advisory_lock(1)").last == "I")
        #expect(clients[1].ask("select pg_advisory_lock_shared(1)") == [])
        #expect(clients[2].ask("select pg_advisory_lock_shared(1)") == [])
        #expect(clients[3].ask("select pg_advisory_lock(1)") == [])
        let locks = "select mode, granted from pg_locks where locktype = 'advisory' and objid = 1"
        #expect(
            bench.client().ask(locks) == [
                "ExclusiveLock|t", "ShareLock|f", "ShareLock|f", "ExclusiveLock|f", "SELECT 4", "I",
            ])
        #expect(clients[0].ask("select pg_advisory_unlock(1)") == ["t", "SELECT 1", "I"])
        #expect(clients[1...].map(\.isWoken) == [true, true, false])
        for client in clients[1...2] {
            client.goOn()
            #expect(client.answers() == ["", "SELECT 1", "I"])
            #expect(client.ask("select pg_advisory_unlock_shared(1)") == ["t", "SELECT 1", "I"])
        }
        clients[3].goOn()
        #expect(clients[3].answers() == ["", "SELECT 1", "I"])
    }

    @Test func whoWouldShareALockStandsBehindThoseWhoWaitForIt() throws {
        let bench = try SessionBench()
        let (first, second, third) = (bench.client(), bench.client(), bench.client())
        first.ask("select pg_advisory_lock_shared(1)")
        #expect(third.ask("select pg_try_advisory_lock_shared(1)") == ["t", "SELECT 1", "I"])
        third.ask("select pg_advisory_unlock_shared(1)")
        #expect(second.ask("select pg_advisory_lock(1)") == [])
        #expect(third.ask("select pg_try_advisory_lock_shared(1)") == ["f", "SELECT 1", "I"])
        #expect(first.ask("select pg_try_advisory_lock_shared(1)") == ["t", "SELECT 1", "I"], "it has it already")
    }

    @Test func whatATransactionTookEndsWithItAndTheRestWithTheSession() throws {
        let bench = try SessionBench()
        let (first, second) = (bench.client(), bench.client())
        first.ask("select pg_advisory_lock(1); begin; select pg_advisory_xact_lock(2)")
        #expect(second.ask("select pg_try_advisory_lock(1), pg_try_advisory_lock(2)") == ["f|f", "SELECT 1", "I"])
        first.ask("rollback")
        #expect(second.ask("select pg_try_advisory_lock(1), pg_try_advisory_lock(2)") == ["f|t", "SELECT 1", "I"])
        #expect(second.ask("select pg_advisory_lock(1)") == [])
        first.session.end()
        second.goOn()
        #expect(second.answers() == ["", "SELECT 1", "I"])
        second.ask("select pg_advisory_unlock_all()")
        #expect(bench.client().ask("select pg_try_advisory_lock(1)") == ["t", "SELECT 1", "I"])
    }

    @Test func oneStatementWaitsForEachOfItsLocksAndTakesNoneTwice() throws {
        let bench = try SessionBench()
        let (first, second) = (bench.client(), bench.client())
        first.ask("select pg_advisory_lock(1), pg_advisory_lock(3)")
        #expect(second.ask("select g, pg_advisory_lock(g) from generate_series(0, 3) g") == ["0|"])
        first.ask("select pg_advisory_unlock(1)")
        second.goOn()
        #expect(second.answers() == ["1|", "2|"])
        first.ask("select pg_advisory_unlock(3)")
        second.goOn()
        #expect(second.answers() == ["3|", "SELECT 4", "I"])
        #expect(
            second.ask("select pg_advisory_unlock(0), pg_advisory_unlock(0)") == [
                "t|f", "notice 01000", "SELECT 1", "I",
            ])
    }

    @Test func whoWouldWaitForHimselfIsTold() throws {
        let bench = try SessionBench()
        let (first, second) = (bench.client(), bench.client())
        first.ask("create table t(a int); select pg_advisory_lock(1)")
        second.ask("select pg_advisory_lock(2)")
        #expect(first.ask("select pg_advisory_lock(2)") == [])
        #expect(second.ask("select pg_advisory_lock(1)") == ["40P01", "I"])
        second.ask("select pg_advisory_unlock(2)")
        first.goOn()
        #expect(first.answers() == ["", "SELECT 1", "I"])

        // One has the pen and waits for a lock, whose holder asks for the pen.
        second.ask("begin; insert into t values (1)")
        #expect(second.ask("select pg_advisory_lock(1)") == [])
        #expect(first.ask("insert into t values (2)") == ["40P01", "I"])
        first.ask("select pg_advisory_unlock(1)")
        second.goOn()
        #expect(second.answers() == ["", "SELECT 1", "T"])
    }

    @Test func waitingEndsWithLockTimeoutAndWithCancel() throws {
        let bench = try SessionBench()
        let (first, second) = (bench.client(), bench.client())
        first.ask("select pg_advisory_lock(1)")
        second.ask("set lock_timeout = '50ms'")
        #expect(second.ask("select pg_advisory_lock(1)") == [])
        bench.now = bench.now + .milliseconds(50)
        second.goOn()
        #expect(second.answers() == ["55P03", "I"])
        first.ask("select pg_advisory_unlock(1)")
        #expect(
            bench.client().ask("select pg_try_advisory_lock(1)") == ["t", "SELECT 1", "I"], "nobody stands in line")
    }

    @Test func whoDoesNotWantToWaitForTheWriterIsTold() throws {
        let bench = try SessionBench()
        let (first, second) = (bench.client(), bench.client())
        first.ask("create table t(a int); insert into t values (1)")
        first.ask("begin; update t set a = 2")
        #expect(second.ask("select a from t for update nowait") == ["55P03", "I"])
        #expect(second.ask("select a from t for update skip locked") == ["SELECT 0", "I"])
        #expect(second.ask("begin; lock table t nowait") == ["BEGIN", "55P03", "E"])
        #expect(second.ask("rollback; begin; lock table t in access share mode").suffix(2) == ["LOCK TABLE", "T"])
        second.ask("rollback")
        first.ask("commit")
        #expect(second.ask("select a from t for update nowait") == ["2", "SELECT 1", "I"])
        #expect(second.ask("select a from t for update skip locked") == ["2", "SELECT 1", "I"])
    }

    @Test func aLockedTableIsNotWrittenToByOthers() throws {
        let bench = try SessionBench()
        let (first, second) = (bench.client(), bench.client())
        first.ask("create table t(a int)")
        #expect(first.ask("lock table t") == ["25P01", "I"])
        #expect(first.ask("begin; lock table t") == ["BEGIN", "LOCK TABLE", "T"])
        #expect(second.ask("insert into t values (3)") == [])
        #expect(first.ask("commit") == ["COMMIT", "I"])
        second.goOn()
        #expect(second.answers() == ["INSERT 0 1", "I"])
    }

    @Test func sequencesKeepWhatTransactionsGiveBack() throws {
        let client = try SessionBench().client()
        client.ask("create sequence s")
        #expect(client.ask("begin; select nextval('s'); rollback") == ["BEGIN", "1", "SELECT 1", "ROLLBACK", "I"])
        #expect(client.ask("select nextval('s')") == ["2", "SELECT 1", "I"])
        client.ask("begin; select setval('s', 10); rollback")
        #expect(client.ask("select nextval('s')") == ["11", "SELECT 1", "I"])
        client.ask("alter sequence s restart with 5")
        #expect(client.ask("select nextval('s')") == ["5", "SELECT 1", "I"])
        client.ask("create table t(id serial, a int); insert into t(a) values (1), (2); truncate t restart identity")
        #expect(client.ask("insert into t(a) values (3) returning id") == ["1", "INSERT 0 1", "I"])
        client.ask("begin; create sequence u; select nextval('u'); rollback; create sequence v")
        #expect(client.ask("select nextval('v')") == ["1", "SELECT 1", "I"])
    }
}
