import DatabaseEngine
import KernelStructures
import KernelWire
import Testing

/// Transactions of several sessions, without a network: who waits for whom, and what each sees.
@Suite struct SessionTests {
    @Test func aBlockFailsAsAWholeAndSavepointsSaveSome() throws {
        let client = try SessionBench().client()
        #expect(client.ask("create table t(a int)") == ["CREATE TABLE", "I"])
        #expect(client.ask("begin") == ["BEGIN", "T"])
        #expect(client.ask("insert into t values (1)") == ["INSERT 0 1", "T"])
        #expect(client.ask("savepoint s") == ["SAVEPOINT", "T"])
        #expect(client.ask("insert into t values (2); select 1/0") == ["INSERT 0 1", "22012", "E"])
        #expect(client.ask("select 1") == ["25P02", "E"])
        #expect(client.ask("rollback to s") == ["ROLLBACK", "T"])
        #expect(client.ask("select a from t") == ["1", "SELECT 1", "T"])
        #expect(client.ask("commit; select count(*) from t") == ["COMMIT", "1", "SELECT 1", "I"])
        #expect(client.ask("begin; select 1/0; commit") == ["BEGIN", "22012", "E"])
        #expect(client.ask("commit") == ["ROLLBACK", "I"])
        #expect(client.ask("commit") == ["notice 25P01", "COMMIT", "I"])
    }

    @Test func whatIsKnownAlreadyIsRefusedByAFailedBlockToo() throws {
        let client = try SessionBench().client()
        client.ask("create table t(a int)")
        let insert = "insert into t values (1)"
        #expect(client.ask(insert) == ["INSERT 0 1", "I"])
        client.ask("begin; select 1/0")
        #expect(client.ask(insert) == ["25P02", "E"])
        client.ask("rollback")
        #expect(client.ask("select count(*) from t") == ["1", "SELECT 1", "I"])
    }

    @Test func theLatestSavepointOfANameCountsAndStays() throws {
        let client = try SessionBench().client()
        client.ask("create table t(a int)")
        client.ask("begin; savepoint s; insert into t values (1); savepoint s; insert into t values (2)")
        #expect(client.ask("rollback to s; select a from t") == ["ROLLBACK", "1", "SELECT 1", "T"])
        client.ask("insert into t values (3)")
        #expect(client.ask("rollback to s; select a from t") == ["ROLLBACK", "1", "SELECT 1", "T"])
        #expect(client.ask("release s; rollback to s; select a from t") == ["RELEASE", "ROLLBACK", "SELECT 0", "T"])
        #expect(client.ask("rollback to t") == ["3B001", "E"])
    }

    @Test func whoIsToReadOnlyDoesNotWrite() throws {
        let client = try SessionBench().client()
        client.ask("create table t(a int)")
        client.ask("begin read only")
        #expect(client.ask("select count(*) from t") == ["0", "SELECT 1", "T"])
        #expect(client.ask("insert into t values (1)") == ["25006", "E"])
        client.ask("rollback; set default_transaction_read_only = on")
        #expect(client.ask("create table u(a int)") == ["25006", "I"])
        #expect(client.ask("begin read write; insert into t values (1); commit").last == "I")
        #expect(client.ask("select count(*) from t") == ["1", "SELECT 1", "I"])
    }

    @Test func statementsOfOneMessageAreOneTransaction() throws {
        let client = try SessionBench().client()
        #expect(client.ask("create table t(a int); insert into t values (1); select 1/0").suffix(2) == ["22012", "I"])
        #expect(client.ask("select * from t") == ["42P01", "I"])
        #expect(client.ask("") == ["I"])
    }

    @Test func writersWaitInLineAndReadersDoNot() throws {
        let bench = try SessionBench()
        let (first, second, third) = (bench.client(), bench.client(), bench.client())
        first.ask("create table t(n int); insert into t values (0)")
        #expect(first.ask("begin; update t set n = n + 1") == ["BEGIN", "UPDATE 1", "T"])
        #expect(second.ask("update t set n = n + 10 returning n") == [])
        #expect(!second.session.acceptsMessages)
        #expect(third.ask("update t set n = n + 100 returning n") == [])
        #expect(bench.client().ask("select n from t") == ["0", "SELECT 1", "I"])
        #expect(first.ask("commit") == ["COMMIT", "I"])
        #expect(second.isWoken && !third.isWoken)
        second.goOn()
        #expect(second.answers() == ["11", "UPDATE 1", "I"])
        #expect(third.isWoken)
        third.goOn()
        #expect(third.answers() == ["111", "UPDATE 1", "I"])
    }

    @Test func whoVanishesInsideATransactionIsRolledBack() throws {
        let bench = try SessionBench()
        let (first, second) = (bench.client(), bench.client())
        first.ask("create table t(n int)")
        first.ask("begin; insert into t values (1)")
        #expect(second.ask("insert into t values (2)") == [])
        first.session.end()
        second.goOn()
        #expect(second.answers() == ["INSERT 0 1", "I"])
        #expect(second.ask("select n from t") == ["2", "SELECT 1", "I"])
        #expect(bench.cluster.sessionCount == 1)
    }

    @Test func repeatableReadKeepsItsSnapshotAndMayNotWriteOverOthers() throws {
        let bench = try SessionBench()
        let (first, second) = (bench.client(), bench.client())
        first.ask("create table t(n int); insert into t values (1)")
        first.ask("begin isolation level repeatable read")
        #expect(first.ask("select n from t") == ["1", "SELECT 1", "T"])
        second.ask("update t set n = 2")
        #expect(first.ask("select n from t") == ["1", "SELECT 1", "T"])
        #expect(first.ask("update t set n = 3") == ["40001", "E"])
        #expect(first.ask("rollback") == ["ROLLBACK", "I"])
        // Read committed sees what is committed, statement by statement.
        first.ask("begin")
        #expect(first.ask("select n from t") == ["2", "SELECT 1", "T"])
        second.ask("update t set n = 5")
        #expect(first.ask("update t set n = n + 1 returning n") == ["6", "UPDATE 1", "T"])
        #expect(first.ask("commit") == ["COMMIT", "I"])
    }

    @Test func waitsEndByTimeoutAndByCancellation() throws {
        let bench = try SessionBench()
        let (first, second) = (bench.client(), bench.client())
        first.ask("create table t(n int)")
        first.ask("begin; insert into t values (1)")
        second.ask("set lock_timeout = '2s'")
        #expect(second.ask("insert into t values (2)") == [])
        #expect(second.session.deadline == LabTime(nanoseconds: 2_000_000_000))
        bench.now = LabTime(nanoseconds: 2_000_000_000)
        second.goOn()
        #expect(second.answers() == ["55P03", "I"])
        #expect(second.ask("set lock_timeout = 0; set statement_timeout = '1s'; select pg_sleep(5)") == ["SET", "SET"])
        bench.now = bench.now + .seconds(1)
        second.goOn()
        // The limit was set for statements to come.
        #expect(second.answers() == [])
        // Who does not know the secret stops nothing.
        let key = second.session.key
        bench.cluster.cancel(PostgresCancelKey(process: key.process, secret: key.secret ^ 1))
        second.goOn()
        #expect(second.answers() == [])
        bench.cluster.cancel(key)
        second.goOn()
        #expect(second.answers() == ["57014", "I"])
        // What was set by the message that failed is taken back with it.
        #expect(second.ask("show statement_timeout").first == "0")
        #expect(second.ask("set statement_timeout = '1s'") == ["SET", "I"])
        #expect(second.ask("insert into t values (2)") == [])
        bench.now = bench.now + .seconds(1)
        second.goOn()
        #expect(second.answers() == ["57014", "I"])
        #expect(first.ask("commit") == ["COMMIT", "I"])
    }

    @Test func theEndsOfTheCalendarAndOfNumbersAreCalculatedWithOrRefused() throws {
        let client = try SessionBench().client()
        for (query, result) in [
            ("extract(epoch from timestamp '294276-12-31')", "9224317929600"),
            ("extract(epoch from interval '178000000 years')", "5617252800000000"),
            ("date_bin('1 us', timestamp '294276-12-31', timestamp '4714-11-24 BC')", "294276-12-31 00:00:00"),
            ("date_bin('1 day', timestamp 'infinity', timestamp '2000-01-01')", "infinity"),
            ("count(*) from generate_series(9223372036854775806, 9223372036854775807)", "2"),
            ("count(*) from generate_series(-9223372036854775807, -9223372036854775808, -1)", "2"),
            ("count(*) from generate_series(1, 10, 9223372036854775807)", "1"),
        ] {
            #expect(client.ask("select \(query)") == [result, "SELECT 1", "I"], "\(query)")
        }
    }

    @Test func notificationsComeWithTheCommitAndOnlyThen() throws {
        let bench = try SessionBench()
        let (first, second) = (bench.client(), bench.client())
        first.ask("listen news")
        #expect(second.ask("begin; notify news, 'a'; notify news, 'a'; select pg_notify('news', 'b')").last == "T")
        #expect(first.answers() == [])
        second.ask("commit")
        first.goOn()
        #expect(first.answers() == ["news: a", "news: b"])
        second.ask("begin; notify news, 'c'; rollback")
        first.goOn()
        #expect(first.answers() == [])
        // Who is in a transaction hears it at its end.
        first.ask("begin")
        second.ask("notify news, 'd'")
        #expect(first.ask("commit") == ["COMMIT", "news: d", "I"])
    }

    @Test func settingsGoBackWithTheTransaction() throws {
        let client = try SessionBench().client()
        client.ask("set application_name = 'one'")
        client.ask("begin; set application_name = 'two'; set local lock_timeout = '5s'")
        #expect(client.ask("show application_name; show lock_timeout").prefix(3) == ["two", "SHOW", "5s"])
        client.ask("rollback")
        #expect(client.ask("show application_name; show lock_timeout").prefix(3) == ["one", "SHOW", "0"])
        client.ask("begin; set local lock_timeout = '5s'; set application_name = 'three'; commit")
        #expect(client.ask("show application_name; show lock_timeout").prefix(3) == ["three", "SHOW", "0"])
    }

    @Test func anyOrderOfMessagesIsAnsweredAndHarmsNobody() throws {
        let bench = try SessionBench()
        let other = bench.client()
        other.ask("create table t(a int primary key, b text)")
        var random = SeededRandom(seed: 5)
        let texts = [
            "select 1", "begin", "commit", "rollback", "savepoint s", "rollback to s", "insert into t values (1, 'x')",
            "select * from t where a = $1", "delete from t", "copy t from stdin", "copy t to stdout", "selekt", "",
            "declare c cursor for select a from t", "fetch 2 from c", "listen x", "notify x", "set lock_timeout = '1s'",
            "create table u(a int)", "drop table u", "select pg_sleep(1)", "prepare p as select 1", "execute p",
        ]
        for _ in 0..<60 {
            let client = bench.client()
            for _ in 0..<40 where client.session.acceptsMessages {
                let name = random.chance(0.7) ? "" : "n\(random.below(3))"
                let text = texts[random.below(texts.count)]
                switch random.below(11) {
                case 0, 1: client.send(.query(text))
                case 2: client.send(.parse(statement: name, query: text, parameterTypes: []))
                case 3:
                    let values: [[UInt8]?] = random.chance(0.3) ? [[49]] : []
                    client.send(.bind(PostgresBind(portal: name, statement: name, parameters: values)))
                case 4: client.send(.execute(portal: name, rowLimit: Int32(random.below(2))))
                case 5: client.send(.describe(random.chance(0.5) ? .statement(name) : .portal(name)))
                case 6: client.send(.sync)
                case 7: client.send(.copyData(Array("7\tx\n".utf8)))
                case 8: client.send(random.chance(0.5) ? .copyDone : .copyFail("no"))
                case 9: client.send(.close(random.chance(0.5) ? .statement(name) : .portal(name)))
                default: client.send(.flush)
                }
                bench.now = bench.now + .milliseconds(random.below(900))
                client.goOn()
            }
            client.session.end()
        }
        // Nobody has left anything behind: the pen is free, and no session is there.
        #expect(other.ask("insert into t values (99, 'last')") == ["INSERT 0 1", "I"])
        #expect(bench.cluster.sessionCount == 1)
        #expect(other.ask("select count(*) from t where a = 99") == ["1", "SELECT 1", "I"])
    }
}
