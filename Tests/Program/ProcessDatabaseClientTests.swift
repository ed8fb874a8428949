import Glibc
import TestSupport
import Testing

/// Clients of PostgreSQL, unmodified, against `sdlab postgres`: psql, psycopg, SQLAlchemy and pgbench.
@Suite(.serialized) struct ProcessDatabaseClientTests {
    let directory: ProgramDirectory
    let port: UInt16
    let server: ProgramProcess

    init() throws {
        directory = try ProgramDirectory()
        port = try ProgramPort.free()
        server = try ProgramProcess.service("postgres", "--data-dir", directory.path + "/pg", port: port)
    }

    private func psql(_ arguments: String...) throws -> ProgramProcess {
        let process = try ProgramProcess(
            ["-X", "-h", "127.0.0.1", "-p", "\(port)", "-U", "postgres", "postgres"] + arguments,
            program: try ProgramTool.needed("psql"), environment: ["PGSSLMODE=disable", "PAGER="])
        _ = try process.waitForExit()
        return process
    }

    @Test("psql", .enabled(if: ProgramTool.canRun("psql")))
    func psqlTalks() throws {
        let first = try psql("-c", "create table t(a int); insert into t values (1) returning a")
        #expect(first.output == "CREATE TABLE\n a \n---\n 1\n(1 row)\n\nINSERT 0 1\n", "\(first.errors)")
        let wrong = try psql("-c", "select * from missing")
        #expect(wrong.errors.hasPrefix("ERROR:  relation \"missing\" does not exist\nLINE 1: select * from missing"))
        #expect(try psql("-At", "-c", "\\dt").output == "public|t|table|postgres\n")
        #expect(try psql("-At", "-c", "\\l").output.contains("postgres|postgres|UTF8"))
        let copy = try psql("-At", "-c", "copy (select 1, 'x' union all select 2, null) to stdout with csv")
        #expect(copy.output == "1,x\n2,\n")
        #expect(
            try psql("-At", "-c", "select count(*) from t; begin; delete from t; rollback; select count(*) from t")
                .output == "1\nBEGIN\nDELETE 1\nROLLBACK\n1\n")
    }

    @Test("sql gives up with its timeout, whatever the server does")
    func timeouts() throws {
        let url = "postgres://postgres@127.0.0.1:\(port)/postgres"
        let client = try ProgramProcess(["sql", url, "select 1; select pg_sleep(30)", "--timeout", "1s"])
        try client.waitFor("(1 row)")
        server.send(SIGSTOP)
        defer { server.send(SIGCONT) }
        #expect(try client.waitForExit(within: 15) == 2)
        #expect(client.errors.contains("no answer within 1s, and none to the request to cancel it"))
    }

    @Test("pgbench", .enabled(if: ProgramTool.canRun("pgbench")))
    func pgbenchRuns() throws {
        for arguments in [
            ["-i", "-s", "1", "-q"], ["-S", "-c", "4", "-t", "50", "-M", "prepared"],
            ["-N", "-c", "4", "-t", "20", "-M", "extended"], ["-c", "4", "-t", "20"],
        ] {
            let process = try ProgramProcess(
                ["-h", "127.0.0.1", "-p", "\(port)", "-U", "postgres"] + arguments + ["postgres"],
                program: try ProgramTool.needed("pgbench"), environment: ["PGSSLMODE=disable"])
            #expect(try process.waitForExit() == 0, "\(arguments): \(process.errors)")
            #expect(
                !process.output.contains("failed transactions: ") || process.output.contains("failed transactions: 0"))
        }
    }

    @Test(
        "psycopg: types, errors, transactions, COPY, pipeline, cursors, notifications", .enabled(if: TestPython.canRun))
    func psycopg() throws {
        let output = try TestPython.run("port = \(port)\n" + Self.psycopgProgram)
        #expect(output == "fine\n")
    }

    private static let psycopgProgram = """
        import asyncio, datetime, decimal, uuid, psycopg
        from psycopg import errors
        from psycopg.types.json import Jsonb
        dsn = f"host=127.0.0.1 port={port} user=postgres dbname=postgres sslmode=disable"
        with psycopg.connect(dsn) as c:
            assert c.info.server_version == 150018
            c.execute("create table v(i int, b bigint, t text, f float8, n numeric(10,2), d date, ts timestamptz,"
                " u uuid, j jsonb, y bytea, o boolean)")
            row = (1, 2**40, "é'x", 1.5, decimal.Decimal("12.30"), datetime.date(2026, 2, 3),
                datetime.datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=datetime.timezone.utc),
                uuid.UUID(int=7), {"a": [1, None]}, b"\\x00\\xff", True)
            c.execute("insert into v values (%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s)",
                [Jsonb(x) if isinstance(x, dict) else x for x in row])
            for binary in (False, True):
                got = c.cursor(binary=binary).execute("select * from v").fetchone()
                assert got == row, (binary, got)
            assert c.execute("select * from v where t = %s", ["é'x"], prepare=True).rowcount == 1
        with psycopg.connect(dsn) as c:
            try: c.execute("select 1/0")
            except errors.DivisionByZero: pass
            else: assert False
            try: c.execute("select 1")
            except errors.InFailedSqlTransaction: pass
            else: assert False
            c.rollback()
            c.execute("create table k(a int primary key)")
            c.execute("insert into k values (1)")
            try:
                with c.transaction(): c.execute("insert into k values (1)")
            except errors.UniqueViolation as e: assert e.diag.constraint_name == "k_pkey", e.diag.constraint_name
            assert c.execute("select count(*) from k").fetchone() == (1,)
            try:
                with c.transaction(): c.execute("select 'abc'::int")
            except errors.InvalidTextRepresentation: pass
            else: assert False
        with psycopg.connect(dsn, autocommit=True) as c:
            c.execute("create table big(a int, b text)")
            with c.cursor().copy("copy big from stdin") as copy:
                for i in range(5000): copy.write_row((i, None if i % 7 == 0 else "x\\ty" * (i % 5)))
            with c.cursor().copy("copy big (a, b) from stdin (format binary)") as copy:
                copy.set_types(["int4", "text"])
                for i in range(5000, 6000): copy.write_row((i, "z"))
            assert c.execute("select count(*), sum(a), count(b) from big").fetchone() == (6000, 17997000, 5285)
            with c.cursor().copy("copy (select a from big order by a limit 3) to stdout") as copy:
                assert [bytes(x) for x in copy] == [b"0\\n", b"1\\n", b"2\\n"]
            try:
                with c.cursor().copy("copy big from stdin") as copy: copy.write("x\\ty\\n")
            except errors.InvalidTextRepresentation as e: assert "line 1, column a" in e.diag.context, e.diag.context
            else: assert False
            with c.pipeline():
                cursors = [c.execute("select %s::int", [i]) for i in range(100)]
            assert [x.fetchone()[0] for x in cursors] == list(range(100))
        with psycopg.connect(dsn) as c:
            with c.cursor("server_side") as cur:
                cur.itersize = 100
                cur.execute("select a from big order by a")
                assert sum(x[0] for x in cur) == 17997000
            with c.cursor("scrolling", scrollable=True) as cur:
                cur.execute("select a from big order by a")
                cur.scroll(10); assert cur.fetchone() == (10,)
                cur.scroll(-5); assert cur.fetchone() == (6,), "back"
        with psycopg.connect(dsn, autocommit=True) as c, psycopg.connect(dsn, autocommit=True) as d:
            c.execute("listen news")
            d.execute("notify news, 'first'")
            d.execute("select pg_notify('news', 'second')")
            found = [n.payload for n in c.notifies(timeout=5, stop_after=2)]
            assert found == ["first", "second"], found
        async def many():
            async def one(i):
                async with await psycopg.AsyncConnection.connect(dsn) as c:
                    async with c.transaction():
                        await c.execute("insert into k values (%s)", [100 + i])
                        cur = await c.execute("select a from k where a = %s", [100 + i])
                        return (await cur.fetchone())[0]
            assert await asyncio.gather(*[one(i) for i in range(20)]) == [100 + i for i in range(20)]
        asyncio.run(many())
        with psycopg.connect(dsn, autocommit=True) as c, psycopg.connect(dsn) as d:
            d.execute("delete from k where a = 100")
            c.execute("set lock_timeout = '50ms'")
            try: c.execute("delete from k where a = 101")
            except errors.LockNotAvailable: pass
            else: assert False
            c.execute("set lock_timeout = 0; set statement_timeout = '100ms'")
            try: c.execute("select pg_sleep(10)")
            except errors.QueryCanceled: pass
            else: assert False
            d.rollback()
            assert c.execute("select count(*) from k where a >= 100").fetchone() == (20,)
        print("fine")
        """

    @Test("SQLAlchemy's ORM", .enabled(if: TestPython.canRun))
    func sqlalchemy() throws {
        let output = try TestPython.run("port = \(port)\n" + Self.sqlalchemyProgram)
        #expect(output == "fine\n")
    }

    private static let sqlalchemyProgram = """
        from typing import List
        from sqlalchemy import ForeignKey, String, create_engine, func, inspect, select
        from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload
        class Base(DeclarativeBase): pass
        class User(Base):
            __tablename__ = "users"
            id: Mapped[int] = mapped_column(primary_key=True)
            name: Mapped[str] = mapped_column(String(30), unique=True)
            orders: Mapped[List["Order"]] = relationship(back_populates="user", cascade="all, delete-orphan")
        class Order(Base):
            __tablename__ = "orders"
            id: Mapped[int] = mapped_column(primary_key=True)
            user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
            total: Mapped[int]
            user: Mapped[User] = relationship(back_populates="orders")
        engine = create_engine(f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres?sslmode=disable")
        Base.metadata.create_all(engine)
        Base.metadata.create_all(engine)
        with Session(engine) as s:
            s.add_all([User(name=n, orders=[Order(total=t) for t in (1, 2)]) for n in ("ann", "bob")])
            s.commit()
            users = s.scalars(select(User).options(selectinload(User.orders)).order_by(User.name)).all()
            assert [(u.name, sum(o.total for o in u.orders)) for u in users] == [("ann", 3), ("bob", 3)]
            users[0].name = "anna"
            s.delete(users[1])
            s.commit()
            rows = s.execute(select(User.name, func.count(Order.id)).join(Order).group_by(User.name)).all()
            assert rows == [("anna", 2)], rows
        assert sorted(inspect(engine).get_table_names()) == ["orders", "users"]
        assert [c["name"] for c in inspect(engine).get_columns("users")] == ["id", "name"]
        assert inspect(engine).get_foreign_keys("orders")[0]["referred_table"] == "users"
        print("fine")
        """
}
