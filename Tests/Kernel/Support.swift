import KernelHosting
import KernelStorage
import KernelStructures
import KernelWire
import KernelWorld
import TestSupport
import Testing

/// One end of a connection that writes down what it hears.
final class Recorder: StreamHandler {
    private(set) var stream: Stream!
    /// `opened`, `received 5`, `ended`, `drained`, `closed reset`, in order; neighbouring receptions are joined.
    private(set) var events: [String] = []
    private(set) var bytes: [UInt8] = []
    /// Lab time of each event, with the same index.
    private(set) var times: [LabTime] = []
    /// What is done when the peer's end arrives; a kernel-tests peer stays half open unless told otherwise.
    var closesAtEnd = false
    var onReceived: ((Recorder) -> Void)?
    var onDrained: ((Recorder) -> Void)?

    var text: String { String(decoding: bytes, as: UTF8.self) }
    var lastEvent: String? { events.last }

    private func note(_ event: String, _ stream: Stream) {
        events.append(event)
        times.append(stream.node.world.now)
    }

    func attach(_ stream: Stream) { self.stream = stream }

    func streamOpened(_ stream: Stream) {
        self.stream = stream
        note("opened", stream)
    }

    func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
        self.bytes.append(contentsOf: bytes)
        if events.last == "received" {
            times[times.count - 1] = stream.node.world.now
        } else {
            note("received", stream)
        }
        onReceived?(self)
    }

    func streamEnded(_ stream: Stream) {
        note("ended", stream)
        if closesAtEnd { stream.close() }
    }

    func streamDrained(_ stream: Stream) {
        note("drained", stream)
        onDrained?(self)
    }

    func stream(_ stream: Stream, closed reason: CloseReason) { note("closed \(reason.rawValue)", stream) }
}

/// Accepts connections and keeps a recorder for each.
final class Acceptor {
    private(set) var accepted: [Recorder] = []
    private(set) var listener: Listener!
    var prepare: ((Recorder) -> Void)?

    init(_ node: Node, port: UInt16 = 80) throws {
        listener = try node.listen(on: port) { [self] stream in
            let recorder = Recorder()
            recorder.attach(stream)
            prepare?(recorder)
            accepted.append(recorder)
            return recorder
        }
    }

    var first: Recorder { accepted[0] }
}

extension Node {
    func dial(_ host: String, _ port: UInt16 = 80) throws -> Recorder {
        let recorder = Recorder()
        recorder.attach(try connect(to: HostPort(host: host, port: port), handler: recorder))
        return recorder
    }
}

/// Two nodes and an open connection from `a` to `b`.
struct Pair {
    let world: World
    let a: Node
    let b: Node
    let acceptor: Acceptor
    let client: Recorder
    var server: Recorder { acceptor.first }

    init(_ world: World = memoryWorld()) throws {
        self.world = world
        a = world.node("a")
        b = world.node("b")
        acceptor = try Acceptor(b)
        client = try a.dial("b")
        world.pass(.milliseconds(1))
    }
}

/// What a reader makes of bytes that come in the given pieces: `GET /x body=…` for each message, then how it ended.
func transcript(
    _ kind: HTTPReader.Kind = .requests, _ bytes: [UInt8], pieces: [Int], limits: HTTPLimits = HTTPLimits(),
    method: HTTPMethod = .get, ends: Bool = false
) -> [String] {
    var reader = HTTPReader(kind, limits: limits)
    reader.requestMethod = method
    var result: [String] = []
    var body: [UInt8] = []
    var start = 0
    for count in pieces + [bytes.count] {
        let end = min(bytes.count, start + count)
        let failed = Array(bytes[start..<end]).withUnsafeBytes { piece -> Bool in
            var position = 0
            var calls = 0
            while true {
                calls += 1
                // Each call takes input or ends a message; more calls than that means that the reader turns in circles.
                if calls > 2 * piece.count + 8 {
                    result.append("LOOP")
                    return true
                }
                let before = position
                let event = reader.next(piece, &position)
                if position < before || position > piece.count {
                    result.append("POSITION")
                    return true
                }
                switch event {
                case .needMore:
                    if position != piece.count { result.append("LEFT INPUT") }
                    return false
                case .head:
                    let head = reader.head
                    result.append(
                        kind == .requests ? "\(head.methodText) \(head.target)" : "\(head.status) \(head.reason)")
                    result.append(
                        "fields="
                            + head.fields.map { "\(head.name(of: $0))=\(head.value(of: $0))" }.joined(separator: "|"))
                    result.append("\(head.body) keep=\(head.keepsAlive)")
                    body = []
                case .body(let range):
                    if range.isEmpty || range.lowerBound < before || range.upperBound > position {
                        result.append("RANGE")
                    }
                    body += piece[range]
                case .end:
                    if !reader.trailers.isEmpty {
                        result.append("trailers=\(String(decoding: reader.trailers, as: UTF8.self))")
                    }
                    result.append("body=\(String(decoding: body, as: UTF8.self))")
                case .failed(let error):
                    result.append("failed \(error)")
                    return true
                }
            }
        }
        if failed { return result }
        start = end
        if start == bytes.count { break }
    }
    if ends {
        switch reader.inputEnded() {
        case .end: result.append("body=\(String(decoding: body, as: UTF8.self)) at the end")
        case .needMore: result.append("nothing cut")
        case .failed(let error): result.append("failed \(error)")
        default: result.append("?")
        }
    }
    return result
}

func transcript(_ text: String, kind: HTTPReader.Kind = .requests, limits: HTTPLimits = HTTPLimits()) -> [String] {
    transcript(kind, Array(text.utf8), pieces: [], limits: limits)
}
