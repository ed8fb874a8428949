import CacheEngine
import KernelHosting
import KernelStructures
import KernelWorld

/// memcached's protocol on a port of its own: other clients of the same keys.
final class MemcachedServer {
    private(set) var server: StreamServer!
    let memcached: Memcached

    init(_ host: CacheNode) {
        memcached = Memcached(host.cache)
        server = StreamServer(node: host.node, clientProtocol: "memcached's protocol") {
            [unowned self, unowned host] stream, _, _ in
            MemcachedConnection(stream, host, memcached) { [unowned self] in server.ended(stream) }
        }
    }
}

/// One client. What one turn of the loop brings is carried out, and the answers leave together; a client that does not
/// take them is not read from any more.
private final class MemcachedConnection: StreamHandler {
    private let stream: Stream
    private unowned let host: CacheNode
    private let memcached: Memcached
    private var onEnd: (() -> Void)?
    private var reader = MemcachedReader()
    /// What has come and could not be carried out yet.
    private var ahead = ByteQueue()

    init(_ stream: Stream, _ host: CacheNode, _ memcached: Memcached, onEnd: @escaping () -> Void) {
        self.stream = stream
        self.host = host
        self.memcached = memcached
        self.onEnd = onEnd
        reader.valueByteLimit = host.settings.memcachedValueByteLimit
    }

    func streamOpened(_ stream: Stream) {}

    func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
        if ahead.isEmpty {
            process(bytes)
        } else {
            ahead.append(bytes)
            stream.pauseReading()
        }
    }

    func streamDrained(_ stream: Stream) {
        while !stream.isCongested, !ahead.isEmpty, onEnd != nil {
            var waiting = ByteQueue()
            swap(&waiting, &ahead)
            waiting.withUnsafeBytes { process($0) }
        }
        if ahead.isEmpty { stream.resumeReading() }
    }

    func streamEnded(_ stream: Stream) { end() }
    func stream(_ stream: Stream, closed reason: CloseReason) { ended() }
    func streamLost(_ stream: Stream) { onEnd = nil }

    private func process(_ bytes: UnsafeRawBufferPointer) {
        var position = 0
        var reply: [UInt8] = []
        host.cache.now = host.nowMilliseconds
        reading: while true {
            if stream.isCongested || reply.count > 1 << 20 {
                ahead.append(UnsafeRawBufferPointer(rebasing: bytes[position...]))
                stream.pauseReading()
                break
            }
            switch reader.next(bytes, &position) {
            case .needMore: break reading
            case .request(let request):
                if memcached.perform(request, into: &reply) == .close {
                    stream.write(reply)
                    return end()
                }
                host.afterCommand()
            case .refused(let text): reply += Array("\(text)\r\n".utf8)
            case .failed(let text):
                stream.write(reply + Array("\(text)\r\n".utf8))
                return end()
            }
        }
        if !reply.isEmpty { stream.write(reply) }
        host.server.noteWork()
        // Enough was written at once; the rest follows when the stream has taken it.
        if !ahead.isEmpty, !stream.isCongested { stream.node.enqueue { [self] in streamDrained(stream) } }
    }

    private func end() {
        stream.close()
        ended()
    }

    private func ended() {
        ahead.removeAll()
        let callback = onEnd
        onEnd = nil
        callback?()
    }
}
