import KernelJSON
import KernelStructures

// What views are drawn with beside tables: bars, plots and lanes. All are plain text of at most 80 columns, the same
// for
// the same values, in block characters unless somebody asked for others.

/// Bars at one scale: as long as a value is of the largest one.
public struct BarScale: Sendable {
    private let glyph: Character
    private let top: Double
    private let width: Int

    /// - Parameters:
    ///   - top: the value that fills the width; with 0 or less, all bars are empty.
    ///   - width: columns of the longest bar.
    public init(_ glyphs: Sparkline.Glyphs, top: Double, width: Int = 24) {
        glyph =
            switch glyphs {
            case .block: "█"
            case .braille: "⣿"
            case .ascii: "#"
            }
        self.top = top
        self.width = max(0, min(width, 200))
    }

    /// A value that is no number, or less than 0, has no bar; one beyond the top has the longest.
    public func text(_ value: Double) -> String {
        guard top > 0, value.isFinite, value > 0 else { return "" }
        return String(repeating: glyph, count: Int((min(1, value / top) * Double(width)).rounded()))
    }

    /// The bar as a cell; programs get the number.
    public func cell(_ value: Double) -> View.Cell { .init(text(value), json: .number(value)) }
}

/// A curve over time in several rows, with its scale beside it.
public struct Plot: Sendable {
    private let glyphs: Sparkline.Glyphs
    private let height: Int
    /// That are shown.
    public static let columnLimit = 60

    /// - Parameter height: rows, 1 to 20.
    public init(_ glyphs: Sparkline.Glyphs = .block, height: Int = 5) {
        self.glyphs = glyphs
        self.height = max(1, min(height, 20))
    }

    /// - Parameters:
    ///   - values: one a column, the oldest first; at most 60 are shown, the newest. Zero, and what is below it, is a
    ///     line at the bottom; what is no finite number is blank: there is no value.
    ///   - label: a value as it stands at the scale.
    ///   - moment: what stands below a column, by its number: the first and the last that are shown have it.
    public func view(_ values: [Double], moment: ((Int) -> String)? = nil, label: (Double) -> String) -> View.Content {
        let shown = values.suffix(Self.columnLimit).map { $0.isFinite ? max(0, $0) : .nan }
        let top = shown.filter(\.isFinite).max() ?? 0
        let labels = [label(top), label(0)]
        let width = labels.map(displayWidth).max() ?? 0
        var text = ""
        for row in (0..<height).reversed() {
            let name = row == height - 1 ? labels[0] : row == 0 ? labels[1] : ""
            text += String(repeating: " ", count: width - displayWidth(name)) + name + " │"
            var line = ""
            for value in shown { line.append(character(value, top, row)) }
            while line.last == " " { line.removeLast() }
            text += line + "\n"
        }
        if let moment, !shown.isEmpty {
            let (first, last) = (moment(values.count - shown.count), moment(values.count - 1))
            let room = shown.count - displayWidth(first) - displayWidth(last)
            let between = room > 0 ? String(repeating: " ", count: room) : " … "
            text += String(repeating: " ", count: width) + " └" + (shown.count == 1 ? first : first + between + last)
            text += "\n"
        }
        return .text(text, json: .array(values.map { .number($0) }))
    }

    private func character(_ value: Double, _ top: Double, _ row: Int) -> Character {
        guard value.isFinite else { return " " }
        // Nothing is not the same as no value.
        if value == 0 { return row == 0 ? "_" : " " }
        let filled = value / top * Double(height) - Double(row)
        if filled >= 1 { return glyphs == .ascii ? "#" : glyphs == .braille ? "⣿" : "█" }
        if filled <= 0 { return " " }
        let steps: [Character] =
            switch glyphs {
            case .block: Array("▁▂▃▄▅▆▇█")
            case .braille: Array("⣀⣤⣶⣿")
            case .ascii: Array(".:#")
            }
        return steps[min(steps.count - 1, Int(filled * Double(steps.count)))]
    }
}

/// A row for each moment and a lane for each node: what happened where, and what went from one to the other.
public struct Lanes: Sendable {
    /// One thing that happened.
    public struct Event: Sendable {
        let time: String
        /// Where it stands; -1 for an unknown lane, which is not shown.
        let lane: Int
        /// The lane that it goes to; nil for what stays in one.
        let target: Int?
        let text: String

        public init(time: String, lane: Int, target: Int? = nil, _ text: String) {
            self.time = time
            self.lane = lane
            self.target = target
            self.text = text
        }
    }

    private let names: [String]
    private let columns: Int

    /// Lanes that have room beside one another.
    public static let limit = 8

    /// - Parameter names: the lanes from left to right, at least one; more than `limit` are left out.
    public init(_ names: [String], columns: Int = 80) {
        self.names = Array(names.prefix(Self.limit))
        self.columns = max(40, min(columns, 400))
    }

    public func view(_ events: [Event]) -> View.Content {
        let timeWidth = events.map { displayWidth($0.time) }.max() ?? 0
        let laneWidth = names.isEmpty ? 0 : (columns - timeWidth - 2) / names.count
        var text = String(repeating: " ", count: timeWidth + 2)
        text += names.map { padded($0, laneWidth) }.joined().trimmingEnd + "\n"
        for event in events where names.indices.contains(event.lane) {
            text += padded(event.time, timeWidth) + "  " + line(event, laneWidth).trimmingEnd + "\n"
        }
        let json = events.map { event -> JSONValue in
            .object([
                ("time", .string(event.time)),
                ("lane", names.indices.contains(event.lane) ? .string(names[event.lane]) : .null),
                ("target", event.target.flatMap { names.indices.contains($0) ? .string(names[$0]) : nil } ?? .null),
                ("text", .string(event.text)),
            ])
        }
        return .text(text, json: .array(json))
    }

    private func line(_ event: Event, _ width: Int) -> String {
        guard let target = event.target, target != event.lane, names.indices.contains(target) else {
            let room = (names.count - event.lane) * width
            return String(repeating: " ", count: event.lane * width) + shortened(event.text, room)
        }
        let left = min(event.lane, target)
        let span = abs(target - event.lane) * width
        let label = shortened(event.text, max(0, span - 4))
        let dashes = String(repeating: "─", count: max(1, span - 3 - displayWidth(label)))
        let arrow = target > event.lane ? "\(label) \(dashes)▶ " : "◀\(dashes) \(label) "
        return String(repeating: " ", count: left * width) + arrow
    }

    private func shortened(_ text: String, _ width: Int) -> String {
        guard displayWidth(text) > width else { return text }
        var result = ""
        for character in text where displayWidth(result) + displayWidth(String(character)) < width {
            result.append(character)
        }
        return width > 0 ? result + "…" : ""
    }

    private func padded(_ text: String, _ width: Int) -> String {
        let text = shortened(text, width)
        return text + String(repeating: " ", count: max(0, width - displayWidth(text)))
    }
}

extension String {
    fileprivate var trimmingEnd: String {
        var slice = self[...]
        while slice.last == " " { slice.removeLast() }
        return String(slice)
    }
}
