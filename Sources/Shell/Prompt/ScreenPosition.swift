import CEdit

/// Where on the screen a text ends, in rows and columns below and right of where it began.
///
/// libedit does not say in which row its cursor is, and whoever wants to print above the line being typed must know.
/// So the text is laid out once more here, by libedit's own rules: a tab goes to the next column that eight divides,
/// control characters take two columns, a wide character that does not fit goes to the next row, and a full row
/// leaves the cursor at the start of the next.
package struct ScreenPosition: Equatable {
    package private(set) var row = 0
    package private(set) var column = 0
    private let columns: Int

    /// - Parameters:
    ///   - promptWidth: columns that the prompt takes in the first row.
    ///   - columns: the terminal's width.
    package init(promptWidth: Int, columns: Int) {
        self.columns = max(1, columns)
        row = promptWidth / self.columns
        column = promptWidth % self.columns
    }

    package mutating func advance(over text: some Sequence<Unicode.Scalar>) {
        for scalar in text { advance(over: scalar) }
    }

    private mutating func advance(over scalar: Unicode.Scalar) {
        switch scalar {
        case "\n":
            row += 1
            column = 0
        case "\t":
            repeat { put(1) } while column % 8 != 0
        case _ where scalar.value < 32 || scalar.value == 127:
            put(1)
            put(1)
        default:
            let width = Int(sdlab_wide_character_width(wchar_t(scalar.value)))
            // What the terminal cannot show, libedit spells out as \U+XXXX.
            if width < 0 { for _ in 0..<(scalar.value > 0xFFFF ? 8 : 7) { put(1) } } else { put(width) }
        }
    }

    private mutating func put(_ width: Int) {
        if column + width > columns {
            row += 1
            column = 0
        }
        column += width
        if column >= columns {
            row += 1
            column = 0
        }
    }
}
