import CEdit
import Glibc
import KernelLoopback

/// Line editing with libedit, on the lab's own loop.
///
/// libedit calls back for each character it wants (`next`). That callback is where the lab lives while somebody types:
/// it lets the loop turn until a character is there. What the lab prints meanwhile goes above the line: up to the
/// line's first row, clear from there, print, and have libedit draw the line again.
final class LineEditor: LineReader {
    private let edit: OpaquePointer
    private let history: OpaquePointer
    private unowned let host: any LineReaderHost
    private let keyboard: Keyboard
    private let output: HostOutput
    /// The prompt on the screen, and its bytes for libedit.
    private var prompt: PromptText?
    private var promptBytes: UnsafeMutablePointer<CChar>?
    private var isFirstLine = true
    /// Why `next` had no character to give.
    private var outcome: TypedLine?
    /// The line at which Tab found more than one candidate.
    private var ambiguousText: String?

    /// Scalars that may be pasted at once.
    private static let pasteLimit = 1 << 20

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
            ("sdlab-complete", "completes the word", { edit, _ in editor(edit)?.complete() ?? 0 }),
            ("sdlab-paste", "inserts what is pasted", { edit, _ in editor(edit)?.paste() ?? 0 }),
            (
                "sdlab-older", "an older line with this beginning",
                { edit, _ in editor(edit)?.recall { $0.older(than: $1) } ?? 0 }
            ),
            (
                "sdlab-newer", "a newer line with this beginning",
                { edit, _ in editor(edit)?.recall { $0.newer(than: $1) } ?? 0 }
            ),
            (
                "sdlab-end", "deletes a character, or ends an empty line",
                { edit, _ in editor(edit)?.deleteOrEnd() ?? 0 }
            ),
        ]
        for (name, help, function) in functions { _ = sdlab_edit_function(edit, name, help, function) }
        let keys = [
            ("^I", "sdlab-complete"), ("\\e[200~", "sdlab-paste"),
            ("\\e[A", "sdlab-older"), ("\\eOA", "sdlab-older"), ("^P", "sdlab-older"),
            ("\\e[B", "sdlab-newer"), ("\\eOB", "sdlab-newer"), ("^N", "sdlab-newer"),
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

    func withoutEcho(_ body: () -> Void) {
        _ = sdlab_edit_prepare(edit, 1)
        body()
        _ = sdlab_edit_prepare(edit, 0)
    }

    func read(_ prompt: PromptText) -> TypedLine {
        isFirstLine = prompt != .continuation
        show(prompt)
        outcome = nil
        ambiguousText = nil
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
            if let interruption = host.takeInterruption() {
                moveToEnd()
                outcome = interruption
                return nil
            }
            if let scalar = keyboard.nextScalar() { return scalar }
            if keyboard.hasEnded {
                outcome = .ended
                return nil
            }
            host.turn()
        }
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

    private var textBeforeCursor: String.UnicodeScalarView {
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

    private func insert(_ text: String) -> Bool { withWide(text) { el_winsertstr(edit, $0) == 0 } }

    private func withWide<R>(_ text: String, _ body: (UnsafePointer<wchar_t>) -> R) -> R {
        let scalars = text.unicodeScalars.map { wchar_t($0.value) } + [0]
        return scalars.withUnsafeBufferPointer { body($0.baseAddress!) }
    }

    // MARK: Above the line

    func printAbove(_ bytes: [UInt8]) {
        guard prompt != nil else { return output.write(bytes, isError: false) }
        clearLine(columns: columns)
        output.write(bytes, isError: false)
        redraw()
    }

    func resize() {
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
        if isFirstLine { show(host.currentPrompt()) }
        _ = sdlab_edit_refresh(edit)
    }

    // MARK: Keys

    private func complete() -> UInt8 {
        let before = String(textBeforeCursor)
        let completion = host.complete(before)
        if let replacement = completion.replacement {
            ambiguousText = nil
            el_deletestr(edit, Int32(completion.replacedScalars))
            return insert(replacement) ? UInt8(CC_REFRESH) : UInt8(CC_ERROR)
        }
        guard completion.candidates.count > 1 else { return UInt8(CC_REFRESH_BEEP) }
        guard ambiguousText == before else {
            ambiguousText = before
            return UInt8(CC_REFRESH_BEEP)
        }
        printAbove(Array(columnList(completion.candidates.map(\.text), columns: columns).utf8))
        return UInt8(CC_NORM)
    }

    private func paste() -> UInt8 {
        var pasted: [Unicode.Scalar] = []
        let end = Array(Keyboard.pasteEnd.unicodeScalars)
        while pasted.last != end.last || !pasted.suffix(end.count).elementsEqual(end) {
            guard let scalar = next() else {
                // What is still to come of it was not wanted, and must not be taken for typed lines.
                keyboard.dropRestOfPaste()
                return UInt8(CC_EOF)
            }
            pasted.append(scalar)
            if pasted.count > Self.pasteLimit {
                keyboard.dropRestOfPaste()
                return UInt8(CC_ERROR)
            }
        }
        pasted.removeLast(end.count)
        return insert(TypedText.cleaned(.init(pasted))) ? UInt8(CC_REFRESH) : UInt8(CC_ERROR)
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
