import KernelService
import KernelWorld
import LockEngine
import LockService
import TestSupport
import Testing

@Suite("Lock")
struct LockTests {
    @Test("visits are counted")
    func visits() {
        var engine = Lock()
        let settings = Lock.Settings()
        #expect((1...3).map { _ in engine.visit(settings) } == (1...3).map { "hello, visitor \($0)" })
    }

    @Test("what is wrong with a configuration is said with its place")
    func configuration() throws {
        #expect(try Lock.Settings(yaml: Array("greeting: hi".utf8), file: "x.yaml").greeting == "hi")
        do {
            _ = try Lock.Settings(yaml: Array("greting: hi".utf8), file: "x.yaml")
            Issue.record("a key that there is not was read")
        } catch {
            #expect(error.description.hasPrefix("x.yaml:1:1: unknown key 'greting'"))
        }
    }

    @Test("it answers over HTTP")
    func service() throws {
        let world = memoryWorld()
        let host = LockHost(node: world.node("lock"), source: .init(fixed: .init()), port: 7734)
        try host.start()
        let client = try RawClient(world.node("client-1"), "lock", 7734)
        client.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        world.pass(.seconds(1))
        #expect(client.bodies == ["hello, visitor 1\n"])
        world.shutDown()
    }
}
