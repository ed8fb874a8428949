import KernelStructures

extension Stream {
    // MARK: Causes

    /// Made when something is first to be kept.
    var keptCauses: StreamCauses {
        if let causes { return causes }
        let made = StreamCauses()
        causes = made
        return made
    }

    /// Keeps what the present piece of work was caused by, if anybody is to read it.
    func noteCause(_ body: (StreamCauses, UInt64) -> Void) {
        let journal = network.journal
        if journal.recordsTraffic { body(keptCauses, journal.currentCause) }
    }

    // MARK: Faults

    /// Applies the rules as they are now. Called when the connection is made and whenever a rule comes or goes.
    func applyFaults() {
        guard phase != .closed else {
            egress?.change(to: network.conditions(from: node, to: peer))
            return
        }
        let hadLine = egress != nil
        egress = adjusted(egress, .egress, network.conditions(from: node, to: peer))
        if !hadLine, let egress { holdUpUnsent(egress) }
        // Bytes between two lab nodes pass the sender's link; those from outside have no other place to be held up.
        if peer == nil { ingress = adjusted(ingress, .ingress, network.conditions(from: nil, to: node)) }
        if !isInitiator {
            let faults = network.world.faults.protocolFaults(for: self)
            // One in the middle of a message finishes it, even if its fault is over.
            var kept: [any StreamInterceptor] = []
            for one in interceptors {
                let isInForce = faults.contains { $0 === one.fault }
                if !isInForce { one.faultEnded() }
                if isInForce || !one.isIdle { kept.append(one) }
            }
            let added = faults.filter { fault in !kept.contains { $0.fault === fault } }
            interceptors = kept + added.map { $0.makeInterceptor(for: self) }
        }
        updateReading()
        // A longer line holds more, and a shorter one passes to the transport what it held.
        if isCongested { node.enqueue { [weak self] in self?.notifyIfDrained() } }
    }

    /// What the transport has not taken yet is held up by a new rule like everything after it.
    func holdUpUnsent(_ link: Link) {
        flushCorked()
        var waiting = ByteQueue()
        swap(&waiting, &unsent)
        var offset = 0
        while offset < waiting.count {
            let next = causes?.unsent.first
            let end = min(waiting.count, offset + (next?.byteCount ?? waiting.count))
            waiting.withUnsafeBytes {
                link.push(
                    UnsafeRawBufferPointer(rebasing: $0[offset..<end]),
                    cause: next?.cause ?? network.journal.currentCause)
            }
            causes?.unsent.consume(end - offset)
            offset = end
        }
        if endState == .requested, layer?.hasFinished ?? true { link.pushEnd() }
    }

    func adjusted(_ link: Link?, _ direction: Link.Direction, _ conditions: LinkConditions) -> Link? {
        if let link {
            link.change(to: conditions)
            return link.isEmpty && conditions.isClear ? nil : link
        }
        return conditions.isClear ? nil : Link(stream: self, direction: direction, conditions: conditions)
    }

    /// A link that has nothing left to do makes way for the direct path.
    func drop(_ link: Link) {
        if egress === link { egress = nil }
        if ingress === link { ingress = nil }
    }

    /// A fault resets the connection: both ends hear it.
    func resetByFault() {
        guard phase != .closed else { return }
        fail(.reset)
    }

    func intercept(inbound bytes: UnsafeRawBufferPointer, from index: Int) {
        if index >= interceptors.count {
            handler?.stream(self, received: bytes)
        } else {
            interceptors[index].inbound(bytes, InterceptedStream(stream: self, index: index))
        }
    }

    func intercept(outbound bytes: UnsafeRawBufferPointer, from index: Int) {
        // What a handler writes passes the interceptors from the inside out: the last one first.
        let position = interceptors.count - 1 - index
        if position < 0 {
            transmit(bytes)
        } else {
            interceptors[position].outbound(bytes, InterceptedStream(stream: self, index: position))
        }
    }

    var interceptorCount: Int { interceptors.count }
}
