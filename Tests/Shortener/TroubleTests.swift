import KernelJSON
import KernelService
import KernelStorage
import KernelStructures
import KernelWire
import KernelWorld
import ShortenerService
import TestSupport
import Testing

@Suite("The shortener in trouble")
struct TroubleTests {
    // @covers URL-C3
    @Test("after a sync that failed nothing is acknowledged, and the node ends")
    func failedSync() throws {
        let lab = try ShortenerLab()
        let node = try #require(lab.world.nodes["urls"])
        lab.host.runtime.onFailure = { node.end(.exited) }
        lab.world.inject(.disk(.failSync(count: 1)), to: "urls")
        var acknowledged: [String] = []
        for index in 0..<20 where node.isAlive {
            let body = "{\"url\": \"http://a/\", \"alias\": \"c\(index)\"}"
            if try lab.ask("POST", "/api/shorten", body).status == 201 { acknowledged.append("c\(index)") }
        }
        #expect(acknowledged.isEmpty && !node.isAlive)
        #expect(lab.logged("PANIC") && lab.logged("start again"))
        try lab.begin()
        #expect(try lab.ask("POST", "/api/shorten", #"{"url": "http://a/", "alias": "new"}"#).status == 201)
    }

    @Test("two do not share a directory of clicks, and one that has died leaves it")
    func sharedDirectory() throws {
        let lab = try ShortenerLab()
        func other(_ name: String) throws -> ShortenerHost {
            let settings = ShortenerSettings(
                store: .file(path: "/\(name).db", text: "\(name).db"), clickDirectory: "/clicks")
            return ShortenerHost(node: lab.world.node(name), settings: settings, port: 80)
        }
        let second = try other("second")
        #expect { try second.start() } throws: { "\($0)".contains("--clicks DIR") }
        lab.kill()
        let third = try other("third")
        try third.start()
        lab.world.pass(.milliseconds(100))
    }

    // @covers URL-H3
    @Test("what a full disk has not taken is told, also after a kill")
    func lostClicks() throws {
        let lab = try ShortenerLab()
        let code = try lab.shorten(#"{"url": "http://a/"}"#)
        try lab.ask("GET", "/\(code)")
        lab.world.pass(.seconds(3))
        let fault = lab.world.inject(.disk(.full), to: "urls")
        for _ in 0..<5 { #expect(try lab.ask("GET", "/\(code)").status == 301) }
        lab.kill()
        lab.world.faults.remove(fault)
        try lab.begin()
        func refused() throws -> [JSONValue?] {
            guard case .array(let lives)? = try lab.ask("GET", "/api/audit").json["lives"] else { return [] }
            return lives.map { $0["refused_by_disk"] }
        }
        #expect(try refused() == [0, 5], "this life, and the one before")
        // Where there is room again, it is told without a kill, too; and never twice.
        let other = lab.world.inject(.disk(.full), to: "urls")
        for _ in 0..<3 { try lab.ask("GET", "/\(code)") }
        lab.world.faults.remove(other)
        lab.world.pass(.seconds(4))
        #expect(try refused() == [3, 5])
        lab.kill()
        try lab.begin()
        #expect(try refused() == [0, 3, 5])
    }

    @Test("a database that is away is said at once, once it is known")
    func awayAtTheStart() throws {
        let lab = try ShortenerLab { $0.store = .postgres(try! PostgresURL("postgres://nowhere/x"), text: "x") }
        lab.world.pass(.seconds(3))
        for target in ["/a", "/api/links", "/a/track"] {
            let answer = try lab.ask("GET", target)
            #expect(answer.status == 503 && answer.retryAfter == 1, "\(target): \(answer.status) \(answer.body)")
        }
    }

    @Test("who comes before the database waits a while, and not for ever")
    func waiting() throws {
        let lab = try ShortenerLab { $0.store = .postgres(try! PostgresURL("postgres://nowhere/x"), text: "x") }
        let client = try RawClient(lab.world.node("early"), "urls", 80)
        client.write("GET /a HTTP/1.1\r\nHost: s\r\n\r\n")
        lab.world.pass(.milliseconds(100))
        #expect(client.answers.isEmpty)
        lab.world.pass(.seconds(3))
        #expect(client.answers.first?.status == 503)
    }

    @Test(
        "no link leads back to here, however the address is spelled",
        arguments: [
            "http://s.io/x", "http://s.io./x", "http://S.IO:80/", "http://localhost/x", "http://localhost./",
            "http://a.localhost/", "http://127.0.0.1/", "http://0x7f000001/", "http://2130706433/", "http://[::1]/",
            "http://0.0.0.0/", "http://[::]/", "http://[::ffff:127.0.0.1]/", "http://urls/x",
        ])
    func loops(_ address: String) throws {
        let lab = try ShortenerLab()
        let answer = try lab.ask("POST", "/api/shorten", "{\"url\": \"\(address)\"}")
        #expect(answer.status == 422, "\(answer.status) \(answer.body)")
    }

    @Test("other ports and other nodes are elsewhere")
    func noLoops() throws {
        let lab = try ShortenerLab()
        _ = lab.world.node("visitor")
        for address in ["http://localhost:81/", "http://visitor/", "http://127.0.0.1:8080/x"] {
            #expect(try lab.ask("POST", "/api/shorten", "{\"url\": \"\(address)\"}").status == 201, "\(address)")
        }
    }

    @Test("requests that nobody meant to send, or to be read like this, are refused")
    func odd() throws {
        let lab = try ShortenerLab()
        let body = #"{"url": "http://a/"}"#
        for host in ["", "a b", "/", "a@b", "a?b", "[::1", ":80"] {
            #expect(try lab.ask("POST", "/api/shorten", body, host: host).status == 400, "Host: \(host)")
        }
        let gzip = "Content-Encoding: gzip\r\n"
        #expect(try lab.ask("POST", "/api/shorten", body, fields: gzip).status == 415)
        #expect(try lab.ask("POST", "/api/import", body, fields: gzip).status == 415)
        let evil = "Origin: https://evil.example\r\nContent-Type: text/plain\r\n"
        #expect(try lab.ask("POST", "/api/shorten", body, fields: evil).status == 403)
        #expect(try lab.ask("GET", "/api/links", fields: evil).status == 200)
        #expect(try lab.ask("POST", "/api/shorten", body, fields: "Origin: http://s.io\r\n").status == 201)
        #expect(try lab.ask("GET", "/api/links/none/history").status == 404)
        let long = try lab.ask("POST", "/api/shorten", #"{"url": "http://a/", "expires_in": 9999999999}"#)
        #expect(long.status == 400 && long.body.contains("3162240000"), "\(long.body)")
        let late = try lab.ask("POST", "/api/shorten", #"{"url": "http://a/", "expires_at": "9999-01-01T00:00:00Z"}"#)
        #expect(late.status == 400 && late.body.contains("2262"), "\(late.body)")
    }

    @Test("a line of an import with what nobody knows, or with nonsense, is refused")
    func imports() throws {
        let lab = try ShortenerLab()
        let lines = [
            #"{"code": "a", "original_url": "http://a/", "clicks": 5, "version": 2}"#,
            #"{"code": "b", "original_url": "http://a/", "clicks": -5}"#,
            #"{"code": "c", "original_url": "http://a/", "clicks": "many"}"#,
            #"{"code": "d", "original_url": "http://a/", "max_vists": 5}"#,
        ]
        let answer = try lab.ask("POST", "/api/import", lines.joined(separator: "\n"))
        #expect(answer.json["imported"] == 1, "\(answer.body)")
        for word in ["clicks", "max_vists"] { #expect(answer.body.contains(word)) }
    }
}
