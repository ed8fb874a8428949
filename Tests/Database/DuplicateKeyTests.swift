import DatabaseEngine
import KernelWire
import Testing

/// What a client is told of the key that is in the way, as PostgreSQL tells it.
@Suite struct DuplicateKeyTests {
    private func detail(_ client: SessionClient, _ sql: String) -> String? {
        _ = client.hear()
        client.send(.query(sql))
        for case .errorResponse(let error) in client.hear() { return error.detail }
        return nil
    }

    @Test(
        arguments: [
            ("insert into t(id, name) values (1, 'x')", "Key (id)=(1) already exists."),
            ("insert into t(name) values ('new'), ('b')", "Key (name)=(b) already exists."),
            ("insert into t(name) values ('p'), ('p')", "Key (name)=(p) already exists."),
            (
                "insert into t(id, name) select n, n::text from generate_series(9, 2, -1) n",
                "Key (id)=(2) already exists."
            ),
            ("with x as (select 'a' as v) insert into t(name) select v from x", "Key (name)=(a) already exists."),
            ("insert into pairs values (1, '2020-01-01')", "Key (n, day)=(1.0, 2020-01-01) already exists."),
            ("insert into t(name) values ('q') returning id", nil),
        ] as [(String, String?)])
    func theKeyIsNamed(_ sql: String, _ expected: String?) throws {
        let client = try SessionBench().client()
        client.ask("create table t(id serial primary key, name text unique); insert into t(name) values ('a'), ('b')")
        client.ask(
            "create table pairs(n numeric(4,1), day date, unique(n, day)); insert into pairs values (1, '2020-01-01')")
        #expect(detail(client, sql) == expected)
    }

    @Test func aSequenceThatLagsIsAskedOnce() throws {
        let client = try SessionBench().client()
        client.ask("create table t(id serial primary key, a int); insert into t values (1, 1), (2, 2)")
        #expect(detail(client, "insert into t(a) values (3)") == "Key (id)=(1) already exists.")
        #expect(detail(client, "insert into t(a) values (3)") == "Key (id)=(2) already exists.")
        #expect(client.ask("insert into t(a) values (3) returning id") == ["3", "INSERT 0 1", "I"])
    }

    @Test func aRowIsNotChangedTwiceByOnConflict() throws {
        let client = try SessionBench().client()
        client.ask("create table t(a int primary key, b int); insert into t values (1, 0)")
        let update = " on conflict (a) do update set b = t.b + excluded.b"
        #expect(client.ask("insert into t values (1, 5), (2, 5)" + update) == ["INSERT 0 2", "I"])
        #expect(client.ask("insert into t values (1, 5), (1, 5)" + update) == ["21000", "I"])
        #expect(client.ask("insert into t values (3, 5), (3, 5)" + update) == ["21000", "I"])
        #expect(client.ask("insert into t values (1, 5), (1, 5)" + update + " where t.b < 0") == ["21000", "I"])
        #expect(client.ask("insert into t values (4, 1), (4, 2) on conflict do nothing") == ["INSERT 0 1", "I"])
        #expect(client.ask("insert into t values (4, 5)" + update + " where t.b > 7") == ["INSERT 0 0", "I"])
        #expect(client.ask("select * from t order by a") == ["1|5", "2|5", "4|1", "SELECT 3", "I"])
    }
}
