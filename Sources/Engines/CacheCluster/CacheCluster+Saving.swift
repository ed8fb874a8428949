import KernelStructures

// What survives a restart: who it is, whom it knows, and what it has promised. Not the data: this is a cache.

extension CacheCluster {
    private static let format: UInt8 = 1

    /// What is to be saved.
    func composeState() -> [UInt8] {
        if savedMap.changeCount != map.changeCount {
            var writer = RecordWriter()
            writer.append(runs: map.runs())
            savedMap = (map.changeCount, writer.bytes)
        }
        var writer = RecordWriter()
        writer.append(byte: Self.format)
        own.put(into: &writer)
        writer.append(UInt64(epoch))
        writer.append(UInt64(ownEpoch))
        ring.put(into: &writer)
        writer.append(peers.filter(\.isKnown)) { writer, peer in peer.node.put(into: &writer) }
        writer.append(savedMap.bytes)
        writer.append(votes) { writer, vote in
            writer.append(vote.slots)
            writer.append(UInt64(vote.epoch))
        }
        let sum = CRC32C.of(writer.bytes)
        return (0..<4).map { UInt8(truncatingIfNeeded: sum >> ($0 * 8)) } + writer.bytes
    }

    private var votes: [(slots: ClosedRange<Int>, epoch: UInt32)] {
        var runs: [(slots: ClosedRange<Int>, epoch: UInt32)] = []
        for slot in 0..<SlotSet.slotCount where votedEpochs[slot] != 0 {
            if let last = runs.last, last.slots.upperBound == slot - 1, last.epoch == votedEpochs[slot] {
                runs[runs.count - 1].slots = last.slots.lowerBound...slot
            } else {
                runs.append((slot...slot, votedEpochs[slot]))
            }
        }
        return runs
    }

    func restore(_ bytes: [UInt8]) throws(RecordReader.Malformed) {
        guard bytes.count > 4 else { throw RecordReader.Malformed(position: bytes.count) }
        let sum = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[$1]) << ($1 * 8) }
        guard CRC32C.of(Array(bytes[4...])) == sum else { throw RecordReader.Malformed(position: 0) }
        var reader = RecordReader(bytes, from: 4)
        guard try reader.byte() == Self.format else { throw RecordReader.Malformed(position: 4) }
        let saved = try NodeDescription(&reader)
        epoch = try reader.number(below: SlotVersion.epochLimit)
        ownEpoch = try reader.number(below: SlotVersion.epochLimit)
        ring = try RingSettings(&reader)
        let nodes = try reader.elements { reader throws(RecordReader.Malformed) in try NodeDescription(&reader) }
        var mapReader = RecordReader(try reader.data())
        let runs = try mapReader.runs()
        try mapReader.expectEnd()
        let votes = try reader.elements { reader throws(RecordReader.Malformed) in
            let slots = try reader.slotRange()
            return (slots, UInt32(try reader.number(below: SlotVersion.epochLimit)))
        }
        try reader.expectEnd()
        own.id = saved.id
        own.replicaOf = saved.replicaOf
        own.life = saved.life + 1
        for (slots, epoch) in votes {
            for slot in slots {
                votedEpochs[slot] = epoch
                // Whoever was told that this copy is not newer counts upon its taking nothing more.
                fences[slot] = epoch
            }
        }
        // What others noted in its life before is not about the tickets of this one.
        ticketNumber = (own.life & 0xFF_FFFF) << 24
        for run in runs { for slot in run.slots { map.merge(run.record, into: slot) } }
        for node in nodes { add(node)?.isKnown = true }
        refreshOwnSlots()
    }
}
