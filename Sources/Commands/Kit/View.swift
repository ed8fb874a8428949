import KernelJSON
import KernelStructures

/// What a command found out, before anybody decided how to show it.
public struct View: Sendable {
    public enum Content: Sendable {
        case table(Table)
        /// Names and values, one a line.
        case record([Field])
        /// Text that is to be shown as it is; `json` is its form for programs.
        case text(String, json: JSONValue)
        /// Sentences and lists, written for 80 columns: broken anew for a terminal that has fewer.
        case prose(String, json: JSONValue)
    }

    /// Shown in this order, with an empty line between.
    public var parts: [Content]
    /// The form for programs, where it is not simply that of the parts.
    public var json: JSONValue?

    public init(_ parts: Content...) { self.parts = parts }

    public struct Field: Sendable {
        public let name: String
        public let key: String
        public let cell: Cell
        /// - Parameter key: what programs call it; people may see other words.
        public init(_ name: String, key: String, _ cell: Cell) {
            self.name = name
            self.key = key
            self.cell = cell
        }
    }

    /// A value for people and for programs.
    public struct Cell: Sendable {
        public let text: String
        public let json: JSONValue
        public let style: Style

        /// - Parameter text: may come from outside; it is shown so that it cannot steer a terminal, and on one line.
        public init(_ text: String, json: JSONValue, style: Style = .plain) {
            self.text = printable(text)
            self.json = json
            self.style = style
        }

        public static func text(_ text: String, style: Style = .plain) -> Cell {
            Cell(text, json: .string(text), style: style)
        }
        public static func integer(_ number: Int, style: Style = .plain) -> Cell {
            Cell(String(number), json: .integer(number), style: style)
        }
        public static func duration(_ duration: LabDuration) -> Cell {
            Cell(duration.rounded, json: .milliseconds(duration))
        }
        /// Nothing to say.
        public static let none = Cell("-", json: .null, style: .faint)
    }

    public enum Style: Sendable { case plain, good, bad, warning, faint, strong }

    public struct Table: Sendable {
        public struct Column: Sendable {
            public let title: String
            public let key: String
            public let isRight: Bool
            /// May be cut short when the table is wider than the terminal.
            public let isFlexible: Bool

            /// - Parameter key: what programs call it; people may see other words.
            public init(_ title: String, key: String, right: Bool = false, flexible: Bool = false) {
                self.title = title
                self.key = key
                isRight = right
                isFlexible = flexible
            }
        }

        public var columns: [Column]
        public var rows: [[Cell]]
        /// Shown instead of a table without rows.
        public var whenEmpty: String

        public init(_ columns: [Column], rows: [[Cell]], whenEmpty: String) {
            self.columns = columns
            self.rows = rows
            self.whenEmpty = whenEmpty
        }
    }
}

/// Turns views into text: plain and 80 columns wide wherever nobody said otherwise, so that views can stand in
/// transcripts.
public struct ViewRenderer: Sendable {
    public var columns: Int
    public var usesColor: Bool
    /// Whether cells are shortened for a line to fit into the columns. What goes to a program has all of them.
    public var cutsCells = true

    public init(columns: Int = 80, usesColor: Bool = false) {
        self.columns = columns
        self.usesColor = usesColor
    }

    public func plain(_ view: View) -> String {
        view.parts.map { part in
            switch part {
            case .table(let table): render(table)
            case .record(let fields): render(fields)
            case .text(let text, _): Self.ended(shown(text))
            case .prose(let text, _): Self.ended(shown(columns < 80 ? reflowed(text, columns: columns) : text))
            }
        }.joined(separator: "\n")
    }

    /// What stands in it may come from outside: it cannot steer a terminal.
    private func shown(_ text: String) -> String { printable(text, keeping: "\n\t") }

    private static func ended(_ text: String) -> String { text.isEmpty || text.hasSuffix("\n") ? text : text + "\n" }

    public func json(_ view: View) -> String { value(of: view).text + "\n" }

    /// A view as programs see it.
    public func value(of view: View) -> JSONValue {
        if let json = view.json { return json }
        let values = view.parts.map { part -> JSONValue in
            switch part {
            case .table(let table):
                .array(table.rows.map { row in .object(zip(table.columns, row).map { ($0.key, $1.json) }) })
            case .record(let fields): .object(fields.map { ($0.key, $0.cell.json) })
            case .text(_, let json), .prose(_, let json): json
            }
        }
        return values.count == 1 ? values[0] : .array(values)
    }

    private func render(_ whole: View.Table) -> String {
        if whole.rows.isEmpty { return whole.whenEmpty + "\n" }
        let (table, droppedCount) = narrowed(whole)
        var widths = Self.widths(of: table)
        shrink(&widths, table)
        let titles = table.columns.map { View.Cell($0.title, json: .null, style: .strong) }
        var text = line(titles, table.columns, widths)
        for row in table.rows { text += line(row, table.columns, widths) }
        guard droppedCount > 0 else { return text }
        return text + styled("(\(counted(droppedCount, "more column")): --json)", .faint) + "\n"
    }

    private static func widths(of table: View.Table) -> [Int] {
        table.columns.enumerated().map { index, column in
            max(displayWidth(column.title), table.rows.map { displayWidth($0[index].text) }.max() ?? 0)
        }
    }

    /// On a terminal of less than 80 columns a table loses columns at its end rather than break its lines; two stay
    /// whatever happens.
    private func narrowed(_ table: View.Table) -> (View.Table, droppedCount: Int) {
        guard columns < 80, cutsCells else { return (table, 0) }
        let widths = Self.widths(of: table)
        func least(_ count: Int) -> Int {
            (0..<count).reduce(2 * (count - 1)) { sum, index in
                sum + (table.columns[index].isFlexible ? min(widths[index], 8) : widths[index])
            }
        }
        var count = table.columns.count
        while count > 2, least(count) > columns { count -= 1 }
        guard count < table.columns.count else { return (table, 0) }
        let kept = View.Table(
            Array(table.columns[..<count]), rows: table.rows.map { Array($0[..<count]) }, whenEmpty: table.whenEmpty)
        return (kept, table.columns.count - count)
    }

    /// Takes what is too much from the flexible columns, the widest first, and leaves each eight columns at least.
    private func shrink(_ widths: inout [Int], _ table: View.Table) {
        guard cutsCells else { return }
        let flexible = table.columns.indices.filter { table.columns[$0].isFlexible }
        var excess = widths.reduce(0, +) + 2 * (widths.count - 1) - columns
        for column in flexible.sorted(by: { widths[$0] > widths[$1] }) where excess > 0 && widths[column] > 8 {
            let width = max(8, widths[column] - excess)
            excess -= widths[column] - width
            widths[column] = width
        }
    }

    private func line(_ cells: [View.Cell], _ columns: [View.Table.Column], _ widths: [Int]) -> String {
        var line = ""
        for (index, cell) in cells.enumerated() {
            let width = displayWidth(cell.text)
            let text = width > widths[index] ? shortened(cell.text, to: widths[index]) : cell.text
            // What was cut may end a column early, before a wide character.
            let shown = width > widths[index] ? displayWidth(text) : width
            let space = String(repeating: " ", count: max(0, widths[index] - shown))
            let isLast = index == cells.count - 1
            line +=
                columns[index].isRight
                ? space + styled(text, cell.style) : styled(text, cell.style) + (isLast ? "" : space)
            if !isLast { line += "  " }
        }
        while line.hasSuffix(" ") { line.removeLast() }
        return line + "\n"
    }

    private func render(_ fields: [View.Field]) -> String {
        let width = fields.map { displayWidth($0.name) }.max() ?? 0
        return fields.map { field in
            let space = String(repeating: " ", count: width - displayWidth(field.name))
            return "\(field.name)\(space)  \(styled(field.cell.text, field.cell.style))\n"
        }.joined()
    }

    private func shortened(_ text: String, to width: Int) -> String {
        guard displayWidth(text) > width else { return text }
        var result = ""
        for character in text where displayWidth(result) + displayWidth(String(character)) < width {
            result.append(character)
        }
        return result + "…"
    }

    private func styled(_ text: String, _ style: View.Style) -> String {
        guard usesColor, style != .plain else { return text }
        let code =
            switch style {
            case .plain: "0"
            case .good: "32"
            case .bad: "31"
            case .warning: "33"
            case .faint: "2"
            case .strong: "1"
            }
        return "\u{1B}[\(code)m\(text)\u{1B}[0m"
    }
}

/// Columns that text takes in a terminal: two for wide East Asian characters and emoji, none for combining marks.
public func displayWidth(_ styled: String) -> Int {
    let text = withoutStyles(styled)
    return plainWidth(text)
        ?? text.reduce(0) { total, character in
            guard let scalar = character.unicodeScalars.first else { return total }
            if scalar.isASCII { return total + (scalar.value >= 32 ? 1 : 0) }
            let isWide =
                (0x1100...0x115F).contains(scalar.value) || (0x2E80...0xA4CF).contains(scalar.value)
                || (0xAC00...0xD7A3).contains(scalar.value) || (0xF900...0xFAFF).contains(scalar.value)
                || (0xFE30...0xFE6F).contains(scalar.value) || (0xFF00...0xFF60).contains(scalar.value)
                || (0x1F300...0x1F64F).contains(scalar.value) || (0x1F900...0x1F9FF).contains(scalar.value)
            return total + (isWide ? 2 : 1)
        }
}

/// The width of text whose characters are one scalar each and one column wide, which is nearly all text: no need to
/// look for clusters. Nil for any other.
private func plainWidth(_ text: String) -> Int? {
    var width = 0
    for scalar in text.unicodeScalars {
        let value = scalar.value
        if value < 0x80 {
            width += value >= 32 ? 1 : 0
        } else if value < 0x300 || (0x2010...0x20CF).contains(value) || (0x2100...0x28FF).contains(value) {
            width += 1
        } else {
            return nil
        }
    }
    return width
}
