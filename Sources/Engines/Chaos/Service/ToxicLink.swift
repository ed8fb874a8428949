import ChaosEngine
import KernelStructures
import KernelWorld

/// One connection through a proxy: two streams, and a line of toxics in each direction.
///
/// Without toxics bytes pass as they come, large amounts past this process (`Stream.forwardsTo`). A toxic acts at once
/// on connections that are open, and on what is under way; so does its end. Who sends too much for the line is not read
/// from until there is room: a slow line slows its sender, as in a network.
final class ToxicLink: StreamHandler {
    private unowned let proxy: ToxicProxy
    private let node: Node
    private let client: Stream
    private var server: Stream?
    private var up: ToxicLine
    private var down: ToxicLine
    private var timer: TimerID?
    private var timerDue: LabTime?
    private var isOver = false
    private var isPumping = false
    /// Called once, when the connection of the client is over.
    var onEnd: (() -> Void)?

    init(_ proxy: ToxicProxy, _ node: Node, _ client: Stream) {
        self.proxy = proxy
        self.node = node
        self.client = client
        up = ToxicLine([], SeededRandom(seed: 0), now: node.world.now)
        down = up
    }

    func connect(to upstream: String, toxics: [Toxic]) {
        let now = node.world.now
        up = ToxicLine(Self.of(.upstream, toxics), node.draw { $0.fork("upstream \(client.number)") }, now: now)
        down = ToxicLine(Self.of(.downstream, toxics), node.draw { $0.fork("downstream \(client.number)") }, now: now)
        do throws(HostPort.Malformed) {
            let destination = try HostPort(reading: upstream)
            server = try? node.connect(to: destination, handler: self)
        } catch {
            server = nil
        }
        guard server != nil else {
            // Not from within `accept`.
            return node.enqueue { [self] in abort() }
        }
        updateForwarding()
        node.enqueue { [self] in if !isOver { pump() } }
    }

    private static func of(_ direction: Toxic.Direction, _ toxics: [Toxic]) -> [Toxic] {
        toxics.filter { $0.direction == direction }
    }

    func change(to toxics: [Toxic]) {
        guard !isOver else { return }
        up.change(to: Self.of(.upstream, toxics), now: node.world.now)
        down.change(to: Self.of(.downstream, toxics), now: node.world.now)
        updateForwarding()
        pump()
    }

    private func updateForwarding() {
        guard let server, !isOver else { return }
        client.forwardsTo = up.isClear && !client.isClosed && !server.isClosed ? server : nil
        server.forwardsTo = down.isClear && !client.isClosed && !server.isClosed ? client : nil
    }

    // MARK: Streams

    func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
        guard let server, !isOver else { return }
        if stream === client {
            proxy.counts.receivedUpstream += bytes.count
            if up.isClear { send(bytes, to: server) } else { up.push(Array(bytes), now: node.world.now) }
        } else {
            proxy.counts.receivedDownstream += bytes.count
            if down.isClear { send(bytes, to: client) } else { down.push(Array(bytes), now: node.world.now) }
        }
        pump()
    }

    private func send(_ bytes: UnsafeRawBufferPointer, to target: Stream) {
        if target === client {
            proxy.counts.sentDownstream += bytes.count
        } else {
            proxy.counts.sentUpstream += bytes.count
        }
        target.write(bytes)
    }

    func stream(_ stream: Stream, forwarded byteCount: Int) {
        if stream === client {
            proxy.counts.receivedUpstream += byteCount
            proxy.counts.sentUpstream += byteCount
        } else {
            proxy.counts.receivedDownstream += byteCount
            proxy.counts.sentDownstream += byteCount
        }
    }

    func streamDrained(_ stream: Stream) { if !isOver { pump() } }

    func streamEnded(_ stream: Stream) {
        guard let server, !isOver else { return }
        let now = node.world.now
        if stream === client {
            if up.isClear { server.finish() } else { up.pushEnd(now: now) }
        } else {
            if down.isClear { client.finish() } else { down.pushEnd(now: now) }
        }
        pump()
    }

    func stream(_ stream: Stream, closed reason: CloseReason) {
        guard !isOver else { return }
        if reason != .finished { return abort() }
        // It has sent and received its end; the other one may still be owed what is under way.
        let other = stream === client ? server : client
        let line = stream === client ? up : down
        if other?.isClosed ?? true { return finish() }
        if line.isClear { closeInOrder() }
    }

    func streamLost(_ stream: Stream) {
        onEnd = nil
        isOver = true
    }

    // MARK: Pumping

    private func pump() {
        // What a write sets free comes behind what is being passed on now.
        guard let server, !isOver, !isPumping else { return }
        isPumping = true
        defer { isPumping = false }
        // What a full connection does not take stays in the line, which fills up.
        if !server.isCongested { pass(up.advance(to: node.world.now), to: server) }
        if isOver { return }
        if !client.isCongested { pass(down.advance(to: node.world.now), to: client) }
        if isOver { return }
        flow(client, up, server)
        flow(server, down, client)
        schedule()
    }

    private func pass(_ outputs: [ToxicLine.Output], to target: Stream) {
        for output in outputs where !isOver {
            switch output {
            case .bytes(let bytes): bytes.withUnsafeBytes { send($0, to: target) }
            case .end: target.finish()
            case .close: closeInOrder()
            case .reset: abort()
            }
        }
    }

    private func flow(_ source: Stream, _ line: ToxicLine, _ target: Stream) {
        if source.isClosed { return }
        if line.isFull || target.isCongested { source.pauseReading() } else { source.resumeReading() }
    }

    private func schedule() {
        guard let server else { return }
        let dues = [server.isCongested ? nil : up.nextDue, client.isCongested ? nil : down.nextDue].compactMap { $0 }
        guard let due = dues.min() else {
            node.cancel(timer)
            timer = nil
            timerDue = nil
            return updateForwarding()
        }
        if timer != nil, timerDue == due { return }
        node.cancel(timer)
        timerDue = due
        timer = node.after(due - node.world.now) { [self] in
            timer = nil
            timerDue = nil
            pump()
        }
    }

    // MARK: The end

    private func closeInOrder() {
        guard !isOver else { return }
        client.close()
        server?.close()
        finish()
    }

    /// Both ends hear a reset.
    func abort() {
        guard !isOver else { return }
        client.abort()
        server?.abort()
        finish()
    }

    private func finish() {
        isOver = true
        node.cancel(timer)
        timer = nil
        let callback = onEnd
        onEnd = nil
        callback?()
    }
}
