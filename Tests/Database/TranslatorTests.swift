import KernelStructures
import KernelWire
import Testing

@testable import DatabaseEngine

/// PostgreSQL's SQL on SQLite. What is expected is what PostgreSQL 15 answered; `Tests/Dialect` asks one.
@Suite struct TranslatorTests {
    let lab: DatabaseHarness

    init() throws { lab = try DatabaseHarness() }

    @Test(
        "values and their types",
        arguments: [
            ("1 + 1", "2"), ("7 / 2", "3"), ("-7 / 2", "-3"), ("-7 % 3", "-1"), ("1 / 0", "22012"),
            ("2147483647 + 1", "22003"), ("9223372036854775807 + 1", "22003"), ("'abc'::int", "22P02"),
            ("'99999999999'::int", "22003"), ("1.0 / 3", "0.33333333333333333333"), ("10 / 3.0", "3.3333333333333333"),
            ("1.10 * 2.0", "2.200"), ("1e308::float8 * 10", "22003"),
            ("0.1::float8 + 0.2::float8", "0.30000000000000004"),
            ("'NaN'::float8 > 1e300", "t"), ("1.005::numeric(10, 2)", "1.01"), ("123456.7::numeric(5, 2)", "22003"),
            ("round(-2.5)", "-3"), ("2.5::float8::int", "2"), ("2.5::numeric::int", "3"),
            ("'ab'::char(4) || '|'", "ab|"),
            ("'abcdef'::varchar(3)", "abc"), ("1 = true", "42883"), ("1 + 'x'", "22P02"), ("'a' || 1", "a1"),
            ("'a%c' like 'a!%c' escape '!'", "t"), ("'abc' ~ '('", "2201B"), ("null = null", ""),
            ("1 in (2, null)", ""),
            ("date '2024-01-31' + interval '1 month'", "2024-02-29 00:00:00"), ("'2023-02-29'::date", "22008"),
            ("interval '1 mon -1 day'", "1 mon -1 days"), ("interval '30 days' = interval '1 month'", "t"),
            ("'{\"b\": 1, \"a\": [1,2]}'::jsonb", "{\"a\": [1, 2], \"b\": 1}"), ("'[1,2]'::json -> -1", "2"),
            ("'{bad}'::json", "22P02"), ("array[1,null,3]", "{1,NULL,3}"), ("2 = any('{1,2}'::int[])", "t"),
            ("greatest(1, null, 3)", "3"), ("greatest(1, 3, null)", "3"), ("least(null, null)", ""),
            ("substring('hello' from 2 for -1)", "22011"), ("nosuch(1)", "42883"),
            ("nosuchcolumn", "42703"), ("-5", "-5"), ("- 5", "-5"), ("'999.994'::numeric(5, 2)", "999.99"),
            ("'999.995'::numeric(5, 2)", "22003"), ("'NaN'::numeric > 1e300::numeric", "t"),
            ("sum(x) from (values (9223372036854775807), (1)) v(x)", "9223372036854775808"),
            ("(select g from generate_series(1, 2) g)", "21000"), ("3 in (1, 2)", "f"),
        ])
    func expressions(sql: String, expected: String) { #expect(lab.run("select \(sql)") == expected, "\(sql)") }

    @Test func nullsComeLast() {
        _ = lab.run("create table t (a int); insert into t values (2), (null), (1)")
        #expect(lab.run("select coalesce(a::text, 'null') from t order by a") == "1\n2\nnull")
        #expect(lab.run("select coalesce(a::text, 'null') from t order by a desc") == "null\n2\n1")
        #expect(lab.run("select coalesce(a::text, 'null') from t order by a nulls first") == "null\n1\n2")
    }

    @Test func decimalsAreEqualByValue() {
        _ = lab.run("create table n (v numeric unique); insert into n values (1.10)")
        #expect(lab.run("insert into n values (1.1)") == "23505")
        #expect(lab.run("select v from n where v = 1.100") == "1.10")
        #expect(lab.run("insert into n values (-5), (1e3); select v from n order by v") == "-5\n1.10\n1000")
        #expect(lab.run("select count(distinct v) from (values (1.0), (1.00), (2)) x(v)") == "2")
    }

    @Test func constraintsSayWhichOne() throws {
        _ = lab.run(
            """
            create table p (id int primary key);
            create table c (id int constraint ids unique, pid int references p on delete cascade, n int check (n > 0));
            insert into p values (1); insert into c values (1, 1, 1)
            """)
        for (sql, state) in [
            ("insert into c values (1, 1, 1)", "23505"), ("insert into c values (2, 9, 1)", "23503"),
            ("insert into c values (2, 1, 0)", "23514"), ("insert into p values (null)", "23502"),
            ("update p set id = 2", "23503"), ("drop table p", "2BP01"),
        ] { #expect(lab.run(sql) == state, "\(sql)") }
        #expect(lab.run("delete from p; select count(*) from c") == "0")
    }

    @Test func columnsRefuseWhatIsTooLong() {
        _ = lab.run("create table t (a varchar(3))")
        #expect(lab.run("insert into t values ('abcd')") == "22001")
        #expect(lab.run("insert into t values ('abc   '); select a || '|' from t") == "abc|")
    }

    @Test func renamingChangesNothingElse() {
        _ = lab.run("create table \"T\" (a int check (a > 0)); create table t (a int); insert into \"T\" values (1)")
        #expect(
            lab.run("alter table \"T\" rename to u; alter table u rename a to \"A b\"; select \"A b\" from u") == "1")
        #expect(lab.run("insert into u values (0)") == "23514")
        #expect(lab.run("select count(*) from t") == "0")
        #expect(lab.run("create table \"T\" (x int); select count(*) from \"T\"") == "0")
    }

    @Test func aRolledBackDefinitionLeavesNothing() throws {
        try lab.connection.execute("BEGIN")
        _ = lab.run("create table gone (a serial primary key)")
        let version = lab.catalogue.version
        try lab.connection.execute("ROLLBACK")
        lab.catalogue.forget()
        #expect(lab.run("select * from gone") == "42P01")
        _ = lab.run("create table other (a int)")
        #expect(lab.catalogue.version > version, "no two catalogues have one number")
    }

    @Test func literalsAreParameters() throws {
        _ = lab.run("create table t (a int, b text)")
        let one = try lab.plan("select * from t where a = 5 and b = 'x' and a <> -7")
        let two = try lab.plan("select * from t where a = 6 and b = 'y' and a <> -8")
        #expect(one.sql == two.sql)
        #expect(one.constants == [.integer(5), .text("x"), .integer(-7)])
        let mixed = try lab.plan("select * from t where a = $2 and b = $1 || 'z'")
        #expect(mixed.parameterTypes == [.text, .int4])
        #expect(mixed.constants == [.text("z")])
    }

    @Test func parametersGetTheirTypes() throws {
        _ = lab.run("create table t (a int, b numeric(5,2), c timestamptz)")
        #expect(try lab.plan("insert into t values ($1, $2, $3)").parameterTypes == [.int4, .numeric, .timestamptz])
        #expect(
            try lab.plan("select $1::bigint, $2 + 1.5, now() - $3::interval").parameterTypes == [
                .int8, .numeric, .interval,
            ])
        #expect(try lab.plan("select 1 limit $1").parameterTypes == [.int8])
        #expect { try self.lab.plan("select $2") } throws: {
            ($0 as? PostgresError)?.sqlState == .indeterminateDatatype
        }
    }

    @Test func whatChangesNothingSaysSo() throws {
        _ = lab.run("create table t (a serial)")
        #expect(try lab.plan("select * from t").readsOnly)
        for sql in [
            "select * from t for update", "insert into t default values", "select nextval('t_a_seq')", "drop table t",
        ] {
            #expect(try !lab.plan(sql).readsOnly, "\(sql)")
        }
    }

    @Test func placesAreCountedInCharacters() {
        #expect { try self.lab.plan("select 'é', nosuch") } throws: { ($0 as? PostgresError)?.position == 13 }
    }

    @Test func nestingHasALimit() {
        #expect(lab.run("select " + String(repeating: "(", count: 100_000)) == "54001")
        #expect(lab.run("select 1" + String(repeating: "+1", count: 100_000)) == "54001")
        #expect(lab.run("select 1" + String(repeating: "::int", count: 50_000)) == "54001")
        #expect(lab.run("select 1" + String(repeating: " union select 1", count: 5000)) == "54001")
        let rows = (0..<3000).map { "(\($0), 'x')" }.joined(separator: ",")
        #expect(lab.run("select count(*) from (values \(rows)) v") == "3000")
    }

    @Test("whatever is typed is a result or an error with a SQLSTATE")
    func fuzz() {
        _ = lab.run("create table t (a int primary key, b text, n numeric, j jsonb, d timestamptz)")
        let words = [
            "select", "from", "t", "where", "a", "b", "n", "j", "d", "=", "<", "+", "-", "*", "/", "(", ")", ",", "1",
            "2.5",
            "'x'", "null", "and", "or", "not", "is", "in", "between", "like", "order by", "group by", "having",
            "count(*)",
            "sum(a)", "max(n)", "::int", "::text", "::numeric", "limit", "1", "union", "all", "as", "x", "join", "on",
            "true",
            "case", "when", "then", "else", "end", "insert into", "values", "update", "set", "delete", "returning",
            "distinct",
            "now()", "->>", "'a'", "||", "array[1]", "any", "exists", "interval '1 day'", "generate_series(1,3)",
            "over ()",
        ]
        var random = SeededRandom(seed: 11)
        for _ in 0..<3000 {
            var sql = random.chance(0.8) ? "select" : ""
            for _ in 0..<1 + random.below(14) { sql += " " + words[random.below(words.count)] }
            let answer = lab.run(sql)
            #expect(answer != "XX000", "\(sql)")
        }
    }
}
