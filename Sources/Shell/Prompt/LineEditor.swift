import CEdit
import CommandKit
import Glibc
import KernelLoopback
import KernelStructures

/// Line editing with libedit, on the lab's own loop.
///
/// libedit calls back for each character it wants (`next`). That callback is where the lab lives while somebody types:
/// it lets the loop turn until a character is there. What the lab prints meanwhile goes above the line: up to the
/// line's first row, clear from there, print, and have libedit draw the line again.
final class LineEditor: LineReader {
    let edit: OpaquePointer
    private let history: OpaquePointer
    unowned let host: any LineReaderHost
    private let keyboard: Keyboard
    private let output: HostOutput
    /// The prompt on the screen, and its bytes for libedit.
    private var prompt: PromptText?
    private var promptBytes: UnsafeMutablePointer<CChar>?
    private var isFirstLine = true
    /// Why `next` had no character to give.
    private var outcome: TypedLine?
    /// The line whose colours and ghost are on the screen.
    private var painted: String?
    /// A ghost stands behind the line and has to go before anything else is written.
    private var hasGhost = false
    /// What Tab has done last.
    var tabbed: Tabbed?
    /// Characters that libedit gets before what is typed.
    private var pushed: [Unicode.Scalar] = []

    /// Bytes that may be pasted at once.
    private static let pasteLimitBytes = 4 << 20

    /// Returns nil if libedit cannot work with this terminal.
    init?(_ host: any LineReaderHost, _ keyboard: Keyboard, _ output: HostOutput) {
        sdlab_use_locale()
        guard let edit = sdlab_edit_open("sdlab"), let history = history_init() else { return nil }
        self.edit = edit
        self.history = history
        self.host = host
        self.keyboard = keyboard
        self.output = output
        _ = sdlab_history_size(history, Int32(TypedHistory.limit))
        _ = sdlab_history_unique(history, 1)
        _ = sdlab_edit_client_data(edit, Unmanaged.passUnretained(self).toOpaque())
        _ = sdlab_edit_signals(edit, 0)
        _ = sdlab_edit_editor(edit, "emacs")
        _ = sdlab_edit_history(edit, history)
        _ = sdlab_edit_prompt(edit, { editor($0)?.promptBytes }, 1)
        _ = sdlab_edit_getc(edit) { edit, character in
            guard let scalar = editor(edit)?.next() else { return 0 }
            character?.pointee = wchar_t(scalar.value)
            return 1
        }
        bindKeys()
    }

    deinit {
        el_end(edit)
        history_end(history)
        free(promptBytes)
    }

    private func bindKeys() {
        let functions: [(String, String, sdlab_key_function)] = [
            ("sdlab-complete", "completes the word", { edit, _ in editor(edit)?.complete(.forwards) ?? 0 }),
            (
                "sdlab-complete-back", "the candidate before",
                { edit, _ in editor(edit)?.complete(.backwards) ?? 0 }
            ),
            ("sdlab-paste", "inserts what is pasted", { edit, _ in editor(edit)?.paste() ?? 0 }),
            // A paste's end without its beginning: of a paste that was broken off.
            ("sdlab-nothing", "does nothing", { _, _ in UInt8(CC_NORM) }),
            (
                "sdlab-older", "an older line with this beginning",
                { edit, _ in editor(edit)?.recall { $0.older(than: $1) } ?? 0 }
            ),
            (
                "sdlab-newer", "a newer line with this beginning",
                { edit, _ in editor(edit)?.recall { $0.newer(than: $1) } ?? 0 }
            ),
            ("sdlab-up", "a row up, or an older line", { edit, _ in editor(edit)?.up() ?? 0 }),
            ("sdlab-down", "a row down, or a newer line", { edit, _ in editor(edit)?.down() ?? 0 }),
            ("sdlab-newline", "begins another line", { edit, _ in editor(edit)?.beginLine() ?? 0 }),
            ("sdlab-forward", "goes right, or takes the ghost", { edit, _ in editor(edit)?.forward() ?? 0 }),
            (
                "sdlab-end", "deletes a character, or ends an empty line",
                { edit, _ in editor(edit)?.deleteOrEnd() ?? 0 }
            ),
        ]
        for (name, help, function) in functions { _ = sdlab_edit_function(edit, name, help, function) }
        let keys = [
            ("^I", "sdlab-complete"), ("\\e[Z", "sdlab-complete-back"), ("\\e[200~", "sdlab-paste"),
            ("\\e[201~", "sdlab-nothing"), ("\\ex", "sdlab-nothing"),
            ("\\e[A", "sdlab-up"), ("\\eOA", "sdlab-up"), ("^P", "sdlab-older"),
            ("\\e[B", "sdlab-down"), ("\\eOB", "sdlab-down"), ("^N", "sdlab-newer"),
            ("\\e^M", "sdlab-newline"), ("\\e^J", "sdlab-newline"),
            ("\\e[C", "sdlab-forward"), ("\\eOC", "sdlab-forward"), ("^F", "sdlab-forward"),
            ("^D", "sdlab-end"), ("^R", "em-inc-search-prev"), ("^W", "ed-delete-prev-word"),
            ("\\e[H", "ed-move-to-beg"), ("\\eOH", "ed-move-to-beg"), ("\\e[1~", "ed-move-to-beg"),
            ("\\e[F", "ed-move-to-end"), ("\\eOF", "ed-move-to-end"), ("\\e[4~", "ed-move-to-end"),
            ("\\e[3~", "ed-delete-next-char"), ("\\e[1;5C", "em-next-word"), ("\\e[1;5D", "ed-prev-word"),
        ]
        for (key, function) in keys { _ = sdlab_edit_bind(edit, key, function) }
    }

    var columns: Int { Int(sdlab_edit_columns(edit)) }
    func remember(_ line: String) { _ = sdlab_history_enter(history, line) }

    // MARK: Reading

    func showsTyping(_ shows: Bool) { _ = sdlab_edit_prepare(edit, shows ? 0 : 1) }

    func read(_ prompt: PromptText) -> TypedLine {
        isFirstLine = prompt != .continuation
        show(prompt)
        outcome = nil
        painted = nil
        hasGhost = false
        tabbed = nil
        pushed = []
        keyboard.isOpen = true
        _ = sdlab_edit_prepare(edit, 1)
        // What was typed ahead stands here already, echoed by the kernel; libedit will show it again.
        output.write("\r\u{1B}[K\u{1B}[?2004h")
        var count: Int32 = 0
        let line = el_wgets(edit, &count)
        sdlab_edit_flush()
        output.write("\u{1B}[?2004l")
        keyboard.isOpen = false
        self.prompt = nil
        if let outcome { return outcome }
        guard let line, count > 0 else { return .endOfInput }
        var scalars = Self.scalars(line, Int(count))
        if scalars.last == "\n" || scalars.last == "\r" { scalars.removeLast() }
        return .line(String(scalars))
    }

    private func show(_ prompt: PromptText) {
        self.prompt = prompt
        free(promptBytes)
        promptBytes = strdup(prompt.text)
    }

    /// The next character for libedit; nil ends the line, with the reason in `outcome`.
    private func next() -> Unicode.Scalar? {
        while true {
            if isInterrupted() { return nil }
            if let scalar = pushed.popLast() { return scalar }
            if let scalar = keyboard.nextScalar() {
                hideGhost()
                if scalar == "\r" || scalar == "\n", host.isUnfinished(String(text)) {
                    // Enter goes to the next line of the same text, which stays editable as a whole: as Alt-Enter.
                    pushed = [scalar]
                    return "\u{1B}"
                }
                return scalar
            }
            if hasEnded() { return nil }
            paint()
            host.turn()
        }
    }

    private func isInterrupted() -> Bool {
        guard let interruption = host.takeInterruption() else { return false }
        hideGhost()
        moveToEnd()
        outcome = interruption
        // What was given up can be had back with Up.
        let abandoned = String(text)
        if interruption == .interrupted, host.history.add(abandoned) { remember(abandoned) }
        return true
    }

    private func hasEnded() -> Bool {
        if keyboard.hasEnded { outcome = .ended }
        return keyboard.hasEnded
    }

    /// Leaves the cursor after the last row of the line, where something else can be printed.
    private func moveToEnd() {
        clearLine(columns: columns)
        _ = el_cursor(edit, Int32(text.count))
        _ = sdlab_edit_refresh(edit)
    }

    // MARK: The line being typed

    private var text: String.UnicodeScalarView {
        let line = el_wline(edit)!.pointee
        return Self.scalars(line.buffer, line.lastchar - line.buffer)
    }

    /// Scalars of the line.
    private var length: Int {
        let line = el_wline(edit)!.pointee
        return line.lastchar - line.buffer
    }

    var textBeforeCursor: String.UnicodeScalarView {
        let line = el_wline(edit)!.pointee
        return Self.scalars(line.buffer, line.cursor - line.buffer)
    }

    private static func scalars(_ start: UnsafePointer<wchar_t>, _ count: Int) -> String.UnicodeScalarView {
        .init(
            UnsafeBufferPointer(start: start, count: count).lazy.map {
                Unicode.Scalar(UInt32(bitPattern: $0)) ?? "\u{FFFD}"
            })
    }

    private func replaceLine(_ text: String) {
        withWide(text) { _ = el_wreplacestr(edit, $0) }
        _ = el_cursor(edit, Int32(text.unicodeScalars.count))
    }

    func insert(_ text: String) -> Bool { withWide(text) { el_winsertstr(edit, $0) == 0 } }

    private func withWide<R>(_ text: String, _ body: (UnsafePointer<wchar_t>) -> R) -> R {
        let scalars = text.unicodeScalars.map { wchar_t($0.value) } + [0]
        return scalars.withUnsafeBufferPointer { body($0.baseAddress!) }
    }

    // MARK: Colours and ghosts

    /// Draws the line once more over itself, in colours, with the ghost behind it. libedit knows nothing of that: the
    /// characters are its own, and the cursor comes back to where it was. A line of several rows stays as it is.
    private func paint() {
        guard host.usesColor, isFirstLine, let prompt, length < columns else { return }
        let line = String(text)
        guard painted != line else { return }
        painted = line
        guard !line.isEmpty, line.unicodeScalars.allSatisfy({ $0.value >= 32 && $0.value != 127 }),
            prompt.width + displayWidth(line) < columns - 1
        else { return }
        let paint = host.paint(line)
        let room = columns - 1 - prompt.width - displayWidth(line)
        let isAtEnd = textBeforeCursor.count == line.unicodeScalars.count
        let ghost = isAtEnd && displayWidth(paint.ghost) <= room ? paint.ghost : ""
        hasGhost = !ghost.isEmpty
        sdlab_edit_flush()
        output.write(
            "\u{1B}7\r\u{1B}[\(prompt.width)C" + paint.colored
                + (ghost.isEmpty ? "" : "\u{1B}[2m\(ghost)\u{1B}[0m") + "\u{1B}8")
    }

    private func hideGhost() {
        painted = nil
        guard hasGhost else { return }
        hasGhost = false
        sdlab_edit_flush()
        output.write("\u{1B}[K")
    }

    // MARK: Above the line

    func printAbove(_ bytes: [UInt8]) {
        guard prompt != nil else { return output.write(bytes, isError: false) }
        clearLine(columns: columns)
        output.write(bytes, isError: false)
        redraw()
    }

    func resize() {
        guard HostLimits.terminalCells <= HostLimits.editableCells else { return }
        guard prompt != nil else { return el_resize(edit) }
        // The terminal has wrapped the line anew by now.
        clearLine(columns: HostLimits.terminalColumns ?? columns)
        el_resize(edit)
        redraw()
    }

    private func clearLine(columns: Int) {
        sdlab_edit_flush()
        var position = ScreenPosition(promptWidth: prompt?.width ?? 0, columns: columns)
        position.advance(over: textBeforeCursor)
        let row = min(position.row, Int(sdlab_edit_rows(edit)) - 1)
        output.write("\r" + (row > 0 ? "\u{1B}[\(row)A" : "") + "\u{1B}[J")
    }

    private func redraw() {
        painted = nil
        hasGhost = false
        if isFirstLine { show(host.currentPrompt()) }
        _ = sdlab_edit_refresh(edit)
    }

    // MARK: Keys

    /// Right: within the line to the next character, at its end into the ghost.
    private func forward() -> UInt8 {
        let before = textBeforeCursor.count
        let whole = text
        if before < whole.count {
            _ = el_cursor(edit, 1)
            return UInt8(CC_REFRESH)
        }
        let paint = host.paint(String(whole))
        guard paint.isGhostTakeable else { return UInt8(CC_REFRESH_BEEP) }
        return insert(paint.ghost) ? UInt8(CC_REFRESH) : UInt8(CC_ERROR)
    }

    private func paste() -> UInt8 {
        var pasted: [UInt8] = []
        while !keyboard.takePasted(into: &pasted) {
            if pasted.count > Self.pasteLimitBytes { break }
            if isInterrupted() || hasEnded() {
                // What is still to come of it was not wanted, and must not be taken for typed lines.
                keyboard.dropRestOfPaste()
                return UInt8(CC_EOF)
            }
            host.turn()
        }
        guard pasted.count <= Self.pasteLimitBytes else {
            keyboard.dropRestOfPaste()
            let limit = "more than \(byteCountText(Self.pasteLimitBytes)) at once"
            printAbove(Array("sdlab: \(limit) cannot be pasted; none of it was taken\n".utf8))
            return UInt8(CC_REFRESH_BEEP)
        }
        let text = TypedText.cleaned(String(decoding: pasted, as: UTF8.self).unicodeScalars)
        return insert(text) ? UInt8(CC_REFRESH) : UInt8(CC_ERROR)
    }

    /// libedit's own Ctrl-D writes `^D` before it ends.
    private func deleteOrEnd() -> UInt8 {
        let before = Int32(textBeforeCursor.count)
        let count = Int32(text.count)
        if count == 0 { return UInt8(CC_EOF) }
        if before == count { return UInt8(CC_REFRESH_BEEP) }
        el_deletestr1(edit, before, before + 1)
        return UInt8(CC_REFRESH)
    }

    // MARK: Several lines

    private func beginLine() -> UInt8 { insert("\n") ? UInt8(CC_REFRESH) : UInt8(CC_ERROR) }

    /// Up: within a text of several lines to the line above, from the first one to older entries.
    private func up() -> UInt8 {
        let before = String(textBeforeCursor)
        guard let end = before.unicodeScalars.lastIndex(of: "\n") else { return recall { $0.older(than: $1) } }
        let above = before.unicodeScalars[..<end]
        let start = above.lastIndex(of: "\n").map { above.index(after: $0) } ?? above.startIndex
        let column = before.unicodeScalars.distance(from: end, to: before.unicodeScalars.endIndex) - 1
        let width = above.distance(from: start, to: above.endIndex)
        // Back to the newline, and from there to the same column.
        _ = el_cursor(edit, Int32(-column - 1 - max(0, width - column)))
        return UInt8(CC_REFRESH)
    }

    private func down() -> UInt8 {
        let all = Array(text)
        let place = textBeforeCursor.count
        guard let end = all[place...].firstIndex(of: "\n") else { return recall { $0.newer(than: $1) } }
        let start = all[..<place].lastIndex(of: "\n").map { $0 + 1 } ?? 0
        let width = (all[(end + 1)...].firstIndex(of: "\n") ?? all.count) - end - 1
        _ = el_cursor(edit, Int32(end + 1 + min(place - start, width) - place))
        return UInt8(CC_REFRESH)
    }

    private func recall(_ find: (TypedHistory, String) -> String?) -> UInt8 {
        guard let entry = find(host.history, String(text)) else { return UInt8(CC_REFRESH_BEEP) }
        replaceLine(entry)
        return UInt8(CC_REFRESH)
    }
}

/// The editor behind a C callback.
private func editor(_ edit: OpaquePointer?) -> LineEditor? {
    guard let edit, let data = sdlab_edit_get_client_data(edit) else { return nil }
    return Unmanaged<LineEditor>.fromOpaque(data).takeUnretainedValue()
}
