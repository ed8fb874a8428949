import Glibc
import KernelLoopback
import KernelStructures
import KernelWorld
import TestSupport
import Testing

/// A node that listens at a path answers whoever opens it.
private final class Greeter: StreamHandler {
    func streamOpened(_ stream: Stream) {
        stream.write("hello")
        stream.close()
    }
    func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {}
}

@Suite("Unix sockets", .serialized)
struct UnixSocketTests {
    private let directory: String
    private let world: World

    init() throws {
        var template = Array("/tmp/sdlab-unix-XXXXXX".utf8CString)
        directory = String(cString: mkdtemp(&template))
        let poller = try Poller()
        let transport = try SocketTransport(poller: poller, place: .lab(exposesLocalhost: false))
        world = World(WorldConfiguration(transport: transport, eventSource: poller))
    }

    private var path: String { directory + "/s" }

    private func end() {
        world.shutDown()
        unlink(path)
        rmdir(directory)
    }

    private func mode(_ path: String) -> mode_t? {
        var information = stat()
        return lstat(path, &information) == 0 ? information.st_mode : nil
    }

    private func address(_ path: String) -> sockaddr_un {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        return address
    }

    private func call(_ function: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32, _ descriptor: Int32) -> Int32 {
        var address = address(path)
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                function(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }

    private func listen(_ node: Node) throws -> Listener { try node.listen(atPath: path) { _ in Greeter() } }

    @Test("a program of the machine is served; only its owner may; the name is gone with the listener")
    func serves() throws {
        defer { end() }
        let node = world.node("n")
        let listener = try listen(node)
        #expect(mode(path).map { $0 & 0o777 } == 0o600 && mode(path).map { $0 & S_IFMT } == S_IFSOCK)
        let client = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(client) }
        #expect(call(connect, client) == 0)
        let text = greeting(client)
        #expect(text == "hello" && node.listeners.isEmpty)
        listener.close()
        #expect(mode(path) == nil)
        _ = try listen(node)
        node.end(.killed)
        #expect(mode(path) == nil)
    }

    /// What a client hears, while the world runs in between.
    private func greeting(_ client: Int32) -> String {
        var text = ""
        var buffer = [UInt8](repeating: 0, count: 100)
        for _ in 0..<1000 where text.utf8.count < 5 {
            _ = world.eventSource?.poll(timeoutNanoseconds: 10_000_000)
            world.pass(.milliseconds(1))
            let count = recv(client, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            if count > 0 { text += String(decoding: buffer[..<count], as: UTF8.self) }
        }
        return text
    }

    @Test("what is left of a server that died is removed; one that lives is not, nor anything that is no socket")
    func leftovers() throws {
        defer { end() }
        let node = world.node("n")
        let other = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        #expect(call(bind, other) == 0 && Glibc.listen(other, 1) == 0)
        #expect(throws: NetworkError.system("\(path) is in use")) { try listen(node) }
        #expect(mode(path) != nil)
        close(other)
        #expect(mode(path) != nil)
        let listener = try listen(node)
        #expect(throws: NetworkError.system("\(path) is in use")) { try listen(world.node("m")) }
        // Somebody else's file of that name is not taken away.
        unlink(path)
        close(open(path, O_CREAT | O_WRONLY, 0o600))
        listener.close()
        #expect(mode(path).map { $0 & S_IFMT } == S_IFREG)
        #expect(throws: NetworkError.system("\(path) exists, and is no socket")) { try listen(node) }
    }

    @Test("paths that cannot be are refused, and in memory there are none")
    func refused() throws {
        defer { end() }
        let node = world.node("n")
        for path in [directory + "/" + String(repeating: "x", count: 108), "", directory + "/none/s", "a\0b"] {
            #expect(throws: NetworkError.self) { try node.listen(atPath: path) { _ in Greeter() } }
        }
        let longest = directory + "/" + String(repeating: "x", count: 106 - directory.utf8.count)
        try node.listen(atPath: longest) { _ in Greeter() }.close()
        let memory = World(WorldConfiguration(transport: MemoryTransport()))
        defer { memory.shutDown() }
        #expect(throws: NetworkError.self) { try listen(memory.node("n")) }
    }
}
