import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import RegistryEngine

/// The registry's zone, over datagrams and over connections (RFC 1035 §4.2, RFC 7766).
final class DNSService: DatagramHandler {
    private unowned let host: RegistryHost
    private var socket: DatagramSocket?
    private(set) var server: StreamServer!
    private(set) var queryCount = 0
    private var random: SeededRandom
    private var cache = AnswerCache()
    private var connections: [UInt64: DNSConnection] = [:]

    /// Bytes of the largest datagram that is sent, whatever the client would take: larger ones are cut on their way,
    /// and lost with any of their pieces.
    private static let datagramLimitBytes = 4096

    init(_ host: RegistryHost) {
        self.host = host
        random = host.node.draw { $0.fork("dns") }
        server = StreamServer(node: host.node) { [unowned self] stream, _, early in
            let connection = DNSConnection(self, stream, early: early)
            connections[stream.number] = connection
            return connection
        }
        server.onDrain = { [unowned self] in for connection in connections.values { connection.endIfIdle() } }
    }

    /// A connection is over, whoever ended it.
    fileprivate func ended(_ stream: Stream) {
        connections[stream.number] = nil
        server.ended(stream)
    }

    func open(on port: UInt16) throws(NetworkError) { socket = try host.node.bindDatagrams(on: port, handler: self) }

    func close() { socket?.close() }

    func datagramSocket(_ socket: DatagramSocket, received bytes: UnsafeRawBufferPointer, from remote: Endpoint) {
        if let known = cache.answer(bytes, from: remote.address, random: &random) {
            queryCount += 1
            if let service = known.service { host.seen(service, by: host.name(of: remote), way: "dns") }
            // As in the other case below.
            try? socket.send(known.bytes, to: remote)
            return
        }
        guard let response = answer(bytes, from: remote) else { return }
        let limit = response.limit.map { min($0, Self.datagramLimitBytes) } ?? DNSMessage.plainPayloadBytes
        cache.keep(response.message, limitBytes: limit, to: bytes, from: remote.address, service: response.service)
        // It is no larger than a datagram can be.
        try? socket.send(response.message.bytes(limit: limit), to: remote)
    }

    /// Some of what answers are made of has changed.
    func catalogChanged() { cache.forgetAll() }

    /// - Returns: the answer, how large the client takes it in one datagram, and the service that it is about; nil
    ///   where nobody would understand it.
    func answer(_ bytes: UnsafeRawBufferPointer, from remote: Endpoint)
        -> (message: DNSMessage, limit: Int?, service: String?)?
    {
        queryCount += 1
        let query: DNSMessage
        do throws(DNSError) {
            query = try DNSMessage(reading: bytes)
        } catch {
            guard let id = DNSMessage.id(of: bytes), bytes[2] & 0x80 == 0 else { return nil }
            var response = DNSMessage(id: id)
            response.isResponse = true
            response.code = .formatError
            return (response, nil, nil)
        }
        // Two servers that answer answers would never stop.
        if query.isResponse { return nil }
        let (response, service) = RegistryZone.answer(query, host.engine.catalog, host.settings, random: &random)
        if let service { host.seen(service, by: host.name(of: remote), way: "dns") }
        return (response, query.edns.map { Int($0.payloadBytes) }, service)
    }
}

/// One connection: messages with their lengths before them, answered in their order.
private final class DNSConnection: StreamHandler {
    private unowned let service: DNSService
    private let stream: Stream
    private var buffer: [UInt8]
    private var idleTimer: TimerID?

    /// RFC 7766 §6.2.3 leaves it to the server; as BIND has it.
    private static let idleTime = LabDuration.seconds(30)

    init(_ service: DNSService, _ stream: Stream, early: [UInt8]) {
        self.service = service
        self.stream = stream
        buffer = early
    }

    func streamOpened(_ stream: Stream) { rest() }

    func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
        buffer.append(contentsOf: bytes)
        var position = 0
        while buffer.count - position >= 2 {
            let length = Int(buffer[position]) << 8 | Int(buffer[position + 1])
            guard buffer.count - position - 2 >= length else { break }
            let start = position + 2
            position = start + length
            let answer = buffer.withUnsafeBytes {
                service.answer(UnsafeRawBufferPointer(rebasing: $0[start..<position]), from: stream.remote)
            }
            // What does not even have a number cannot be answered, and nothing behind it can be trusted.
            guard let answer else { return end() }
            stream.write(answer.message.framed)
        }
        buffer.removeSubrange(..<position)
        if stream.isCongested { stream.pauseReading() }
        rest()
    }

    func streamDrained(_ stream: Stream) { stream.resumeReading() }

    private func rest() {
        stream.node.cancel(idleTimer)
        idleTimer = stream.node.after(Self.idleTime) { [weak self] in self?.end() }
    }

    func endIfIdle() { if buffer.isEmpty { end() } }

    /// A stream that is closed from here says nothing more.
    private func end() {
        stream.node.cancel(idleTimer)
        stream.close()
        service.ended(stream)
    }

    func streamEnded(_ stream: Stream) { end() }

    func stream(_ stream: Stream, closed reason: CloseReason) {
        stream.node.cancel(idleTimer)
        service.ended(stream)
    }
}
