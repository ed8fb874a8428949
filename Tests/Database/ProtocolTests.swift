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
        listener.ask("listen a; begin")
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
