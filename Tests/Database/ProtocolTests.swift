import DatabaseEngine
import KernelStructures
import KernelWire
import Testing

/// Messages one by one: which are answered by what, and what a client may count on after an error.
@Suite struct ProtocolTests {
    @Test("a message that cannot be read is answered so that the client may go on", arguments: ["Q", "S", "F", "P"] as [Character])
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
