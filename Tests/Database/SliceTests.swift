import DatabaseEngine
import KernelStorage
import KernelStructures
import Testing

/// Statements that take long, or for ever: others have their turn meanwhile, and whoever asked can stop them.
@Suite struct SliceTests {
    private static let endless = "select count(*) from generate_series(1, 1000000000000)"

    @Test("what reads for long is begun again in slices, and its result is the same")
    func reading() throws {
        let client = try SessionBench().client()
        #expect(client.ask("select count(*), sum(n) from generate_series(1, 100000) n") == [])
        #expect(client.session.wait == .turn && client.session.turnCost == .milliseconds(1))
        let (answers, turns) = client.finish()
        #expect(answers == ["100000|5000050000", "SELECT 1", "I"])
        #expect(turns > 10)
        #expect(client.session.turnCost == .zero)
        // The number of turns is that of the work: the same on every run.
        #expect(client.ask("select count(*), sum(n) from generate_series(1, 100000) n") == [])
        #expect(client.finish().turns == turns)
        #expect(client.ask("select count(*) from generate_series(1, 100)") == ["100", "SELECT 1", "I"])
    }

    @Test("rows that came before the long part are there once, and so is what functions did")
    func rowsBefore() throws {
        let bench = try SessionBench()
        let client = bench.client()
        let union = "select 0 union all select count(*) from generate_series(1, 100000) union all select 7"
        // What comes before the long part may be told at once.
        let first = client.ask(union)
        #expect(["0"].starts(with: first) && client.session.wait == .turn)
        #expect(first + client.finish().answers == ["0", "100000", "7", "SELECT 3", "I"])
        let lock =
            "select pg_try_advisory_lock(5)::text union all select count(*)::text from generate_series(1, 100000)"
        let locked = client.ask(lock)
        #expect(["true"].starts(with: locked) && client.session.wait == .turn)
        #expect(locked + client.finish().answers == ["true", "100000", "SELECT 2", "I"])
        #expect(client.ask("select pg_advisory_unlock(5)") == ["t", "SELECT 1", "I"])
        #expect(client.ask("select pg_advisory_unlock(5)").first == "f", "it was taken once")
    }

    @Test("a result of many rows is told in turns, each row once")
    func manyRows() throws {
        let client = try SessionBench().client()
        var rows = client.ask("select n from generate_series(1, 20000) n")
        #expect(rows == (1...rows.count).map { "\($0)" } && rows.count <= 1000, "a turn's worth of rows")
        for _ in 0..<10_000 where client.session.wait != nil {
            rows += client.answers()
            client.goOn()
        }
        rows += client.answers()
        #expect(rows.filter { Int($0) != nil } == (1...20_000).map { "\($0)" })
        #expect(rows.suffix(2) == ["SELECT 20000", "I"])
    }

    @Test("others are answered meanwhile; a cancel request ends it, and the session goes on")
    func others() throws {
        let bench = try SessionBench()
        let (long, other) = (bench.client(), bench.client())
        #expect(long.ask(Self.endless) == [])
        for round in 1...5 {
            long.goOn()
            #expect(long.answers() == [])
            if round == 1 { #expect(other.ask("create table t(a int primary key)") == ["CREATE TABLE", "I"]) }
            #expect(other.ask("insert into t values (\(round))") == ["INSERT 0 1", "I"])
        }
        let activity = "select state, query from pg_stat_activity where pid <> pg_backend_pid()"
        #expect(other.ask(activity) == ["active|\(Self.endless)", "SELECT 1", "I"])
        bench.cluster.cancel(long.session.key)
        #expect(long.isWoken)
        long.goOn()
        #expect(long.answers() == ["57014", "I"])
        #expect(long.ask("select count(*) from t") == ["5", "SELECT 1", "I"])
    }

    @Test("a statement's time limit, and pg_terminate_backend, hold between two slices")
    func limits() throws {
        let bench = try SessionBench()
        let (long, other) = (bench.client(), bench.client())
        long.ask("set statement_timeout = '3s'")
        #expect(long.ask(Self.endless) == [])
        long.goOn()
        #expect(long.session.deadline == LabTime(nanoseconds: 3_000_000_000))
        bench.now = LabTime(nanoseconds: 3_000_000_000)
        long.goOn()
        #expect(long.answers() == ["57014", "I"])
        #expect(long.ask("set statement_timeout = 0") == ["SET", "I"])
        #expect(long.ask(Self.endless) == [])
        let process = long.session.key.process
        #expect(other.ask("select pg_terminate_backend(\(process))") == ["t", "SELECT 1", "I"])
        try bench.cluster.commit()
        #expect(long.session.phase == .ended)
        #expect(bench.cluster.sessionCount == 1)
    }

    @Test(
        "what writes for long runs in slices from its start: it has the pen, readers go on, and stopped it leaves nothing",
        arguments: [
            "insert into t select n, 0 from generate_series(10, 1000000000000) n",
            "update t set b = (select count(*) from generate_series(1, 1000000000000))",
            "delete from t where a < (select count(*) from generate_series(1, 1000000000000))",
            "create table u as select n from generate_series(1, 1000000000000) n",
            "explain analyze select count(*) from generate_series(1, 1000000000000)",
            "with recursive r(n) as (select 1 union all select n + 1 from r) insert into t select n, 1 from r where n > 9",
        ])
    func writing(statement: String) throws {
        let bench = try SessionBench()
        let (long, other) = (bench.client(), bench.client())
        long.ask("create table t(a int primary key, b bigint); insert into t values (1, 0), (2, 0)")
        #expect(long.ask(statement) == [])
        for _ in 0..<3 { long.goOn() }
        #expect(long.answers() == [] && long.session.wait == .turn)
        #expect(other.ask("select count(*), sum(b) from t") == ["2|0", "SELECT 1", "I"])
        #expect(other.ask("insert into t values (3, 0)") == [])
        bench.cluster.cancel(long.session.key)
        long.goOn()
        #expect(long.answers() == ["57014", "I"])
        #expect(other.isWoken)
        other.goOn()
        #expect(other.answers() == ["INSERT 0 1", "I"])
        #expect(long.ask("select count(*), sum(b) from t") == ["3|0", "SELECT 1", "I"])
        #expect(long.ask("select count(*) from pg_class where relname = 'u'").first == "0")
    }

    @Test("what finds its rows by a unique key never leaves the loop, triggers included; what has a loop does")
    func loops() throws {
        let bench = try SessionBench()
        let client = bench.client()
        client.ask("create table p(a int primary key, b int); create table c(a int references p on delete cascade)")
        client.ask("insert into p values (1, 1), (2, 2)")
        let first = client.session.sliceCount
        for statement in [
            "insert into p values (3, 3)", "insert into p values (4, 4) returning a",
            "update p set b = b + 1 where a = 1", "update p set b = 5 where a = 2 returning b",
            "insert into c values (1)", "select * from p where a = 2 for update",
            "insert into p values (1, 9) on conflict (a) do update set b = excluded.b",
        ] {
            #expect(client.ask(statement).last == "I", "\(statement)")
            #expect(client.session.sliceCount == first, "\(statement)")
        }
        for statement in ["update p set b = 0", "delete from p where a = 4", "insert into c select a from p"] {
            let before = client.session.sliceCount
            #expect(client.ask(statement).last == "I", "\(statement)")
            #expect(client.session.sliceCount == before + 1, "\(statement)")
        }
    }

    @Test("a cursor that takes long gives way, and one that is to be held is read where it is declared")
    func cursors() throws {
        let bench = try SessionBench()
        let client = bench.client()
        client.ask("begin; declare c cursor for \(Self.endless)")
        #expect(client.ask("fetch 1 from c") == [])
        client.goOn()
        bench.cluster.cancel(client.session.key)
        client.goOn()
        #expect(client.answers() == ["57014", "E"])
        client.ask("rollback")
        #expect(client.ask("begin; declare c cursor with hold for \(Self.endless); commit") == ["BEGIN"])
        client.goOn()
        #expect(client.answers() == [])
        bench.cluster.cancel(client.session.key)
        client.goOn()
        #expect(client.answers() == ["57014", "E"])
    }

    @Test("a client that goes, and the end of the process, stop it; nothing reaches the disk any more")
    func ends() throws {
        let disk = SimulatedDisk()
        let owner = DiskOwner(1)
        let bench = try SessionBench(disk, owner: owner)
        let (gone, killed) = (bench.client(), bench.client())
        gone.ask("create table t(a int)")
        try bench.cluster.commit()
        #expect(gone.ask("insert into t select n from generate_series(1, 1000000000000) n") == [])
        gone.session.end()
        #expect(killed.ask("select count(*) from t") == ["0", "SELECT 1", "I"])
        #expect(killed.ask("insert into t select n from generate_series(1, 1000000000000) n") == [])
        for _ in 0..<200 { killed.goOn() }
        _ = disk.losePower(owner: owner, policy: .dropAll)
        bench.cluster.abandon()
        let again = try SessionBench(disk, owner: owner)
        #expect(again.client().ask("select count(*) from t") == ["0", "SELECT 1", "I"])
    }
}
