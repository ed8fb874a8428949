import KernelStructures
import KernelWorld
import TestSupport
import Testing

@Suite("Faults that speak HTTP")
struct HTTPFaultTests {
    private func statuses(_ farm: Farm, _ count: Int) throws -> String {
        try (0..<count).map { _ -> String in
            let client = try RawClient(farm.client, "localhost", 8081)
            client.write("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            farm.pass(.milliseconds(1))
            return client.statuses == [200] ? "." : client.statuses == [503] ? "x" : "?"
        }.joined()
    }

    private func quiet() throws -> Farm { try Farm(2) }

    @Test(
        "count requests as they were told",
        arguments: [
            ("fail http 503 first 2 on Server-A", "xx......"), ("fail http 503 after 3 on Server-A", "...xxxxx"),
            ("fail http 503 after 2 for 3 on Server-A", "..xxx..."),
            ("fail http 503 after 2 first 3 on Server-A", "..xxx..."), ("fail http 503 on Server-A", "xxxxxxxx"),
            ("fail http 503 first 1 on Server-B", "........"),
        ])
    func counts(_ text: String, _ expected: String) throws {
        let farm = try quiet()
        try farm.inject(text)
        #expect(try statuses(farm, 8) == expected)
    }

    @Test("a rule that has done its work is gone, and the journal says so")
    func exhausted() throws {
        let farm = try quiet()
        try farm.inject("fail http 503 first 2 on Server-A")
        _ = try statuses(farm, 1)
        #expect(farm.world.faults.rules.count == 1)
        _ = try statuses(farm, 1)
        #expect(farm.world.faults.isEmpty)
        let changes = (0..<farm.world.journal.events.count).compactMap { index -> String? in
            if case .fault(_, let change, let text) = farm.world.journal.events[index].body {
                return "\(change.rawValue) \(text)"
            }
            return nil
        }
        #expect(
            changes == ["injected fail http 503 first 2 on Server-A", "exhausted fail http 503 first 2 on Server-A"])
    }

    @Test("pipelined requests are counted one by one and answered in their order")
    func pipelining() throws {
        let farm = try quiet()
        try farm.inject("fail http 503 after 1 for 2 on Server-A")
        let client = try RawClient(farm.client, "localhost", 8081)
        let get = "GET /delay/10ms HTTP/1.1\r\nHost: h\r\n\r\n"
        client.write(get + get + "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
        farm.pass(.seconds(1))
        let lines = client.text.split(separator: "\r\n").filter { $0.hasPrefix("HTTP/1.1") || $0.contains("HTTP/1.1 ") }
        #expect(lines.count == 3 && client.statuses.prefix(2) == [200, 503])
        let later = try RawClient(farm.client, "localhost", 8081)
        later.write(get + get)
        farm.pass(.seconds(1))
        #expect(later.statuses == [200, 200])
    }

    @Test("act at once on an open connection, but never in the middle of a message")
    func openConnections() throws {
        let farm = try quiet()
        let client = try RawClient(farm.client, "localhost", 8081)
        client.write("GET /delay/100ms HTTP/1.1\r\nHost: h\r\n\r\n")
        farm.pass(.milliseconds(50))
        try farm.inject("fail http 503 first 1 on Server-A")
        farm.pass(.milliseconds(100))
        #expect(client.statuses == [200], "what was under way is left alone")
        client.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        farm.pass(.milliseconds(10))
        client.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        farm.pass(.milliseconds(10))
        #expect(client.statuses == [200, 503, 200])
    }

    @Test("swallow the body of a failed request, in whatever pieces it comes")
    func bodies() throws {
        let farm = try quiet()
        try farm.inject("fail http 503 first 1 on Server-A")
        let client = try RawClient(farm.client, "localhost", 8081)
        for piece in [
            "POS", "T /echo HTTP/1.1\r\nHost: h\r\nContent-Le", "ngth: 10\r\n\r\nhel", "lo", "world",
            "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nnext",
        ] {
            client.write(piece)
            farm.pass(.milliseconds(1))
        }
        #expect(client.statuses == [503, 200] && client.bodies[1].hasSuffix("next"))
    }

    @Test("end with their duration, in the middle of an answer too")
    func durations() throws {
        let farm = try quiet()
        try farm.inject("fail http 503 on Server-A for 1s")
        #expect(try statuses(farm, 2) == "xx")
        let client = try RawClient(farm.client, "localhost", 8081)
        client.write("GET / HTTP/1.1\r\nHo")
        farm.pass(.seconds(2))
        client.write("st: h\r\n\r\n")
        farm.pass(.milliseconds(1))
        #expect(farm.world.faults.isEmpty && client.statuses == [200])
        #expect(try statuses(farm, 2) == "..")
    }
}
