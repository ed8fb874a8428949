import KernelStructures
import KernelTLS
import KernelWorld
import TestSupport
import Testing

/// One end of a connection that writes down what it hears; neighbouring receptions are joined.
final class End: StreamHandler {
    private(set) var stream: Stream!
    private(set) var events: [String] = []
    private(set) var bytes: [UInt8] = []
    var onOpened: ((Stream) -> Void)?
    var onReceived: ((Stream) -> Void)?

    var text: String { String(decoding: bytes, as: UTF8.self) }
    var failure: TLSFailure? { (stream.layer as? TLSLayer)?.failure }

    func attach(_ stream: Stream) { self.stream = stream }

    func streamOpened(_ stream: Stream) {
        events.append("opened")
        onOpened?(stream)
    }

    func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
        self.bytes.append(contentsOf: bytes)
        if events.last != "received" { events.append("received") }
        onReceived?(stream)
    }

    func streamEnded(_ stream: Stream) { events.append("ended") }
    func streamDrained(_ stream: Stream) { events.append("drained") }
    func stream(_ stream: Stream, closed reason: CloseReason) { events.append("closed \(reason.rawValue)") }
}

/// Keys and certificates that all tests share: a key costs a tenth of a second.
enum Keys {
    static let authority = try! CertificateAuthority.make()
    static let stranger = try! CertificateAuthority.make(name: "somebody else's authority")
    static let key = try! PrivateKey.make()

    static func identity(_ names: String..., by authority: CertificateAuthority = authority) -> TLSIdentity {
        try! authority.issue(names, key: key)
    }
}

/// A client and a server node, and a connection between them that is behind TLS.
final class Connection {
    let world: World
    let server: TLSServer
    let client: TLSClient
    let clientNode: Node
    let serverNode: Node
    private(set) var accepted: [End] = []
    private(set) var near = End()
    var far: End { accepted.last! }

    init(
        _ world: World = memoryWorld(), host: String = "web",
        server change: (inout TLSServerOptions) -> Void = { _ in },
        client changeClient: (inout TLSClientOptions) -> Void = { _ in },
        prepare: @escaping (End) -> Void = { _ in }, begin: (End) -> Void = { _ in }
    ) throws {
        self.world = world
        var serverOptions = TLSServerOptions(identities: [Keys.identity("web")])
        change(&serverOptions)
        server = try TLSServer(serverOptions)
        var clientOptions = TLSClientOptions()
        clientOptions.authorities = [Keys.authority.certificate]
        changeClient(&clientOptions)
        client = try TLSClient(clientOptions)
        serverNode = world.node("web")
        clientNode = world.node("client-1")
        _ = try serverNode.listen(on: 443) { [unowned self] stream in
            let end = End()
            end.attach(stream)
            stream.secure(with: self.server)
            prepare(end)
            accepted.append(end)
            return end
        }
        try dial(host, begin: begin)
    }

    @discardableResult
    func dial(_ host: String = "web", begin: (End) -> Void = { _ in }) throws -> End {
        near = End()
        near.attach(try clientNode.connect(to: HostPort(host: "web", port: 443), handler: near))
        near.stream.secure(with: client, host: host)
        begin(near)
        world.pass(.milliseconds(5))
        return near
    }
}
