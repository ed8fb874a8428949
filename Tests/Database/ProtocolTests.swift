import DatabaseEngine
import KernelStructures
import KernelWire
import Testing

/// Messages one by one: which are answered by what, and what a client may count on after an error.
@Suite struct ProtocolTests {
    @Test(
        "a message that cannot be read is answered so that the client may go on",
        arguments: ["Q", "S", "F", "P"] as [Character])
    func invalidMessages(letter: Character) throws {
        let bench = try SessionBench()
        let client = bench.client()
        _ = client.hear()
        let error = PostgresError(.characterNotInRepertoire, "invalid byte sequence for encoding \"UTF8\"")
        client.session.receive(invalid: error, letter: letter.asciiValue ?? 0, now: bench.now)
        client.goOn()
        #expect(client.answers() == (letter == "P" ? ["22021"] : ["22021", "I"]))
        if letter == "P" {
            #expect(client.ask("select 1") == [], "up to the Sync all is passed over")
            client.send(.sync)
            #expect(client.answers() == ["I"])
        }
        #expect(client.ask("select 1") == ["1", "SELECT 1", "I"])
    }

    @Test func notificationsOfASessionThatDoesNotListenOnAreBounded() throws {
        let bench = try SessionBench()
        let (listener, writer) = (bench.client(), bench.client())
        // Not in one message: there LISTEN would belong to what BEGIN begins, and count from COMMIT on.
        listener.ask("listen a")
        listener.ask("begin")
        var answers: [String] = []
        for number in 0..<5000 where answers.last != "54000" {
            answers = writer.ask("notify a, '\(number)\(String(repeating: "x", count: 7900))'").dropLast()
        }
        #expect(answers == ["54000"] && listener.session.isIdle == false)
        #expect(writer.ask("select 1") == ["1", "SELECT 1", "I"])
        #expect(listener.ask("commit").count > 1000, "it hears what came in time")
        #expect(writer.ask("notify a, 'b'") == ["NOTIFY", "I"])
    }

    @Test func whoDoesNotReadIsToldNothingUnasked() throws {
        let bench = try SessionBench()
        let (listener, writer) = (bench.client(), bench.client())
        listener.ask("listen a")
        listener.session.isClientBehind = { true }
        writer.ask("notify a, 'b'")
        #expect(listener.session.output.count == 0)
        listener.session.isClientBehind = { false }
        listener.goOn()
        #expect(listener.answers() == ["a: b"])
    }

    @Test func whatIsNoNotificationIsRefused() throws {
        let client = try SessionBench().client()
        #expect(client.ask("select pg_notify('a', repeat('x', 8000))") == ["22023", "I"])
        #expect(client.ask("select pg_notify('a', repeat('x', 7999))") == ["", "SELECT 1", "I"])
        #expect(client.ask("select pg_notify('', 'x')") == ["22023", "I"])
        #expect(client.ask("select pg_notify(null, 'x')") == ["22023", "I"])
    }

    @Test func executeTakesValuesAndConvertsThem() throws {
        let client = try SessionBench().client()
        #expect(client.ask("prepare p(int, text) as select $1 + 1, $2") == ["PREPARE", "I"])
        #expect(client.ask("execute p(1, 'a')") == ["2|a", "SELECT 1", "I"])
        #expect(client.ask("execute p('41', null)") == ["42|NULL", "SELECT 1", "I"])
        #expect(client.ask("execute p(1.5, current_date)").first?.hasPrefix("3|20") == true, "as an assignment rounds")
        #expect(client.ask("execute p(1)") == ["42601", "I"])
        #expect(client.ask("execute p(1, 'a', 2)") == ["42601", "I"])
        #expect(client.ask("execute p('x', 'a')") == ["22P02", "I"])
        client.ask("create table t(a int); prepare q(int) as insert into t values ($1)")
        #expect(client.ask("execute q(7); select a from t") == ["INSERT 0 1", "7", "SELECT 1", "I"])
    }

    @Test func anExecuteHasTheColumnsOfItsStatement() throws {
        let client = try SessionBench().client()
        client.ask("prepare p(int) as select $1 + 1 as sum")
        client.send(.parse(statement: "", query: "execute p(1)", parameterTypes: []))
        client.send(.bind(PostgresBind(portal: "", statement: "")))
        client.send(.describe(.portal("")))
        client.send(.execute(portal: "", rowLimit: 0))
        client.send(.sync)
        var (names, rows): ([[String]], [[String?]]) = ([], [])
        for message in client.hear() {
            if case .rowDescription(let columns) = message { names.append(columns.map(\.name)) }
            if case .dataRow(let row) = message { rows.append(row.texts) }
        }
        #expect(names == [["sum"]])
        #expect(rows == [["2"]])
    }

    @Test func rowsMayBeCopiedByTheExtendedProtocol() throws {
        let client = try SessionBench().client()
        client.ask("create table t(a int, b text)")
        client.send(.parse(statement: "", query: "copy t from stdin", parameterTypes: []))
        client.send(.bind(PostgresBind(portal: "", statement: "")))
        client.send(.execute(portal: "", rowLimit: 0))
        client.send(.sync)
        client.send(.copyData(Array("1\tx\n2\t\\N\n".utf8)))
        client.send(.copyDone)
        client.send(.sync)
        #expect(client.answers() == ["COPY 2", "I"])
        #expect(client.ask("select * from t") == ["1|x", "2|NULL", "SELECT 2", "I"])
    }

    @Test func aQueryOfManyStatementsLetsOthersHaveTheirTurn() throws {
        let bench = try SessionBench()
        let (client, other) = (bench.client(), bench.client())
        let begun = client.ask(String(repeating: "select 1;", count: 1000))
        #expect(begun.count < 1000 && client.session.wait == .turn && !client.session.acceptsMessages)
        #expect(other.ask("select 2") == ["2", "SELECT 1", "I"])
        for _ in 0..<10 { client.goOn() }
        let rest = client.answers()
        #expect(begun.count + rest.count == 2001 && rest.last == "I")
        // Between two of its statements it can be canceled.
        _ = client.ask(String(repeating: "select 1;", count: 1000))
        bench.cluster.cancel(client.session.key)
        client.goOn()
        #expect(client.answers() == ["57014", "I"])
    }

    @Test func statementsMayBeLong() throws {
        let client = try SessionBench().client()
        client.ask("create table t(a int, b int, c int, d text, e text)")
        let padding = String(repeating: "y", count: 40)
        let rows = (0..<20_000).map { "(\($0), \($0 + 100_000), \($0 + 200_000), 'x\($0)', '\(padding)')" }
        #expect(client.askAtLength("insert into t values \(rows.joined(separator: ","))") == ["INSERT 0 20000", "I"])
        let sums = "select count(*), sum(a), sum(c), count(distinct d) from t"
        #expect(client.askAtLength(sums) == ["20000|199990000|4199990000|20000", "SELECT 1", "I"])
        let numbers = (0..<200_000).map { String($0) }.joined(separator: ",")
        #expect(client.askAtLength("select count(*) from t where b in (\(numbers))") == ["20000", "SELECT 1", "I"])
    }

    @Test func aQueryMessageHasNoParameters() throws {
        let client = try SessionBench().client()
        #expect(client.ask("select $1") == ["42P02", "I"])
        client.send(.parse(statement: "", query: "select $1::int", parameterTypes: []))
        client.send(.sync)
        #expect(client.ask("select $1::int") == ["42P02", "I"], "nor has one with a plan that is known")
        client.send(.parse(statement: "", query: "select $1", parameterTypes: [99_999]))
        client.send(.sync)
        #expect(client.answers() == ["42704", "I"])
        #expect(client.ask("set extra_float_digits = 0") == ["22023", "I"])
        #expect(client.ask("set extra_float_digits = 3") == ["SET", "I"])
    }

    @Test func eachExecuteCountsItsOwnRows() throws {
        let client = try SessionBench().client()
        _ = client.hear()
        client.send(.parse(statement: "", query: "select g from generate_series(1, 3) g", parameterTypes: []))
        client.send(.bind(PostgresBind(portal: "", statement: "")))
        client.send(.execute(portal: "", rowLimit: 2))
        client.send(.execute(portal: "", rowLimit: 2))
        client.send(.execute(portal: "", rowLimit: 2))
        client.send(.sync)
        #expect(client.answers() == ["1", "2", "3", "SELECT 1", "SELECT 0", "I"])
    }

    @Test func aRowIsText() throws {
        let client = try SessionBench().client()
        _ = client.hear()
        let cases: [(PostgresFormat, [String])] = [(.binary, ["0A000", "I"]), (.text, ["(1,a)", "SELECT 1", "I"])]
        for (format, answers) in cases {
            client.send(.parse(statement: "", query: "select row(1, 'a')", parameterTypes: []))
            client.send(.bind(PostgresBind(portal: "", statement: "", resultFormats: [format])))
            client.send(.execute(portal: "", rowLimit: 0))
            client.send(.sync)
            #expect(client.answers() == answers)
        }
    }

    @Test func aTerminateIsTheEndWhateverItHolds() throws {
        let bench = try SessionBench()
        let client = bench.client()
        client.session.receive(
            invalid: PostgresError(.protocolViolation, "invalid message format"), letter: UInt8(ascii: "X"),
            now: bench.now)
        #expect(client.session.phase == .ended && bench.cluster.sessionCount == 0)
    }

    @Test func aCopyThatCannotBeReadHasFailed() throws {
        let bench = try SessionBench()
        let client = bench.client()
        client.ask("create table t(a text)")
        #expect(client.ask("copy t from stdin") == [])
        client.session.receive(
            invalid: PostgresError(.characterNotInRepertoire, "invalid byte sequence"), letter: UInt8(ascii: "f"),
            now: bench.now)
        client.goOn()
        #expect(client.answers() == ["22021", "I"])
        #expect(client.ask("select 1") == ["1", "SELECT 1", "I"])
    }
}
