import KernelAMQP
import KernelStructures

/// One client's connection: bytes in, bytes out, and the channels between.
public final class BrokerConnection: BrokerTimed {
    public let number: UInt64
    /// `127.0.0.1:40312`
    public let peer: String
    unowned let broker: Broker
    public internal(set) var phase = Phase.header
    public internal(set) var user = ""
    public internal(set) var mechanism = ""
    public internal(set) var virtualHost: VirtualHost?
    public internal(set) var clientProperties: AMQPTable = [:]
    public internal(set) var channelMax: UInt16
    public internal(set) var frameMax: UInt32
    public internal(set) var heartbeatSeconds: UInt16 = 0
    public let connectedAt: LabTime
    public private(set) var channels: [UInt16: BrokerChannel] = [:]
    /// Channels that there were, and are no more.
    private var closedNumbers: Set<UInt16> = []
    /// Queues that go with it, by number.
    var ownQueues: [UInt64: BrokerQueue] = [:]
    /// The one that was spoken to last.
    private var recent: BrokerChannel?

    /// What is to be sent. The host takes it away with `writeOutput`.
    var output = AMQPWriter()
    /// Places in `output` that have to wait until the store has synced so far.
    private var barriers: [Barrier] = []
    var isNoted = false
    /// Whether it is in the broker's list of those that wait for the store.
    var isBarred = false
    /// Set by the host while it cannot send as fast as this writes.
    public private(set) var isCongested = false
    /// It publishes while memory is short: nothing of it is read.
    public private(set) var isBlocked = false
    /// A method of it waits for the group: nothing of it is read. Counts the times.
    var holdCount: UInt64 = 0
    var isHeld = false
    /// It publishes faster than the group agrees: nothing of it is read.
    var isCrowded = false
    /// Whether nothing of it is read at present.
    public var isPaused: Bool {
        isBlocked || isHeld || isCrowded || isFlooded || broker.group?.isCurrent == false
    }
    /// It asks and does not read the answers.
    private var isFlooded: Bool { output.count >= Self.answersLimitBytes }
    /// Places in `output` that have to wait until the group has agreed on so much.
    var groupBarriers: [Barrier] = []
    private var header: [UInt8] = []
    private let reader = AMQPFrameReader()
    var lastReceivedAt: LabTime
    private var lastSentAt: LabTime
    var deadline = LabTime.distantFuture
    var closingSince: LabTime?

    public enum Phase: String, Sendable { case header, start, secure, tune, open, running, closing, closed }

    struct Barrier {
        var offset: Int
        let position: UInt64
    }

    /// Output that waits, from which on no more messages are delivered to this connection (bytes).
    static let outputLimitBytes = 256 << 10
    /// Output that waits, from which on nothing more of this connection is read (bytes). Larger answers are whole.
    static let answersLimitBytes = 1 << 20
    /// How long a peer has to answer `connection.close`, or to say who it is.
    static let patience = LabDuration.seconds(10)

    init(_ broker: Broker, number: UInt64, peer: String) {
        self.broker = broker
        self.number = number
        self.peer = peer
        channelMax = broker.settings.channelMax
        frameMax = broker.settings.frameMax
        connectedAt = broker.now
        lastReceivedAt = broker.now
        lastSentAt = broker.now
        reader.frameMax = Int(broker.settings.frameMax)
        broker.schedule(self, at: broker.now + Self.patience)
    }

    /// By number.
    public var sortedChannels: [BrokerChannel] { channels.values.sorted { $0.number < $1.number } }
    /// The stream is to be closed once all output has left.
    public var isOver: Bool { phase == .closed }
    var now: LabTime { broker.now }

    // MARK: In

    /// Takes bytes as they come.
    ///
    /// - Returns: how many were taken: fewer than there are only while it is blocked, when the rest is to be kept.
    public func receive(_ bytes: UnsafeRawBufferPointer, now: LabTime) -> Int {
        broker.now = now
        lastReceivedAt = now
        var position = 0
        if phase == .header, !isPaused { readHeader(bytes, &position) }
        while phase != .closed, phase != .header, !isPaused {
            let step = reader.next(bytes, &position)
            guard case .frame(let kind, let channel, let payload) = step else {
                if case .failed(let failure) = step {
                    // What comes behind cannot be read any more.
                    if phase == .closing { end() } else { close(failure, isUnreadable: true) }
                    position = bytes.count
                }
                break
            }
            handle(kind, channel, payload)
        }
        broker.settle()
        return phase == .closed ? bytes.count : position
    }

    private func readHeader(_ bytes: UnsafeRawBufferPointer, _ position: inout Int) {
        let wanted = min(8 - header.count, bytes.count)
        header += bytes[..<wanted]
        position = wanted
        let isRight = AMQPFrame.protocolHeader.starts(with: header)
        if isRight, header.count < 8 { return }
        guard isRight else {
            // What it would have to say.
            output.append(raw: AMQPFrame.protocolHeader)
            return end()
        }
        header = []
        phase = .start
        send(
            .connectionStart(
                versionMajor: 0, versionMinor: 9, serverProperties: broker.settings.serverProperties,
                mechanisms: Array("AMQPLAIN PLAIN".utf8), locales: Array("en_US".utf8)))
    }

    private func handle(_ kind: AMQPFrame.Kind, _ number: UInt16, _ payload: UnsafeRawBufferPointer) {
        do throws(AMQPFailure) {
            if kind == .heartbeat {
                if number != 0 { throw AMQPFailure(.unexpectedFrame, "a heartbeat on channel \(number)") }
                if !payload.isEmpty { throw AMQPFailure(.frameError, "type 8, a heartbeat with something in it") }
                return
            }
            if number == 0 {
                guard kind == .method else { throw AMQPFailure(.unexpectedFrame, "content on channel 0") }
                return try handle(AMQPMethod(payload: payload))
            }
            if phase == .closing { return }
            guard phase == .running else {
                throw AMQPFailure(
                    .channelError, "unexpected frame on channel \(number) in connection state \(phase.rawValue)")
            }
            try handle(kind, on: number, payload)
        } catch {
            fail(error, on: number)
        }
    }

    /// Closes what the failure is worth.
    func fail(_ failure: AMQPFailure, on number: UInt16) {
        if failure.closesOnlyChannel, let channel = channels[number] { return channel.fail(failure) }
        close(failure)
    }

    private func handle(_ kind: AMQPFrame.Kind, on number: UInt16, _ payload: UnsafeRawBufferPointer)
        throws(AMQPFailure)
    {
        guard let channel = recent?.number == number ? recent : channels[number] else {
            return try openChannel(number, kind, payload)
        }
        recent = channel
        switch kind {
        case .method: try channel.receive(method: payload)
        case .header: try channel.receive(header: payload)
        case .body: try channel.receive(body: payload)
        case .heartbeat: break
        }
    }

    private func openChannel(_ number: UInt16, _ kind: AMQPFrame.Kind, _ payload: UnsafeRawBufferPointer)
        throws(AMQPFailure)
    {
        guard kind == .method else { throw AMQPFailure(.channelError, "expected 'channel.open'") }
        let method = try AMQPMethod(payload: payload)
        switch method {
        case .channelOpen: break
        // It has been closed already, and the client says so once more.
        case .channelClose where closedNumbers.contains(number): return send(.channelCloseOk, on: number)
        default: throw AMQPFailure(.channelError, "expected 'channel.open'", method: method.id)
        }
        guard number <= channelMax, channels.count < Int(channelMax) else {
            throw AMQPFailure(
                .notAllowed,
                "number of channels opened (\(channels.count)) has reached the negotiated channel_max (\(channelMax))")
        }
        closedNumbers.remove(number)
        channels[number] = BrokerChannel(number, of: self)
        broker.counters.channelsOpened += 1
        send(.channelOpenOk, on: number)
    }

    func forget(_ channel: BrokerChannel) {
        guard channels[channel.number] === channel else { return }
        channels[channel.number] = nil
        closedNumbers.insert(channel.number)
        if recent === channel { recent = nil }
        broker.counters.channelsClosed += 1
    }

    func use(frameMax: UInt32) {
        self.frameMax = frameMax
        // A client that agreed on less than it sends is given the benefit of what was offered.
        reader.frameMax = Int(frameMax)
    }

    // MARK: Out

    func send(_ method: AMQPMethod, on channel: UInt16 = 0) {
        guard phase != .closed else { return }
        output.append(method, channel: channel)
        broker.note(self)
    }

    /// What is written from here on waits until the store has synced what it has been given so far.
    func addBarrier() {
        let position = broker.store.position
        guard position > broker.store.syncedPosition else { return }
        if !isBarred {
            isBarred = true
            broker.barred.append(self)
        }
        if barriers.last?.offset == output.count { barriers.removeLast() }
        barriers.append(Barrier(offset: output.count, position: position))
    }

    /// Bytes of `output` that may leave now.
    public var writableByteCount: Int {
        let synced = broker.store.syncedPosition
        let count = barriers.first { $0.position > synced }?.offset ?? output.count
        if groupBarriers.isEmpty { return count }
        let agreed = broker.group?.desk.appliedPosition ?? .max
        return min(count, groupBarriers.first { $0.position > agreed }?.offset ?? count)
    }

    /// Hands out what may leave.
    public func writeOutput(_ write: (UnsafeRawBufferPointer) -> Void) {
        let synced = broker.store.syncedPosition
        while let first = barriers.first, first.position <= synced { barriers.removeFirst() }
        let count = writableByteCount
        guard count > 0 else { return }
        lastSentAt = broker.now
        output.bytes.withUnsafeBytes { write(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        output.consume(count)
        for index in barriers.indices { barriers[index].offset -= count }
        if !groupBarriers.isEmpty {
            let agreed = broker.group?.desk.appliedPosition ?? .max
            groupBarriers.removeAll { $0.position <= agreed }
            for index in groupBarriers.indices { groupBarriers[index].offset -= count }
        }
    }

    public var hasOutput: Bool { output.count > 0 }
    /// Whether nothing is delivered to it before some of its output has left.
    public var isOutputFull: Bool { output.count >= Self.outputLimitBytes }

    /// Whether messages may be delivered to it.
    var canDeliver: Bool { phase == .running && !isCongested && !isOutputFull }

    /// The host tells whether the stream takes what is written.
    public func set(congested isCongested: Bool, now: LabTime) {
        broker.now = now
        self.isCongested = isCongested
        if isCongested { return }
        // Whoever reads is alive, also one of whom nothing was read meanwhile.
        lastReceivedAt = now
        for channel in sortedChannels { channel.wakeQueues() }
        broker.settle()
    }

    // MARK: Blocking

    /// It publishes although memory is short.
    func block() {
        guard !isBlocked else { return }
        isBlocked = true
        if wants("connection.blocked") { send(.connectionBlocked(reason: "low on memory")) }
        broker.note(self)
    }

    func unblock() {
        guard isBlocked else { return }
        isBlocked = false
        lastReceivedAt = now
        if wants("connection.blocked") { send(.connectionUnblocked) }
        broker.note(self)
    }

    /// Whether the client has said that it can do that.
    func wants(_ capability: String) -> Bool {
        clientProperties["capabilities"]?.table?[capability]?.boolean ?? false
    }

    // MARK: The end

    /// Tells the peer why, and waits for its answer.
    func close(_ failure: AMQPFailure, isUnreadable: Bool = false) {
        guard phase != .closing, phase != .closed else { return }
        endChannels()
        broker.log("Connection \(id: peer) closed: \(failure.text)")
        send(
            .connectionClose(
                replyCode: failure.code.rawValue, replyText: failure.text, classID: failure.method?.classID ?? 0,
                methodID: failure.method?.methodID ?? 0))
        if isUnreadable { return end() }
        waitForEnd()
    }

    /// All is said. Whoever hangs up first here may take words of the client's for lost that are still under way, so
    /// the client does it, within a time.
    func waitForEnd() {
        phase = .closing
        closingSince = now
        broker.schedule(self, at: now + Self.patience)
    }

    /// The broker is going down, or an operator wants it.
    public func close(reason: String, now: LabTime) {
        broker.now = now
        if phase == .running { close(AMQPFailure(.connectionForced, reason)) } else { end() }
        broker.settle()
    }

    /// All that is left is to send what is owed.
    func end() {
        phase = .closed
        broker.note(self)
    }

    /// The stream is over, however it came to be.
    public func lost(now: LabTime) {
        broker.now = now
        phase = .closed
        endChannels()
        deadline = .distantFuture
        broker.forget(self)
        broker.settle()
    }

    func endChannels() {
        let open = sortedChannels
        channels = [:]
        recent = nil
        // Consumers first, so that nothing is handed from one dying channel to the next.
        for channel in open { channel.beginEnding() }
        for channel in open { channel.removeConsumers() }
        for channel in open { channel.giveEverythingBack() }
        broker.counters.channelsClosed += open.count
        let own = ownQueues.values.sorted { $0.name < $1.name }
        ownQueues = [:]
        for queue in own { broker.delete(queue) }
    }

    // MARK: Heartbeats

    func ring() {
        switch phase {
        case .header where isPaused: broker.schedule(self, at: now + Self.patience)
        case .header, .start, .secure, .tune, .open:
            if now >= connectedAt + Self.patience { return end() }
            broker.schedule(self, at: connectedAt + Self.patience)
        case .closing:
            let limit = (closingSince ?? now) + Self.patience
            if now >= limit { return end() }
            broker.schedule(self, at: limit)
        case .running: beat()
        case .closed: break
        }
    }

    /// Sends one when nothing else was sent for half the time, and gives up when nothing came for twice the time.
    func beat() {
        guard heartbeatSeconds > 0 else { return }
        let interval = LabDuration.seconds(Int(heartbeatSeconds))
        if !isPaused, lastReceivedAt + interval + interval <= now {
            broker.log("Missed heartbeats from client \(id: peer), timeout: \(Int(heartbeatSeconds))s")
            return end()
        }
        let half = LabDuration(nanoseconds: interval.nanoseconds / 2)
        if lastSentAt + half <= now, !isCongested {
            lastSentAt = now
            output.appendHeartbeat()
            broker.note(self)
        }
        let silence = isPaused ? now + interval : lastReceivedAt + interval + interval
        let next = min(max(lastSentAt, now - half) + half, silence)
        broker.schedule(self, at: max(next, now + .milliseconds(1)))
    }
}
