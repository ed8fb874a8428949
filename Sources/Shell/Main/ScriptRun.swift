import KernelLoopback
import KernelStructures
import KernelWorld
import ShellLab
import ShellLanguage
import ShellSession

/// Runs a plain script, every line of which is a command: `-c`, standard input, `run` with a file without `$ ` lines.
struct ScriptRun {
    private var options: LabOptions
    private let usesColor: Bool
    private let output: HostOutput
    /// A command that fails does not end the script.
    var keepsGoing = false
    /// It may use the machine: `!command`, put and get.
    var allowsHost = false
    /// What `$0` is.
    var scriptName = "sdlab"
    /// What `$1`, `$2` and so on are.
    var words: [String] = []

    init(_ options: LabOptions, _ usesColor: Bool, _ output: HostOutput) {
        self.options = options
        self.usesColor = usesColor
        self.output = output
    }

    /// Runs the text and returns the script's status: that of the first command that failed, or 0.
    ///
    /// All of it is parsed first, so a script with an error in line 40 does nothing at all.
    func run(_ text: String, name: String?) throws -> Int {
        let script: Script
        do {
            script = try Parser.parse(text)
        } catch {
            output.write("sdlab: \(name.map { $0 + ":" } ?? "")\(error)\n", isError: true)
            return 2
        }
        var options = options
        options.watchesHost = true
        options.keepsSamples = true
        let lab = try Lab(options)
        let session = lab.session
        session.scriptName = name == "-c" ? nil : name
        session.setParameters(scriptName: scriptName, words)
        session.hasNoKeyboard = true
        session.renderer.usesColor = usesColor
        session.renderer.cutsCells = HostLimits.isStandardOutputTerminal
        if allowsHost, let poller = lab.poller { HostBridge(poller).connect(session) }
        let events = EventText(usesColor: usesColor)
        session.observer = { [output] event in
            if let (bytes, isError) = events.render(event) { output.write(bytes, isError: isError) }
        }
        let submission = session.submit(script, on: session.currentTerminal, text: text, stopsAtFailure: !keepsGoing)
        let pace: Pace = options.speed == .virtual ? .stepping : .clock
        let failure = session.wait(pace, isInterrupted: { output.hasNoReader }) {
            !submission.isRunning || session.exitStatus != nil
        }
        session.settle()
        let firstFailure = keepsGoing ? submission.firstFailure : nil
        if let status = session.exitStatus ?? firstFailure ?? submission.status { return status }
        if failure == .endless { output.write("sdlab: stopped: work goes on for ever at this moment\n", isError: true) }
        if failure == .nothingLeft {
            output.write("sdlab: stopped: a command waits for something that will never happen\n", isError: true)
        }
        return failure == .interrupted ? 0 : 1
    }
}
