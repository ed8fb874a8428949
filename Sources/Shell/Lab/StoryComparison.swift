import CommandKit
import KernelStructures
import KernelWorld
import ShellSession

/// Lays what happened in two sessions side by side and says where they first differ.
///
/// Place by place (a node, a terminal, the end of a command), the first event of one is compared with the first of the
/// other, and so on. Where all was virtual, times and texts have to be equal; otherwise texts have holes where they
/// hold measurements, and times may differ by a tolerance that grows with the session: each timer is a little late by
/// the host's clock, and the next one begins there.
struct StoryComparison {
    private let isExact: Bool
    private let end: LabTime
    private let epoch: LabTime
    private let tolerance: LabDuration
    /// What differs, as a sentence without a period; nil if nothing does.
    private(set) var difference: String?

    /// - Parameter isExact: whether nothing but the inputs can have decided.
    init(_ original: Session, _ again: Session, until end: LabTime, isExact: Bool) {
        self.isExact = isExact
        self.end = end
        epoch = original.world.epoch
        let elapsed = end - epoch
        tolerance =
            isExact ? .zero : .milliseconds(250) + LabDuration(nanoseconds: elapsed.nanoseconds / 100)
        let own = Self.ownCommands(original)
        let then = Lanes(original.inputs, leavingOut: own)
        let now = Lanes(again.inputs, leavingOut: own)
        var first: (time: LabTime, text: String)?
        for place in then.places + now.places.filter({ then.events[$0] == nil }) {
            guard let found = compare(place, then, now), found.time < first?.time ?? .distantFuture else { continue }
            first = found
        }
        guard let first else { return }
        difference = (isExact ? "it does not go the same way again: " : "real time took part: ") + first.text
    }

    /// Commands about the session itself: how they end depends on who is there to do it.
    private static func ownCommands(_ session: Session) -> Set<String> {
        let own = session.commands.commands.map(\.description).filter { $0.group == .session }.map(\.name)
        return Set(own + ["back", "fork"])
    }

    /// What happened at each place.
    private struct Lanes {
        var events: [String: [JournalEvent]] = [:]
        /// In the order of their first event.
        var places: [String] = []
        /// How many came before those, and are not known any more.
        let forgotten: [String: Int]

        init(_ inputs: SessionInputs, leavingOut own: Set<String>) {
            forgotten = inputs.forgotten
            for index in 0..<inputs.story.count {
                let event = inputs.story[index]
                if case .exit(let command, _) = event.body, own.contains(command) { continue }
                guard let place = SessionInputs.place(of: event) else { continue }
                if events[place] == nil { places.append(place) }
                events[place, default: []].append(event)
            }
        }

        /// The event of that number at a place, counting from 0; nil beyond the last.
        subscript(place: String, index: Int) -> JournalEvent? {
            let kept = index - (forgotten[place] ?? 0)
            return events[place].flatMap { kept >= 0 && kept < $0.count ? $0[kept] : nil }
        }
    }

    private func compare(_ place: String, _ then: Lanes, _ now: Lanes) -> (time: LabTime, text: String)? {
        var index = max(then.forgotten[place] ?? 0, now.forgotten[place] ?? 0)
        while true {
            let old = then[place, index]
            let new = now[place, index]
            guard isBeforeEnd(old) || isBeforeEnd(new) else { return nil }
            guard let old, let new, text(old) == text(new), isNear(old.time, new.time) else {
                let time = min(old?.time ?? .distantFuture, new?.time ?? .distantFuture)
                return (
                    time,
                    "at \((time - epoch).rounded), \(place), there was \(described(old)), and "
                        + "\(described(new)) when it was run again"
                )
            }
            index += 1
        }
    }

    private func isBeforeEnd(_ event: JournalEvent?) -> Bool { event.map { $0.time < end - tolerance } ?? false }

    private func isNear(_ a: LabTime, _ b: LabTime) -> Bool { (a > b ? a - b : b - a) <= tolerance }

    private func described(_ event: JournalEvent?) -> String {
        guard let event else { return "nothing" }
        let time = (event.time - epoch).rounded
        return "'\(event.body.description.split(separator: "\n").first ?? "")' (\(time))"
    }

    private func text(_ event: JournalEvent) -> String {
        if isExact { return event.body.description }
        return switch event.body {
        case .log(let line): "[\(line.tag)] \(line.message.template)"
        case .state(let subject, let from, let to, _): "\(subject): \(from) -> \(to)"
        case .fault(_, let change, let text): "\(change.rawValue) \(text)"
        default: event.body.description
        }
    }
}
