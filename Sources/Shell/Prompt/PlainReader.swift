import KernelLoopback

/// Reads lines where the terminal understands no escape sequences (`TERM=dumb`): the kernel edits the line.
final class PlainReader: LineReader {
    private unowned let host: any LineReaderHost
    private let keyboard: Keyboard
    private let output: HostOutput
    private var prompt: PromptText?

    init(_ host: any LineReaderHost, _ keyboard: Keyboard, _ output: HostOutput) {
        self.host = host
        self.keyboard = keyboard
        self.output = output
    }

    var columns: Int { HostLimits.terminalColumns ?? 80 }
    func resize() {}
    func remember(_ line: String) {}
    func showsTyping(_ shows: Bool) {}

    func read(_ prompt: PromptText) -> TypedLine {
        output.write(prompt.text)
        self.prompt = prompt
        keyboard.isOpen = true
        defer {
            keyboard.isOpen = false
            self.prompt = nil
        }
        while true {
            if let interruption = host.takeInterruption() { return interruption }
            if let line = keyboard.nextLine() { return .line(line) }
            if keyboard.hasEnded {
                keyboard.hasEnded = false
                return .endOfInput
            }
            host.turn()
        }
    }

    /// The line being typed is the kernel's; it stays valid, and the prompt says that it goes on.
    func printAbove(_ bytes: [UInt8]) {
        output.write([10] + bytes, isError: false)
        if let prompt { output.write(prompt.text) }
    }
}
