import KernelStructures

// The contents of messages as bytes.

extension Heartbeat {
    func put(into writer: inout RecordWriter) {
        writer.append(byte: kind.rawValue)
        node.put(into: &writer)
        ring.put(into: &writer)
        writer.append(digest)
        writer.append(hollow)
        writer.append(UInt64(streamOffset))
        writer.append(UInt64(keyCount))
        writer.append(copies) { writer, copy in
            writer.append(copy.master)
            writer.append(UInt64(copy.keyCount))
            writer.append(UInt64(copy.offset))
        }
        writer.append(gossip) { writer, gossip in
            gossip.node.put(into: &writer)
            writer.append(byte: (gossip.isSuspected ? 1 : 0) | (gossip.isFailed ? 2 : 0))
        }
        writer.append(hotSlots) { writer, hot in
            writer.append(UInt64(hot.slot))
            writer.append(UInt64(hot.readsPerSecond))
            writer.append(hot.readers) { $0.append($1) }
        }
        writer.append(reads) { writer, reads in
            writer.append(UInt64(reads.slot))
            writer.append(UInt64(reads.perSecond))
        }
    }

    init(_ reader: inout RecordReader) throws(RecordReader.Malformed) {
        guard let kind = Kind(rawValue: try reader.byte()) else {
            throw RecordReader.Malformed(position: reader.position)
        }
        self.kind = kind
        node = try NodeDescription(&reader)
        ring = try RingSettings(&reader)
        digest = try reader.unsigned()
        hollow = try reader.slots()
        streamOffset = try reader.offset()
        keyCount = try reader.offset()
        copies = try reader.elements { reader throws(RecordReader.Malformed) in
            let master = try reader.nodeID()
            let keyCount = try reader.offset()
            return Copy(master: master, keyCount: keyCount, offset: try reader.offset())
        }
        gossip = try reader.elements { reader throws(RecordReader.Malformed) in
            let node = try NodeDescription(&reader)
            let flags = try reader.byte()
            if flags > 3 { throw RecordReader.Malformed(position: reader.position) }
            return Gossip(node: node, isSuspected: flags & 1 != 0, isFailed: flags & 2 != 0)
        }
        hotSlots = try reader.elements { reader throws(RecordReader.Malformed) in
            let slot = try reader.number(below: SlotSet.slotCount)
            let perSecond = try reader.offset()
            let readers = try reader.elements { reader throws(RecordReader.Malformed) in try reader.nodeID() }
            return HotSlot(slot: slot, readers: readers, readsPerSecond: perSecond)
        }
        reads = try reader.elements { reader throws(RecordReader.Malformed) in
            let slot = try reader.number(below: SlotSet.slotCount)
            return SlotReads(slot: slot, perSecond: try reader.offset())
        }
        guard copies.count <= CacheCluster.nodeLimit, gossip.count <= CacheCluster.nodeLimit,
            hotSlots.count <= HotSlots.limit, reads.count <= CacheCluster.toldReadsLimit,
            hotSlots.allSatisfy({ $0.readers.count <= CacheCluster.hotCopyRange.upperBound })
        else {
            throw RecordReader.Malformed(position: reader.position)
        }
    }
}

extension Ballot {
    func put(into writer: inout RecordWriter) {
        writer.append(UInt64(epoch))
        writer.append(isForced)
        writer.append(claims) { writer, claim in
            writer.append(claim.slots)
            writer.append(claim.version)
            writer.append(claim.copyReign)
            writer.append(UInt64(claim.copyOffset))
        }
    }

    init(_ reader: inout RecordReader) throws(RecordReader.Malformed) {
        epoch = try reader.number(below: SlotVersion.epochLimit)
        isForced = try reader.flag()
        claims = try reader.elements { reader throws(RecordReader.Malformed) in
            let slots = try reader.slotRange()
            let version = try reader.version()
            let reign = try reader.version()
            return Claim(slots: slots, version: version, copyReign: reign, copyOffset: try reader.offset())
        }
        guard zip(claims, claims.dropFirst()).allSatisfy({ $0.slots.upperBound < $1.slots.lowerBound }) else {
            throw RecordReader.Malformed(position: reader.position)
        }
    }

    var slots: SlotSet { SlotSet(claims.lazy.flatMap { $0.slots }) }
}

extension Vote {
    func put(into writer: inout RecordWriter) {
        writer.append(UInt64(epoch))
        writer.append(granted)
        writer.append(examined)
        writer.append(empty)
    }

    init(_ reader: inout RecordReader) throws(RecordReader.Malformed) {
        epoch = try reader.number(below: SlotVersion.epochLimit)
        granted = try reader.slots()
        examined = try reader.slots()
        empty = try reader.slots()
    }
}

extension Follow {
    func put(into writer: inout RecordWriter) {
        writer.append(stream)
        writer.append(UInt64(offset))
        writer.append(UInt64(sequence))
        writer.append(held) { writer, held in
            writer.append(held.slots)
            writer.append(held.reign)
        }
        writer.append(missing)
        writer.append(refused)
        writer.append(stale) { writer, stale in
            writer.append(stale.slots)
            writer.append(stale.reign)
            writer.append(UInt64(stale.offset))
        }
    }

    init(_ reader: inout RecordReader) throws(RecordReader.Malformed) {
        stream = try reader.unsigned()
        offset = try reader.offset()
        sequence = try reader.offset()
        held = try reader.elements { reader throws(RecordReader.Malformed) in
            let slots = try reader.slotRange()
            return Held(slots: slots, reign: try reader.version())
        }
        missing = try reader.slots()
        refused = try reader.slots()
        stale = try reader.elements { reader throws(RecordReader.Malformed) in
            let slots = try reader.slotRange()
            let reign = try reader.version()
            return Stale(slots: slots, reign: reign, offset: try reader.offset())
        }
        guard zip(held, held.dropFirst()).allSatisfy({ $0.slots.upperBound < $1.slots.lowerBound }),
            zip(stale, stale.dropFirst()).allSatisfy({ $0.slots.upperBound < $1.slots.lowerBound })
        else {
            throw RecordReader.Malformed(position: reader.position)
        }
    }
}

extension StreamPart {
    func put(into writer: inout RecordWriter) {
        writer.append(stream)
        writer.append(UInt64(from))
        writer.append(UInt64(to))
        writer.append(entries) { writer, entry in
            writer.append(UInt64(entry.offset))
            writer.append(UInt64(entry.slot.map { $0 + 1 } ?? 0))
            writer.append(commands: entry.commands)
        }
    }

    init(_ reader: inout RecordReader) throws(RecordReader.Malformed) {
        stream = try reader.unsigned()
        from = try reader.offset()
        to = try reader.offset()
        entries = try reader.elements { reader throws(RecordReader.Malformed) in
            let offset = try reader.offset()
            let slot = try reader.number(below: SlotSet.slotCount + 1)
            return Entry(offset: offset, slot: slot == 0 ? nil : slot - 1, commands: try reader.commands())
        }
        let offsets = [from] + entries.map(\.offset)
        guard zip(offsets, offsets.dropFirst()).allSatisfy(<), (offsets.last ?? from) <= to else {
            throw RecordReader.Malformed(position: reader.position)
        }
    }
}

extension SlotLoad {
    func put(into writer: inout RecordWriter) {
        writer.append(stream)
        writer.append(UInt64(offset))
        writer.append(parts) { writer, part in
            writer.append(part.slots)
            writer.append(part.reign)
            writer.append(part.base != nil)
            if let base = part.base {
                writer.append(base.reign)
                writer.append(UInt64(base.offset))
            }
            writer.append(commands: part.commands)
        }
    }

    init(_ reader: inout RecordReader) throws(RecordReader.Malformed) {
        stream = try reader.unsigned()
        offset = try reader.offset()
        parts = try reader.elements { reader throws(RecordReader.Malformed) in
            let slots = try reader.slotRange()
            let reign = try reader.version()
            var base: Base?
            if try reader.flag() {
                let reign = try reader.version()
                base = Base(reign: reign, offset: try reader.offset())
            }
            let commands = try reader.commands()
            guard slots.count == 1 || commands.isEmpty else {
                throw RecordReader.Malformed(position: reader.position)
            }
            return Part(slots: slots, reign: reign, base: base, commands: commands)
        }
    }
}
