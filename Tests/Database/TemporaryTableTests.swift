import DatabaseEngine
import KernelStorage
import KernelStructures
import Testing

/// Tables that only one session sees, for as long as it lives.
@Suite struct TemporaryTableTests {
    @Test func onlyItsSessionSeesItAndItStandsBeforeOthers() throws {
        let bench = try SessionBench()
        let (first, second) = (bench.client(), bench.client())
        second.ask("create table t(a text); insert into t values ('all')")
        #expect(first.ask("create temp table t(a serial primary key, b text unique)") == ["CREATE TABLE", "I"])
        #expect(first.ask("insert into t(b) values ('x'), ('y') returning a") == ["1", "2", "INSERT 0 2", "I"])
        #expect(first.ask("select b from t where a = 2") == ["y", "SELECT 1", "I"])
        #expect(first.ask("select a from public.t") == ["all", "SELECT 1", "I"])
        #expect(first.ask("select count(*) from pg_temp.t") == ["2", "SELECT 1", "I"])
        #expect(second.ask("select a from t") == ["all", "SELECT 1", "I"], "the same text, another plan")
        #expect(second.ask("create temporary table u as select 1 as n") == ["SELECT 1", "I"])
        #expect(first.ask("select * from u") == ["42P01", "I"])
        #expect(first.ask("select relpersistence from pg_class where oid = 't'::regclass") == ["t", "SELECT 1", "I"])
        #expect(
            first.ask(
                "create table mine(a int); select relnamespace::regnamespace from pg_class where relname = 'mine'")
                == ["CREATE TABLE", "public", "SELECT 1", "I"])
    }

    @Test func itGoesWithItsSessionAndWithDiscard() throws {
        let bench = try SessionBench()
        let (first, second) = (bench.client(), bench.client())
        first.ask("create temp table t(a int); insert into t values (1)")
        #expect(second.ask("select count(*) from pg_class where relname = 't'") == ["1", "SELECT 1", "I"])
        first.ask("discard temp")
        #expect(first.ask("select * from t") == ["42P01", "I"])
        first.ask("create temp table t(b int)")
        // Somebody writes when the session ends: it goes after him.
        second.ask("begin; create table keep(a int)")
        first.session.end()
        second.ask("commit")
        #expect(second.ask("select count(*) from pg_class where relname = 't'") == ["0", "SELECT 1", "I"])
        #expect(
            second.ask("select count(*) from pg_namespace where nspname like 'pg_temp%'") == ["0", "SELECT 1", "I"])
        #expect(second.ask("select count(*) from keep") == ["0", "SELECT 1", "I"])
    }

    @Test func onCommitEmptiesOrDrops() throws {
        let client = try SessionBench().client()
        client.ask("create temp table r(a int) on commit delete rows; create temp table k(a int)")
        #expect(
            client.ask("begin; insert into r values (1); insert into k values (1); select count(*) from r; commit")
                == ["BEGIN", "INSERT 0 1", "INSERT 0 1", "1", "SELECT 1", "COMMIT", "I"])
        #expect(client.ask("select (select count(*) from r), (select count(*) from k)") == ["0|1", "SELECT 1", "I"])
        client.ask("begin; create temp table d(a int) on commit drop; insert into d values (1)")
        #expect(client.ask("select a from d") == ["1", "SELECT 1", "T"])
        client.ask("commit")
        #expect(client.ask("select a from d") == ["42P01", "I"])
        client.ask("begin; create temp table d(a int) on commit delete rows; rollback; create table e(a int)")
        client.ask("insert into e values (1)")
        #expect(client.ask("select count(*) from e") == ["1", "SELECT 1", "I"], "though it may have d's number")
        #expect(client.ask("create table f(a int) on commit drop") == ["42P16", "I"])
    }

    @Test func whatACrashLeavesIsDroppedAtTheNextStart() throws {
        let disk = SimulatedDisk()
        let first = try SessionBench(disk)
        let client = first.client()
        client.ask("create table keep(a int); create temp table t(a int)")
        first.cluster.abandon()
        let second = try SessionBench(disk, owner: DiskOwner(2)).client()
        #expect(second.ask("select count(*) from pg_class where relname = 't'") == ["0", "SELECT 1", "I"])
        #expect(second.ask("select count(*) from keep") == ["0", "SELECT 1", "I"])
    }

    @Test func anIndexHasItsColumnsInTheCatalogue() throws {
        let client = try SessionBench().client()
        client.ask("create table t(a int primary key, b text, c date); create index i on t(lower(b), c)")
        let columns =
            "select attname, atttypid::regtype from pg_attribute where attrelid = '%'::regclass order by attnum"
        #expect(
            client.ask(columns.replacing("%", with: "i")) == ["lower|text", "c|date", "SELECT 2", "I"])
        #expect(client.ask(columns.replacing("%", with: "t_pkey")) == ["a|integer", "SELECT 1", "I"])
    }
}
