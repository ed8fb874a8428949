import KernelStructures

/// The runtime API: HAProxy's language for looking at a balancer and changing it while it runs.
///
/// ## The problem
///
/// A balancer must not stop: to take a server out for repair, everybody's traffic would be interrupted. Its file says
/// what it was when it started; what it is *now* is somewhere in its memory. Operators need a door to that memory, and
/// so do their programs, which is why the language matters more than its beauty: whoever speaks HAProxy's (`socat`,
/// `hatop`, exporters, deployment scripts) can speak to this balancer unchanged.
///
/// ## An everyday picture
///
/// The hatch of a control room. Somebody hands in a slip with one line, "server b: drain", and gets a slip back. No
/// slip asks for more than one change, each is carried out before the next is read, and an empty line ends the answer.
/// A person who stays asks for the prompt; a script hands in one line and goes.
///
/// ## How
///
/// `RuntimeLine` cuts a line into commands. `RuntimeInterpreter` takes one command, the engine, and what is known of
/// the clients' side (`FrontSide`), and gives back a text and what is to be done: the engine's own effects, and
/// sometimes a request to whoever holds the connections. It opens nothing, reads no clock, and never fails: every line
/// has an answer. `RuntimeServer` puts it on a socket, and the `balancer` command under a prompt.
///
/// ## Where it differs from HAProxy
///
/// One balancer is one proxy, frontend and backend under the same name. Checks are set for all servers together, so
/// `add server … check` only says what is true anyway. `wretr` counts attempts at another server, as a balancer that
/// has several does not ask the same one twice; `wredis` counts clients who carried the mark of a server and went to
/// another. A server that real requests have put out is `DOWN (ejected)`. What is not known stays empty.
public struct RuntimeInterpreter {
    var engine: LoadBalancer
    let front: FrontSide
    let now: LabTime
    var effects: [LoadBalancer.Effect] = []
    var request: Request?

    /// What the interpreter asks of whoever runs it.
    public enum Request: Equatable, Sendable {
        case togglePrompt
        case quit
        case setTimeout(LabDuration)
        case endSession(UInt64)
        case endSessions(server: Int)
        /// The clients' side counts anew; without `all`, only its highest values.
        case clearCounters(all: Bool)
        /// Clients can come from now on, or cannot.
        case setFrontend(FrontSide.State)
        case limitConnections(Int)
    }

    public struct Answer {
        /// Lines, each with its end; none of them is empty. May be no line at all.
        public var text = ""
        public var isRefusal = false
        public var effects: [LoadBalancer.Effect] = []
        public var request: Request?

        package init() {}
    }

    /// A command could not be done: why, for people.
    struct Refusal: Error {
        let text: String
        init(_ text: String) { self.text = text }
    }

    struct Entry: Sendable {
        /// The words it begins with, and those that follow, for `help`.
        let words: [String]
        let usage: String
        let summary: String
        let body: @Sendable (inout RuntimeInterpreter, ArraySlice<String>) throws(Refusal) -> String

        init(
            _ words: String, _ usage: String, _ summary: String,
            _ body: @escaping @Sendable (inout RuntimeInterpreter, ArraySlice<String>) throws(Refusal) -> String
        ) {
            self.words = words.split(separator: " ").map(String.init)
            self.usage = usage
            self.summary = summary
            self.body = body
        }
    }

    /// The version of HAProxy whose language this is, as clients look at it.
    public static let version = "2.6-sdlab"

    /// When that version came out.
    static let releaseDate = "2022/05/31"

    /// Whether a command looks at the clients' connections, which are many.
    package static func needsSessions(_ words: [String]) -> Bool { words.contains("sess") || words.first == "shutdown" }

    /// Carries out one command.
    public static func run(_ words: [String], _ engine: inout LoadBalancer, _ front: FrontSide, now: LabTime) -> Answer
    {
        var answer = Answer()
        guard let entry = entry(for: words) else {
            answer.text = unknown(words)
            answer.isRefusal = true
            return answer
        }
        var interpreter = RuntimeInterpreter(engine: engine, front: front, now: now)
        do throws(Refusal) {
            answer.text = try entry.body(&interpreter, words[entry.words.count...])
            engine = interpreter.engine
            answer.effects = interpreter.effects
            answer.request = interpreter.request
        } catch {
            answer.text = error.text + "\n"
            answer.isRefusal = true
        }
        return answer
    }

    /// The first words that can be typed, for completion.
    public static var verbs: [String] {
        entries.map { $0.words[0] }.reduce(into: []) { if $0.last != $1 { $0.append($1) } }
    }

    static func entry(for words: [String]) -> Entry? {
        entries.filter { words.starts(with: $0.words) }.max { $0.words.count < $1.words.count }
    }

    // MARK: Help

    static func help(_ words: ArraySlice<String>) -> String {
        let matching = entries.filter {
            $0.words.starts(with: words.prefix($0.words.count)) && words.count <= $0.words.count
        }
        return "What can be typed here:\n" + list(matching.isEmpty ? entries : matching)
    }

    private static func unknown(_ words: [String]) -> String {
        let near = entries.filter { $0.words[0] == words.first }
        if near.isEmpty { return "Unknown command. Known are:\n" + list(entries) }
        return "Unknown command, but one of these may be meant:\n" + list(near)
    }

    private static func list(_ entries: [Entry]) -> String {
        entries.map { entry in
            let usage = (entry.words + (entry.usage.isEmpty ? [] : [entry.usage])).joined(separator: " ")
            return "  " + usage + String(repeating: " ", count: max(1, 42 - usage.count)) + entry.summary + "\n"
        }.joined()
    }

    static let entries: [Entry] =
        showEntries + frontendEntries + serverEntries + [
            Entry("clear counters", "[all]", "forget the highest values, or count everything anew") { run, words in
                let all = words.first == "all"
                run.engine.clearCounters(all: all)
                run.request = .clearCounters(all: all)
                return ""
            },
            Entry("set timeout cli", "<delay>", "how long this connection may be silent") {
                run, words throws(Refusal) in
                guard let delay = words.first.flatMap({ LabDuration(parsing: $0, bareUnit: .seconds(1)) }),
                    delay > .zero
                else { throw Refusal("A time is needed, such as 10 (seconds) or 2m.") }
                run.request = .setTimeout(delay)
                return ""
            },
            Entry("help", "[<command>]", "this list") { _, words in help(words) },
            Entry("prompt", "", "go on after this line, with a prompt; the second time, end") { run, _ in
                run.request = .togglePrompt
                return ""
            },
            Entry("quit", "", "end the connection") { run, _ in
                run.request = .quit
                return ""
            },
        ]
}

/// A line as it was typed, cut into commands.
public enum RuntimeLine {
    /// Longer lines are not read: HAProxy's usual buffer.
    public static let limitBytes = 16 * 1024

    /// The commands of a line, each as its words. A semicolon separates commands and blanks separate words, unless a
    /// backslash stands before them. A line of nothing is one command of no words.
    public static func commands(_ line: some StringProtocol) -> [[String]] {
        var commands: [[String]] = []
        var words: [String] = []
        var word = ""
        var isEscaped = false
        var isWord = false
        func endWord() {
            if isWord { words.append(word) }
            word = ""
            isWord = false
        }
        for scalar in line.unicodeScalars {
            if isEscaped {
                word.unicodeScalars.append(scalar)
                isWord = true
                isEscaped = false
            } else if scalar == "\\" {
                isEscaped = true
            } else if scalar == ";" {
                endWord()
                if !words.isEmpty { commands.append(words) }
                words = []
            } else if scalar == " " || scalar == "\t" || scalar == "\r" || scalar == "\n" {
                endWord()
            } else {
                word.unicodeScalars.append(scalar)
                isWord = true
            }
        }
        endWord()
        if !words.isEmpty || commands.isEmpty { commands.append(words) }
        return commands
    }
}
