import KernelStructures

extension Network {
    /// Bytes of datagrams that may be under way in a world at once, those that fault rules delay included; what exceeds
    /// them is dropped.
    static let datagramLimitBytes = 64 << 20
    /// Bytes that wait before a throttled link; what comes while it is full is dropped.
    static let datagramLineBytes = 256 * 1024
    /// How late a datagram comes at most that `reorder` has chosen.
    static let reorderingTime = LabDuration.milliseconds(10)

    /// What datagrams need: who has which port, how much is under way, and when throttled links are free again.
    struct Datagrams {
        var sockets: [Endpoint: DatagramSocket] = [:]
        var bytesUnderWay = 0
        var lineFree: [Line: LabTime] = [:]

        /// Two nodes by number; 0 is outside.
        struct Line: Hashable {
            let from: Int
            let to: Int
        }
    }

    // MARK: Ports

    func bind(node: Node, port: UInt16, handler: any DatagramHandler) throws(NetworkError) -> DatagramSocket {
        let socket = DatagramSocket(node: node, port: port, handler: handler)
        let local = Endpoint(.loopback, port)
        let isTaken =
            node.isTransient ? datagrams.sockets[local] != nil : node.datagramSockets.contains { $0.port == port }
        if port != 0, isTaken { throw .addressInUse(Endpoint(node.address, port)) }
        socket.ownsLocalhost = port != 0 && !transport.isWholeHost && datagrams.sockets[local] == nil
        socket.port = try transport.bind(socket)
        node.datagramSockets.append(socket)
        for endpoint in endpoints(of: socket) where datagrams.sockets[endpoint] == nil {
            datagrams.sockets[endpoint] = socket
        }
        return socket
    }

    /// Where in the lab a socket is found.
    private func endpoints(of socket: DatagramSocket) -> [Endpoint] {
        if transport.isWholeHost { return [] }
        let own = [socket.endpoint(isIPv6: false), socket.endpoint(isIPv6: true)]
        return socket.ownsLocalhost ? own + [.loopback, .loopback6].map { Endpoint($0, socket.port) } : own
    }

    func close(_ socket: DatagramSocket) {
        retire(socket, silently: false)
        socket.node.datagramSockets.removeAll { $0 === socket }
    }

    func retire(_ socket: DatagramSocket, silently: Bool) {
        for endpoint in endpoints(of: socket) where datagrams.sockets[endpoint] === socket {
            datagrams.sockets[endpoint] = nil
        }
        socket.end(silently: silently)
    }

    /// A port that no socket has at that address, taken in turn as Linux's do; nil if there is none.
    func freeDatagramPort(at address: IPAddress, after previous: UInt16) -> UInt16? {
        let range = 32_768...60_999
        let start = Int(previous)
        return range.lazy.map { range.lowerBound + (start + 1 + $0 - 2 * range.lowerBound) % range.count }
            .first { datagrams.sockets[Endpoint(address, UInt16($0))] == nil }.map { UInt16($0) }
    }

    // MARK: Sending

    func send(_ bytes: [UInt8], from socket: DatagramSocket, to destination: HostPort) throws(NetworkError) {
        let host = destination.host.lowercased()
        if !transport.isWholeHost {
            let address = host == "localhost" ? .loopback : IPAddress(parsing: host) ?? world.nodes[host]?.address
            if let address {
                return try send(bytes, from: socket, to: Endpoint(address, destination.port), isOutside: false)
            }
        }
        guard let outside = transport.resolveOutside(host) else { throw .unresolved(host: destination.host) }
        try send(bytes, from: socket, to: Endpoint(outside, destination.port), isOutside: true)
    }

    func send(
        _ bytes: [UInt8], from socket: DatagramSocket, to remote: Endpoint, isOutside: Bool
    ) throws(NetworkError) {
        guard bytes.count <= DatagramSocket.sizeLimitBytes else { throw .datagramTooLarge(byteCount: bytes.count) }
        guard !socket.isClosed else { return }
        socket.sentCount += 1
        let node = socket.node
        let target = datagrams.sockets[remote]
        let isOutside = isOutside || target == nil && socket.transport?.hasHeard(from: remote) == true
        if isOutside { world.outsideCount += 1 }
        let peer = isOutside ? nil : target?.node ?? world.nodes.at(remote.address)
        let name = peer?.name ?? (isOutside ? NodeTable.outsideName : "\(remote)")
        let cause = record(.sent, from: node, to: name, bytes.count)
        let datagram = Datagram(
            bytes: bytes, socket: socket, remote: remote,
            shown: socket.endpoint(isIPv6: remote.address.isIPv6), isOutside: isOutside, cause: cause)
        // An address that nobody has is on no link.
        let conditions = peer == nil && !isOutside ? .clear : conditions(from: node, to: peer)
        if conditions.isClear { return launch(datagram) }
        let isLost =
            conditions.isBlocked || node.draw { random in random.chance(conditions.lossProbability) }
        guard !isLost, let lineDelay = lineDelay(from: node, to: peer, bytes.count, conditions) else {
            return lose(datagram)
        }
        let copies = node.draw { random in random.chance(conditions.duplicateProbability) } ? 2 : 1
        for _ in 0..<copies { delay(datagram, by: lineDelay, conditions) }
    }

    /// One copy on its way, as late and as damaged as the rules will have it.
    private func delay(_ datagram: Datagram, by lineDelay: LabDuration, _ conditions: LinkConditions) {
        var bytes = datagram.bytes
        var delay = lineDelay
        datagram.socket.node.draw { random in
            delay += conditions.sampleDelay(&random)
            if random.chance(conditions.reorderProbability) {
                delay += LabDuration(nanoseconds: 1 + Int64(random.below(Int(Self.reorderingTime.nanoseconds))))
            }
            if !bytes.isEmpty, random.chance(conditions.corruptionProbability) {
                bytes[random.below(bytes.count)] ^= UInt8(1 << random.below(8))
            }
        }
        let copy = Datagram(
            bytes: bytes, socket: datagram.socket, remote: datagram.remote, shown: datagram.shown,
            isOutside: datagram.isOutside, cause: datagram.cause)
        guard delay > .zero else { return launch(copy) }
        if !whenUnderWay(bytes.count, for: delay, cause: copy.cause, { [self] in launch(copy) }) { lose(copy) }
    }

    /// How long a throttled link needs until it has sent so many bytes; nil if its buffer is full.
    private func lineDelay(
        from node: Node, to peer: Node?, _ byteCount: Int, _ conditions: LinkConditions
    ) -> LabDuration? {
        guard let bytesPerSecond = conditions.bytesPerSecond else { return .zero }
        let line = Datagrams.Line(from: node.number, to: peer?.number ?? 0)
        let rate = Double(max(1, bytesPerSecond))
        let wait = max(.zero, (datagrams.lineFree[line] ?? world.now) - world.now)
        if wait.seconds * rate > Double(Self.datagramLineBytes) { return nil }
        if datagrams.lineFree.count >= 4096 {
            let now = world.now
            datagrams.lineFree = datagrams.lineFree.filter { $0.value > now }
        }
        let total = wait + .seconds(Double(byteCount) / rate)
        datagrams.lineFree[line] = world.now + total
        return total
    }

    /// Runs `action` after a delay during which so many bytes count as under way.
    ///
    /// - Returns: false if that is too much, and nothing happens.
    private func whenUnderWay(
        _ byteCount: Int, for delay: LabDuration, cause: UInt64, _ action: @escaping () -> Void
    ) -> Bool {
        let cost = byteCount + DatagramSocket.overheadBytes
        guard datagrams.bytesUnderWay + cost <= Self.datagramLimitBytes else { return false }
        datagrams.bytesUnderWay += cost
        journal.withCause(cause) {
            world.after(delay) { [self] in
                datagrams.bytesUnderWay -= cost
                action()
            }
        }
        return true
    }

    /// Has a datagram arrive later; called by transports.
    ///
    /// - Returns: false if too much is under way already.
    package func postpone(
        _ bytes: [UInt8], for delay: LabDuration, at socket: DatagramSocket, from remote: Endpoint, cause: UInt64
    ) -> Bool {
        whenUnderWay(bytes.count, for: delay, cause: cause) { [self] in
            bytes.withUnsafeBytes { datagramArrived($0, at: socket, from: remote) }
        }
    }

    /// The way is behind it: it comes to whoever has the port now.
    private func launch(_ datagram: Datagram) {
        let node = datagram.socket.node
        if datagram.isOutside {
            if conditions(from: node, to: nil).isBlocked { return lose(datagram) }
            if datagram.socket.transport?.send(datagram.bytes, toOutside: datagram.remote) != true { lose(datagram) }
            return
        }
        let target = datagrams.sockets[datagram.remote]
        let peer = target?.node ?? world.nodes.at(datagram.remote.address)
        if let peer, peer.isDark || conditions(from: node, to: peer).isBlocked { return lose(datagram) }
        guard let target, !world.faults.refuses(from: node, to: target.node) else {
            return refuse(datagram, peer)
        }
        transport.carry(datagram, to: target)
    }

    // MARK: Arriving

    /// It has arrived at a socket; called by the transport.
    public func datagramArrived(_ bytes: UnsafeRawBufferPointer, at socket: DatagramSocket, from remote: Endpoint) {
        let peer = datagrams.sockets[remote]?.node
        if peer == nil, socket.transport?.hasHeard(from: remote) == true { world.outsideCount += 1 }
        if peer == nil,
            world.faults.refuses(from: nil, to: socket.node) || conditions(from: nil, to: socket.node).isBlocked
        {
            return
        }
        if !socket.arrived(bytes, from: remote) {
            _ = record(.dropped, from: peer ?? socket.node, to: socket.node.name, bytes.count)
        }
    }

    /// Nobody has the port that a datagram was sent to; called by the transport, of ports outside the lab.
    public func datagramRefused(by remote: Endpoint, _ socket: DatagramSocket) {
        if !socket.isClosed { socket.refused(by: remote) }
    }

    /// The answer to what met a port that nobody has goes back over the same link.
    private func refuse(_ datagram: Datagram, _ peer: Node?) {
        let node = datagram.socket.node
        journal.withCause(datagram.cause) {
            _ = record(.refused, from: node, to: peer?.name ?? "\(datagram.remote)", datagram.bytes.count)
        }
        let back = peer == nil ? .clear : conditions(from: peer, to: node)
        let isLost = back.isBlocked || node.draw { random in random.chance(back.lossProbability) }
        guard !isLost, !datagram.socket.isClosed else { return }
        let delay = transport.hopLatency * 2 + node.draw { back.sampleDelay(&$0) }
        journal.withCause(datagram.cause) {
            node.after(delay) { if !datagram.socket.isClosed { datagram.socket.refused(by: datagram.remote) } }
        }
    }

    /// It is gone, and nobody says so but the journal; also called by transports.
    package func lose(_ datagram: Datagram) {
        let peer = datagram.isOutside ? nil : datagrams.sockets[datagram.remote]?.node
        journal.withCause(datagram.cause) {
            _ = record(.lost, from: datagram.socket.node, to: peer?.name ?? "\(datagram.remote)", datagram.bytes.count)
        }
    }

    /// - Returns: the event's number, or the present cause where traffic is not recorded.
    private func record(_ change: JournalEvent.DatagramChange, from node: Node, to name: String, _ byteCount: Int)
        -> UInt64
    {
        guard journal.recordsTraffic else { return journal.currentCause }
        return journal.record(
            .datagram(from: node.name, to: name, byteCount: byteCount, change), node: node.name)
    }
}
