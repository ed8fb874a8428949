import KernelStructures

extension ToxicLine {
    struct Piece {
        var content: Content
        var due: LabTime
    }

    enum Content { case bytes([UInt8]), end }

    struct Stage {
        var toxic: Toxic
        /// Whether this connection is one of those that have it.
        let isActive: Bool
        let since: LabTime
        var pieces = RingQueue<Piece>()
        /// When the last piece may go on: none overtakes another.
        var lastDue: LabTime
        /// Bytes that have passed, for `limit_data`; and until when the line is busy, for `bandwidth`.
        var passedBytes = 0
        var hasSeenBytes = false
        var busyUntil: LabTime

        init(_ toxic: Toxic, isActive: Bool, now: LabTime) {
            self.toxic = toxic
            self.isActive = isActive
            since = now
            lastDue = now
            busyUntil = now
        }

        /// When it breaks the connection off by itself; nil if it does not.
        var breaksAt: LabTime? {
            guard isActive else { return nil }
            switch toxic.kind {
            case .timeout: return toxic["timeout"] > 0 ? since + .milliseconds(toxic["timeout"]) : nil
            case .resetPeer: return since + .milliseconds(toxic["timeout"])
            default: return nil
            }
        }

        /// Puts a piece into a stage, with the time from which it may go on.
        ///
        /// - Returns: bytes that go no further.
        mutating func take(_ content: Content, _ random: inout SeededRandom, _ now: LabTime) -> Int {
            guard isActive else {
                queue(content, due: now)
                return 0
            }
            switch (toxic.kind, content) {
            case (.latency, .bytes):
                let jitter = LabDuration.milliseconds(toxic["jitter"])
                let delay = LabDuration.milliseconds(toxic["latency"])
                queue(content, due: now + max(.zero, delay + (jitter > .zero ? random.jitter(jitter) : .zero)))
            case (.bandwidth, .bytes(let bytes)): throttle(bytes, now)
            case (.slowClose, .end): queue(content, due: now + .milliseconds(toxic["delay"]))
            case (.slicer, .bytes(let bytes)): slice(bytes, &random, now)
            case (.timeout, .bytes(let bytes)): return bytes.count
            case (.timeout, .end): if toxic["timeout"] == 0 { queue(content, due: .distantFuture) }
            case (.limitData, .bytes(let bytes)): return limit(bytes, now)
            default: queue(content, due: now)
            }
            return 0
        }

        private mutating func queue(_ content: Content, due: LabTime) {
            lastDue = max(lastDue, due)
            pieces.append(Piece(content: content, due: lastDue))
        }

        /// At `rate` KB/s, in pieces of a tenth of a second. A rate of 0 lets nothing pass.
        private mutating func throttle(_ bytes: [UInt8], _ now: LabTime) {
            let rate = toxic["rate"]
            guard rate > 0 else { return queue(.bytes(bytes), due: .distantFuture) }
            // 1 KB/s is a byte a millisecond: `rate` bytes are one.
            let size = min(max(1, rate * 100), ToxicLine.pieceBytes)
            for start in stride(from: 0, to: bytes.count, by: size) {
                let piece = Array(bytes[start..<min(start + size, bytes.count)])
                let time = LabDuration(nanoseconds: Int64(Double(piece.count) / Double(rate) * 1e6))
                busyUntil = max(busyUntil, now) + time
                queue(.bytes(piece), due: busyUntil)
            }
        }

        private mutating func slice(_ bytes: [UInt8], _ random: inout SeededRandom, _ now: LabTime) {
            let average = max(1, toxic["average_size"])
            let variation = min(toxic["size_variation"], average - 1)
            let delay = LabDuration.microseconds(toxic["delay"])
            var start = 0
            var due = max(now, lastDue)
            while start < bytes.count {
                let spread = variation > 0 ? random.below(2 * variation + 1) - variation : 0
                // However small: a million pieces of one byte are a way to fill the memory.
                let left = bytes.count - start
                let size = min(left, max(1, average + spread, left / 4096))
                queue(.bytes(Array(bytes[start..<start + size])), due: due)
                start += size
                due = due + delay
            }
        }

        private mutating func limit(_ bytes: [UInt8], _ now: LabTime) -> Int {
            let left = max(0, toxic["bytes"] - passedBytes)
            let count = min(left, bytes.count)
            passedBytes += count
            hasSeenBytes = true
            if count > 0 { queue(.bytes(Array(bytes[..<count])), due: now) }
            return bytes.count - count
        }
    }
}
