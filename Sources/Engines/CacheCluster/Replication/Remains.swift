import KernelStructures

/// What a dead node's memory held of writes: more than any node that lives can know.
///
/// Only the lab has it, which sees the memory of all its nodes. It decides nothing, and nobody is sent it: whoever
/// takes a dead node's slots over compares where its copies end with what the dead node had acknowledged, for the
/// ledger (`LostWrites`).
public struct Remains {
    public let node: ClusterNodeID
    let log: ReplicationLog
    /// Slots that it served and nobody has taken over yet, with the version that it served them in.
    var versions: [Int: SlotVersion]

    public var isSettled: Bool { versions.isEmpty }
}

extension CacheCluster {
    /// What would be gone with this node now; nil if it has written nothing.
    public var remains: Remains? {
        guard log.end > log.start, !served.isEmpty else { return nil }
        var versions: [Int: SlotVersion] = [:]
        for offset in log.start + 1...log.end {
            // A slot that nothing was written to has nothing to lose.
            if let slot = log[offset].slot, served.contains(slot) { versions[slot] = map.version(of: slot) }
        }
        return versions.isEmpty ? nil : Remains(node: own.id, log: log, versions: versions)
    }

    /// Lists writes of a dead node of this cluster that are not in the copies which this node took over from it; each
    /// slot once. It may be that node's own next life.
    ///
    /// - Returns: how many.
    @discardableResult
    public func settle(_ remains: inout Remains) -> Int {
        guard remains.node == own.id || peer(remains.node) != nil else { return 0 }
        var takenOver: [Int: SlotMap.Record] = [:]
        for (slot, version) in remains.versions where served.contains(slot) {
            var record = map[slot]
            guard record.version.reign > version.reign else { continue }
            if record.takenAt == nil {
                // Its own next life says nowhere how far the copy went that it was given back.
                guard remains.node == own.id else { continue }
                record.takenAt = copyReigns[slot] == version.reign.bits ? copyOffsets[slot] : 0
            }
            takenOver[slot] = record
            remains.versions[slot] = nil
        }
        guard !takenOver.isEmpty else { return 0 }
        let before = lostWrites.count
        lostWrites.add(from: remains.log, of: remains.node, takenOver, because: .died)
        return lostWrites.count - before
    }
}
