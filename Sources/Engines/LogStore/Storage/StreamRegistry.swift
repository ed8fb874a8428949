import KernelStructures
import TimeSeriesEngine

/// The streams that have had an entry lately, and what each of them may still do.
struct StreamRegistry {
    private struct State {
        let labels: Labels
        /// For messages.
        let text: String
        var newest = Int64.min
        var lastTaken: Int64
        /// A bucket of bytes that fills up by itself; the time is when it was looked at.
        var bucketBytes: Double
        var bucketTime: Int64
    }

    private var numbers: [Labels: Int] = [:]
    private var states: [Int: State] = [:]
    private var nextNumber = 0
    private var lastSweep = Int64.min

    /// Streams without an entry for so long are forgotten. Nanoseconds.
    private static let idleNanoseconds: Int64 = 3600_000_000_000
    /// Between two looks for such streams. Nanoseconds.
    private static let sweepNanoseconds: Int64 = 60_000_000_000

    var count: Int { states.count }

    /// The number of a stream; no other stream ever has it.
    mutating func stream(_ labels: Labels, _ limits: LogLimits, now: Int64) -> Result<Int, LogRefusal> {
        if let number = numbers[labels] { return .success(number) }
        let text = labels.description
        if let refusal = Self.check(labels, text, limits) { return .failure(refusal) }
        if states.count >= limits.streams { sweep(now) }
        if states.count >= limits.streams {
            return .failure(.tooManyStreams(stream: text, limit: limits.streams))
        }
        nextNumber += 1
        numbers[labels] = nextNumber
        states[nextNumber] = State(
            labels: labels, text: text, lastTaken: now, bucketBytes: Double(limits.streamBurstBytes), bucketTime: now)
        return .success(nextNumber)
    }

    private static func check(_ labels: Labels, _ text: String, _ limits: LogLimits) -> LogRefusal? {
        if labels.isEmpty { return .noLabels }
        let count = labels.count
        if count > limits.labelNames { return .tooManyLabels(stream: text, count: count, limit: limits.labelNames) }
        for (name, value) in labels.pairs {
            if !isName(name) { return .labelNameInvalid(stream: text, name: name) }
            if name.utf8.count > limits.labelNameBytes { return .labelNameTooLong(stream: text, name: name) }
            if value.utf8.count > limits.labelValueBytes { return .labelValueTooLong(stream: text, value: value) }
        }
        return nil
    }

    /// As Prometheus has it, and Loki after it.
    private static func isName(_ name: String) -> Bool {
        guard let first = name.utf8.first, first &- 48 >= 10 else { return false }
        return name.utf8.allSatisfy { $0 == 0x5F || $0 &- 48 < 10 || ($0 | 0x20) &- 97 < 26 }
    }

    private mutating func sweep(_ now: Int64) {
        if lastSweep > Int64.min, now &- lastSweep < Self.sweepNanoseconds { return }
        lastSweep = now
        let idle = states.filter { now &- $0.value.lastTaken > Self.idleNanoseconds }
        for (number, state) in idle {
            states[number] = nil
            numbers[state.labels] = nil
        }
    }

    /// Whether an entry may be taken, but for the rate of its stream.
    func check(
        _ number: Int, _ time: Int64, _ byteCount: Int, _ metadata: Labels, _ limits: LogLimits, now: Int64
    ) -> LogRefusal? {
        guard let state = states[number] else { return nil }
        if byteCount > limits.lineBytes {
            return .lineTooLong(stream: state.text, bytes: byteCount, limit: limits.lineBytes)
        }
        // Packed it is larger, so most need not be added up.
        if metadata.bytes.count > limits.metadataBytes {
            let bytes = metadata.pairs.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count }
            if bytes > limits.metadataBytes {
                return .metadataTooLarge(stream: state.text, bytes: bytes, limit: limits.metadataBytes)
            }
        }
        if limits.maxAgeNanoseconds > 0, time < earlier(now, limits.maxAgeNanoseconds) {
            return .tooOld(stream: state.text, time: time, oldest: earlier(now, limits.maxAgeNanoseconds))
        }
        if limits.creationGraceNanoseconds > 0, time > later(now, limits.creationGraceNanoseconds) {
            return .tooNew(stream: state.text, time: time)
        }
        if limits.outOfOrderNanoseconds > 0, state.newest > Int64.min {
            let oldest = earlier(state.newest, limits.outOfOrderNanoseconds)
            if time < oldest { return .tooFarBehind(stream: state.text, time: time, oldest: oldest) }
        }
        return nil
    }

    // MARK: Rates

    /// Takes bytes out of a stream's bucket, if they are there.
    mutating func charge(_ number: Int, _ byteCount: Int, _ limits: LogLimits, now: Int64) -> LogRefusal? {
        guard limits.streamBytesPerSecond > 0, let place = states.index(forKey: number) else { return nil }
        let filled = Self.filled(states.values[place], limits, now)
        let isRefused = filled < Double(byteCount)
        states.values[place].bucketBytes = isRefused ? filled : filled - Double(byteCount)
        states.values[place].bucketTime = now
        guard isRefused else { return nil }
        return .rateLimited(
            stream: states.values[place].text, bytes: byteCount, limitBytesPerSecond: limits.streamBytesPerSecond)
    }

    private static func filled(_ state: State, _ limits: LogLimits, _ now: Int64) -> Double {
        let passed = max(0, Double(now) - Double(state.bucketTime)) / 1e9
        return min(
            Double(limits.streamBurstBytes), state.bucketBytes + passed * Double(limits.streamBytesPerSecond))
    }

    /// All of a batch, or nothing: see `LogStore.admit`.
    mutating func admit(_ batch: [Labels: Int], _ limits: LogLimits, now: Int64) -> LogRefusal? {
        // In an order that is the same each time.
        let batch = batch.sorted { $0.key < $1.key }
        var new: [Labels] = []
        for (labels, byteCount) in batch {
            if limits.streamBytesPerSecond > 0, byteCount > limits.streamBurstBytes {
                return .batchTooLarge(stream: labels.description, bytes: byteCount, limit: limits.streamBurstBytes)
            }
            guard let state = numbers[labels].flatMap({ states[$0] }) else {
                // What is refused for its labels is no stream; its lines are refused one by one.
                if Self.check(labels, "", limits) == nil { new.append(labels) }
                continue
            }
            if limits.streamBytesPerSecond > 0, Self.filled(state, limits, now) < Double(byteCount) {
                return .rateLimited(
                    stream: state.text, bytes: byteCount, limitBytesPerSecond: limits.streamBytesPerSecond)
            }
        }
        if states.count + new.count > limits.streams { sweep(now) }
        if let first = new.first, states.count + new.count > limits.streams {
            return .tooManyStreams(stream: first.description, limit: limits.streams)
        }
        for (labels, byteCount) in batch {
            // One that was swept away just now comes back.
            guard case .success(let number) = stream(labels, limits, now: now) else { continue }
            _ = charge(number, byteCount, limits, now: now)
        }
        return nil
    }

    /// Whether the stream may have had an entry of that time already.
    func mayBeKnown(_ number: Int, _ time: Int64) -> Bool { time <= states[number]?.newest ?? Int64.max }

    mutating func took(_ number: Int, _ time: Int64, now: Int64) {
        guard let newest = states[number]?.newest else { return }
        if time > newest { states[number]?.newest = time }
        states[number]?.lastTaken = now
    }

    /// A stream that was there before the store was opened: all it may have had is older than `newest`.
    mutating func recovered(_ labels: Labels, newest: Int64, _ limits: LogLimits, now: Int64) {
        guard case .success(let number) = stream(labels, limits, now: now) else { return }
        took(number, newest, now: now)
    }

    private func earlier(_ time: Int64, _ by: Int64) -> Int64 {
        let (result, overflow) = time.subtractingReportingOverflow(by)
        return overflow ? .min : result
    }

    private func later(_ time: Int64, _ by: Int64) -> Int64 {
        let (result, overflow) = time.addingReportingOverflow(by)
        return overflow ? .max : result
    }
}
