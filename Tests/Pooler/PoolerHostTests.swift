import KernelStructures
import KernelWire
import KernelWorld
import PoolerEngine
import PoolerService
import TestSupport
import Testing

/// The pooler between clients and a database in memory.
@Suite struct PoolerHostTests {
    private func bind(_ name: String) -> FrontendMessage { .bind(PostgresBind(statement: name)) }
    private let execute = FrontendMessage.execute(portal: "", rowLimit: 0)

    private func parse(_ name: String, _ query: String) -> FrontendMessage {
        .parse(statement: name, query: query, parameterTypes: [])
    }

    // MARK: Whose a server is

    @Test("an error in a batch takes no prepared statement away for good")
    func errorInBatch() throws {
        let lab = try PoolerLab(["max_prepared_statements": "1"])
        let client = try lab.visitor()
        client.say(parse("one", "select 1"), bind("one"), execute, .sync)
        lab.pass()
        #expect(client.news() == ["select 1", "SELECT 1", "Z"])
        client.say(parse("", "selec"), parse("two", "select 2"), bind("two"), execute, .sync)
        lab.pass()
        #expect(client.news() == ["42601 syntax error", "Z"])
        for name in ["one", "two", "one"] {
            client.say(bind(name), execute, .sync)
            lab.pass()
            #expect(client.news() == [name == "one" ? "select 1" : "select 2", "SELECT 1", "Z"])
        }
    }

    /// The head of a CopyData of 36 bytes, and two of these.
    private let halfMessage: [UInt8] = [UInt8(ascii: "d"), 0, 0, 0, 40, 1, 2]

    @Test("a server is nobody else's in the middle of a message")
    func halfMessages() throws {
        let lab = try PoolerLab()
        let first = try lab.visitor()
        let second = try lab.visitor()
        first.query("copy")
        lab.pass()
        first.raw.stream.write(FrontendMessage.copyData(Array("bad".utf8)).encoded + halfMessage)
        lab.pass()
        #expect(first.news() == ["22P04 bad data", "Z"])
        #expect(lab.answer(second, "select 2") == [])
        first.raw.stream.write([UInt8](repeating: 3, count: 34))
        lab.pass()
        #expect(second.news() == ["select 2", "SELECT 1", "Z"])
        #expect(lab.answer(first, "select 1") == ["select 1", "SELECT 1", "Z"])
        #expect(lab.database.sessions.count == 1)
    }

    @Test("a server whose client has left in the middle of a message is closed")
    func abandonedMessage() throws {
        let lab = try PoolerLab()
        let first = try lab.visitor()
        let second = try lab.visitor()
        first.query("copy")
        lab.pass()
        first.raw.stream.write(FrontendMessage.copyData(Array("bad".utf8)).encoded + halfMessage)
        lab.pass()
        first.raw.stream.close()
        lab.pass()
        #expect(lab.answer(second, "select 2") == ["select 2", "SELECT 1", "Z"])
        #expect(lab.database.sessions.count == 2)
    }

    @Test("what has no answer takes no server: Flush, and data that comes after its COPY has failed")
    func answerless() throws {
        let lab = try PoolerLab()
        let first = try lab.visitor()
        let second = try lab.visitor()
        first.say(.flush)
        lab.pass()
        #expect(lab.answer(second, "select 2") == ["select 2", "SELECT 1", "Z"])
        first.query("copy")
        lab.pass()
        first.say(.copyData(Array("bad".utf8)))
        lab.pass()
        first.say(.copyData(Array("late".utf8)), .copyDone)
        lab.pass()
        #expect(lab.answer(second, "select 3") == ["select 3", "SELECT 1", "Z"])
        #expect(first.news() == ["22P04 bad data", "Z"])
    }

    @Test("a client that asks for more than the server has answered is held back, and gets all of it")
    func manyRequests() throws {
        let lab = try PoolerLab()
        let client = try lab.visitor()
        let count = Conversation.limit / 2 + 5_000
        var bytes = parse("", "insert").encoded
        for _ in 0..<count {
            bind("").encode(into: &bytes)
            execute.encode(into: &bytes)
        }
        FrontendMessage.sync.encode(into: &bytes)
        client.raw.stream.write(bytes)
        lab.world.pass(.seconds(1))
        let news = client.news()
        #expect(news.count == 2 * count + 1 && news.last == "Z")
        #expect(lab.answer(client, "select 1") == ["select 1", "SELECT 1", "Z"])
    }

    @Test("of somebody who waits it is told what they wait to ask, and not what they asked last")
    func waitingStatement() throws {
        let lab = try PoolerLab(["max_prepared_statements": "1"])
        let first = try lab.visitor()
        let second = try lab.visitor()
        let third = try lab.visitor()
        second.say(parse("one", "select 1"), bind("one"), execute, .sync)
        lab.pass()
        #expect(lab.answer(second, "COMMIT") == ["select 1", "SELECT 1", "Z", "COMMIT", "SELECT 1", "Z"])
        var waiting: [String] { lab.host.holders.filter { $0.state == "waiting" }.map(\.statement) }
        #expect(lab.answer(first, "BEGIN") == ["BEGIN", "SELECT 1", "Z"])
        second.query("BEGIN")
        lab.pass()
        #expect(waiting == ["BEGIN"])
        #expect(lab.answer(first, "COMMIT") == ["COMMIT", "SELECT 1", "Z"])
        #expect(lab.answer(second, "COMMIT") == ["BEGIN", "SELECT 1", "Z", "COMMIT", "SELECT 1", "Z"])
        #expect(lab.answer(first, "BEGIN") == ["BEGIN", "SELECT 1", "Z"])
        second.say(bind("one"), execute, .sync)
        lab.pass()
        #expect(waiting == ["select 1"])
        third.say(parse("", "select 3"), bind(""), execute, .sync)
        lab.pass()
        #expect(waiting == ["select 1", "select 3"], "the one that has waited longest comes first")
    }

    @Test("whoever leaves while it waits gives up its place; what it still sends while it waits is kept, in order")
    func leftWaiting() throws {
        let lab = try PoolerLab()
        let first = try lab.visitor()
        let second = try lab.visitor()
        let third = try lab.visitor()
        #expect(lab.answer(first, "BEGIN") == ["BEGIN", "SELECT 1", "Z"])
        second.query("insert")
        lab.pass()
        third.query("select 3")
        lab.pass()
        let long = String(repeating: "x", count: 20_000)
        for text in ["select 4", long, "select 5"] {
            third.query(text)
            lab.pass()
        }
        second.raw.stream.close()
        lab.pass()
        #expect(lab.host.holders.count { $0.state == "waiting" } == 1)
        #expect(lab.answer(first, "COMMIT") == ["COMMIT", "SELECT 1", "Z"])
        #expect(
            third.news() == ["select 3", "select 4", long, "select 5"].flatMap { [$0, "SELECT 1", "Z"] })
        #expect(!lab.database.queries.contains("insert"))
    }

    // MARK: While logins fail

    @Test("while logins fail and no server is left, the first one waits, and the others are sent away at once")
    func failingLogins() throws {
        let lab = try PoolerLab()
        let first = try lab.visitor()
        let second = try lab.visitor()
        #expect(lab.answer(first, "select 1") == ["select 1", "SELECT 1", "Z"])
        lab.world.nodes["db"]?.end(.killed)
        lab.world.pass(.seconds(1))
        #expect(lab.answer(first, "select 2").isEmpty, "nobody knows yet")
        lab.world.pass(.seconds(1))
        let refusal = "08P01 server login has been failing, try again later (server_login_retry)"
        #expect(lab.answer(second, "select 3") == [refusal])
        let third = try lab.visitor()
        #expect(lab.answer(third, "select 4") == [refusal], "it is greeted all the same")
        #expect(lab.host.holders.map(\.state) == ["waiting"])
        let again = try EchoDatabase(lab.world.node("db"))
        lab.world.pass(.seconds(11))
        #expect(first.news() == ["select 2", "SELECT 1", "Z"])
        #expect(lab.answer(try lab.visitor(), "select 5") == ["select 5", "SELECT 1", "Z"])
        #expect(again.queries == ["select 2", "select 5"])
    }

    @Test("where all clients are sent away, the pooler itself notices that the database is back")
    func lookout() throws {
        let lab = try PoolerLab()
        let first = try lab.visitor()
        let second = try lab.visitor()
        lab.world.nodes["db"]?.end(.killed)
        lab.world.pass(.seconds(1))
        #expect(lab.answer(first, "select 1").isEmpty)
        lab.world.pass(.seconds(1))
        #expect(lab.answer(second, "select 2").count == 1)
        first.raw.stream.close()
        lab.world.pass(.seconds(30))
        #expect(lab.host.holders.isEmpty, "who looks out is no client")
        let again = try EchoDatabase(lab.world.node("db"))
        lab.world.pass(.seconds(11))
        #expect(lab.answer(try lab.visitor(), "select 3") == ["select 3", "SELECT 1", "Z"])
        #expect(again.queries == ["select 3"])
    }

    // MARK: Settings

    @Test("settings that the server refuses end their client before anything is done for it")
    func wrongSettings() throws {
        let lab = try PoolerLab()
        let lost = try lab.visitor("urls", ["TimeZone": "Nowhere/XX"])
        #expect(lab.answer(lost, "select 1") == ["08P01 invalid server parameter"])
        guard case .errorResponse(let error)? = lost.heard.last else {
            Issue.record("no error")
            return
        }
        #expect(error.severity == .fatal && error.detail?.contains("Nowhere/XX") == true)
        #expect(!lab.database.queries.contains("select 1"))
        let there = try lab.visitor("urls", ["TimeZone": "Europe/Berlin"])
        #expect(lab.answer(there, "select 2") == ["select 2", "SELECT 1", "Z"])
        let here = try lab.visitor()
        #expect(lab.answer(here, "select 3") == ["select 3", "SELECT 1", "Z"])
        #expect(
            lab.database.queries.suffix(4) == [
                "SET TimeZone='Europe/Berlin'", "select 2", "SET TimeZone='UTC'", "select 3",
            ])
    }

    // MARK: Time

    @Test("client_idle_timeout counts from when a client was let in, or had its last answer")
    func idleClients() throws {
        let lab = try PoolerLab(["client_idle_timeout": "5"])
        lab.world.pass(.seconds(100))
        let client = try lab.visitor()
        lab.world.pass(.seconds(4))
        #expect(lab.answer(client, "select 1") == ["select 1", "SELECT 1", "Z"])
        lab.world.pass(.seconds(4))
        #expect(client.news() == [])
        lab.world.pass(.seconds(3))
        #expect(client.news() == ["08P01 client_idle_timeout"])
    }

    @Test("idle_transaction_timeout counts from the last answer")
    func idleTransactions() throws {
        let lab = try PoolerLab(["idle_transaction_timeout": "3"])
        let client = try lab.visitor()
        #expect(lab.answer(client, "BEGIN") == ["BEGIN", "SELECT 1", "Z"])
        client.query("slow")
        lab.world.pass(.seconds(4))
        lab.database.answerSlow()
        lab.world.pass(.milliseconds(1500))
        #expect(client.news() == ["slow", "SELECT 1", "Z"])
        lab.world.pass(.seconds(3))
        #expect(client.news() == ["25P03 idle_transaction_timeout"])
    }

    @Test("a server_lifetime of 0 is one use", arguments: [("0", 3), ("3600", 1)])
    func lifetime(setting: String, sessions: Int) throws {
        let lab = try PoolerLab(["server_lifetime": setting])
        let client = try lab.visitor()
        for text in ["a", "b", "c"] { #expect(lab.answer(client, text) == [text, "SELECT 1", "Z"]) }
        #expect(lab.database.sessions.count == sessions)
    }

    // MARK: The console

    @Test("WAIT_CLOSE waits for the servers that were to go, and for no other")
    func waitClose() throws {
        let lab = try PoolerLab(["default_pool_size": "2"])
        let console = try lab.visitor("pgbouncer")
        let first = try lab.visitor()
        let second = try lab.visitor()
        #expect(lab.answer(second, "select 2").last == "Z")
        #expect(lab.answer(console, "wait_close urls") == ["WAIT_CLOSE", "Z"], "nothing was to go")
        #expect(lab.answer(first, "BEGIN").last == "Z")
        #expect(lab.answer(console, "reconnect urls") == ["RECONNECT", "Z"])
        #expect(lab.answer(console, "wait_close urls") == [])
        #expect(lab.answer(second, "select 3").last == "Z", "another server is there")
        lab.world.pass(.seconds(2))
        #expect(console.news() == [])
        #expect(lab.answer(first, "COMMIT").last == "Z")
        lab.world.pass(.seconds(2))
        #expect(console.news() == ["WAIT_CLOSE", "Z"])
        #expect(lab.answer(console, "reconnect nosuch") == ["3D000 no such database: nosuch", "Z"])
        #expect(lab.answer(console, "wait_close nosuch") == ["3D000 no such database: nosuch", "Z"])
    }

    @Test("the console lists itself, and what all databases have done together")
    func tables() throws {
        let lab = try PoolerLab()
        let console = try lab.visitor("pgbouncer")
        let client = try lab.visitor()
        #expect(lab.answer(client, "select 1").last == "Z")
        let pools = lab.answer(console, "show pools")
        #expect(pools.first == "pgbouncer pgbouncer 1 0 0 0 0 0 0 0 0 0 0 0 0 statement")
        #expect(pools.count == 4 && pools[1].hasPrefix("urls app 1 0 "))
        #expect(
            lab.answer(console, "show databases").first
                == "pgbouncer  6432 pgbouncer pgbouncer 2 0 0 statement 0 0 0 0")
        let totals = lab.answer(console, "show stats_totals")
        #expect(totals.count == 4 && totals[0].hasPrefix("pgbouncer 3 3 ") && totals[1].hasPrefix("urls 1 1 "))
        let sums = lab.answer(console, "show totals")
        #expect(sums.count == 16 && sums.prefix(2) == ["total_xact_count 5", "total_query_count 5"])
        for subject in ["fds", "dns_hosts", "dns_zones"] {
            #expect(lab.answer(console, "show \(subject)") == ["SHOW", "Z"])
        }
    }
}
