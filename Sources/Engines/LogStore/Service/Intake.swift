import KernelStructures
import LogModelEngine
import LogStoreEngine
import TimeSeriesEngine

/// What came in, and what was refused, by reason.
final class IntakeCounts {
    /// Lines of agents that were there already.
    var repeated = 0
    /// Messages of syslog that were none, and were kept as they came.
    var unreadableSyslog = 0
    /// Lines that were kept at the time of their arrival, because the store takes none of their own.
    var retimed = 0
    private(set) var refusals: [String: Int] = [:]

    func refused(_ refusal: LogRefusal) { refusals[refusal.reason, default: 0] += 1 }

    /// Lines and messages that were skipped up to their end, because nobody keeps so much of one.
    func skippedTooLong(_ count: Int) { if count > 0 { refusals["line_too_long", default: 0] += count } }

    var refused: Int { refusals.values.reduce(0, +) }
}

// From lines and messages to entries.
extension LogCollectorHost {
    /// Takes a line that may be JSON.
    ///
    /// - Parameters:
    ///   - readTime: when somebody has read it from a file: its time where it says none. Nanoseconds since 1970.
    ///   - isTold: whether its sender hears of a refusal.
    ///   - isHeld: one that can be taken later is kept until then: that is no refusal.
    ///   - isAdmitted: it is one of a batch that the store has let in.
    func take(
        _ line: UnsafeRawBufferPointer, _ labels: inout LineLabels, readAt readTime: Int64? = nil, isTold: Bool = true,
        isHeld: Bool = false, isAdmitted: Bool = false
    ) -> LogRefusal? {
        guard let store else { return .overloaded }
        let structure = StructuredLine(line)
        let now = now
        let own = labels.labels(of: structure)
        // The clock of whoever has read it may be wrong, which is not the line's fault.
        if structure.time == nil, let readTime {
            return noted(takeUntold(store, own, readTime, line, Labels(), now: now), isHeld: isHeld)
        }
        guard !isTold, let time = structure.time else {
            return noted(
                store.append(own, structure.time ?? now, line, isAdmitted: isAdmitted, now: now), isHeld: isHeld)
        }
        return noted(takeUntold(store, own, time, line, Labels(), now: now), isHeld: isHeld)
    }

    /// Takes an entry of somebody who would not hear of a refusal. One whose time the store does not take is kept at
    /// the time of its arrival, and has what its sender's clock has said as `sender_time`: a clock that is wrong, or
    /// that of a machine outside of the lab, must not cost the lines.
    private func takeUntold(
        _ store: LogStore, _ labels: Labels, _ time: Int64, _ line: UnsafeRawBufferPointer, _ metadata: Labels,
        now: Int64
    ) -> LogRefusal? {
        guard let refusal = store.append(labels, time, line, metadata: metadata, now: now) else { return nil }
        guard refusal.isAboutTime else { return refusal }
        let own = metadata.setting("sender_time", to: "\(LabTime(nanoseconds: time))")
        if let other = store.append(labels, now, line, metadata: own, now: now) { return other }
        if counts.retimed == 0 {
            runtime.log(
                "Of a line the time is refused (\(refusal.reason)): such ones are kept at the time of their arrival",
                level: .warning)
        }
        counts.retimed += 1
        return nil
    }

    /// Takes a message of syslog; one that cannot be read is kept as it came.
    func takeSyslog(_ bytes: UnsafeRawBufferPointer, from sender: String, isHeld: Bool = false) -> LogRefusal? {
        guard let store else { return .overloaded }
        let now = now
        let message: SyslogMessage
        do throws(SyslogMessage.Malformed) {
            message = try SyslogMessage(bytes, now: LabTime(nanoseconds: now))
        } catch {
            let labels = Labels([("job", "syslog"), ("host", sender)])
            let refusal = store.append(
                labels, now, bytes, metadata: Labels([("syslog_error", "\(error)")]), now: now)
            if refusal == nil { counts.unreadableSyslog += 1 }
            return noted(refusal, isHeld: isHeld)
        }
        let entry = SyslogEntry(message, sender: sender)
        return noted(
            (message.text ?? []).withUnsafeBytes {
                takeUntold(store, entry.labels, message.time?.nanoseconds ?? now, $0, entry.metadata, now: now)
            }, isHeld: isHeld)
    }

    func noted(_ refusal: LogRefusal?, isHeld: Bool = false) -> LogRefusal? {
        if let refusal, !(isHeld && refusal.status == 429) { counts.refused(refusal) }
        return refusal
    }
}

/// Where a message of syslog belongs: its sender's name, what wrote it, and how bad it is are labels; the rest is not.
struct SyslogEntry {
    let labels: Labels
    let metadata: Labels

    init(_ message: SyslogMessage, sender: String) {
        labels = Labels([
            ("job", "syslog"), ("host", message.host ?? sender), ("service", message.application ?? ""),
            ("level", message.level), ("facility", message.facilityName),
        ])
        var more: [(String, String)] = [
            ("procid", message.process ?? ""), ("msgid", message.messageID ?? ""), ("severity", message.severityName),
        ]
        for element in message.data {
            for parameter in element.parameters { more.append(("\(element.id)_\(parameter.name)", parameter.value)) }
        }
        metadata = Labels(more)
    }
}
