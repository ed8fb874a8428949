import KernelStructures
import KernelWorld
import ShellLab
import ShellLanguage

// A transcript is the recording of a terminal that can be run again: commands after `$ `, and below each what it
// printed. This file says what one consists of; TranscriptParser reads it, CaseRunner acts it out.

/// A place in a transcript's text.
public struct SourcePlace: Equatable, Sendable, CustomStringConvertible {
    public let file: String
    /// Counts from 1.
    public let line: Int
    public var description: String { "\(file):\(line)" }

    package init(file: String, line: Int) {
        self.file = file
        self.line = line
    }
}

/// What is wrong with a transcript's text. The message names the place and the remedy.
public struct TranscriptError: Error, Equatable, Sendable, CustomStringConvertible {
    public let place: SourcePlace
    public let column: Int?
    public let text: String

    init(_ place: SourcePlace, column: Int? = nil, _ text: String) {
        self.place = place
        self.column = column
        self.text = text
    }

    public var description: String { "\(place)\(column.map { ":\($0)" } ?? ""): \(text)" }
}

/// A file of cases.
public struct Transcript: Sendable {
    public let name: String
    /// The text, line by line, as it was read.
    public let lines: [String]
    public let cases: [TranscriptCase]

    /// Whether a text is a transcript at all: any line begins with `$ `, but for those of a script's here-documents.
    /// Otherwise every line of it is a command.
    public static func isTranscript(_ text: String) -> Bool { RecordedText.hasCommands(text) }
}

/// One case: a world of its own, and what happens in it.
public struct TranscriptCase: Sendable {
    public let name: String
    public let place: SourcePlace
    public let settings: CaseSettings
    public let items: [TranscriptItem]
    /// Files that lie in the lab before it starts.
    public let files: [ArchivedFile]
}

public struct ArchivedFile: Sendable, Equatable {
    public let path: String
    public let text: String

    package init(path: String, text: String) {
        self.path = path
        self.text = text
    }
}

/// What directives before the first step say about a case.
public struct CaseSettings: Sendable {
    public var seed: UInt64 = 1
    public var epoch = LabTime.documentedEpoch
    public var speed = ClockSpeed.virtual
    public var net: LabOptions.Net?
    /// Lab time that one step may take.
    public var timeout = LabDuration.seconds(60)
    /// Conditions under which the case is not for this machine or way of running.
    public var skips: [String] = []
    public var needs: [String] = []
    /// Requirements that the case demonstrates.
    public var covers: [String] = []
    /// A plain script: its first command that fails ends it.
    var stopsAtFailure = false
}

/// One line of a case, or several that are one command.
public struct TranscriptItem: Sendable {
    public enum Kind: Sendable {
        case command(Script, text: String)
        case expectation(Expectation)
        /// With its `# `.
        case comment
        case blank
        /// Lines that `run` shows and nobody executes.
        case quote([String])
        case terminal(Int)
        case logs(isExact: Bool)
        case order(isStrict: Bool)
        case timeout(LabDuration)
        case blanks(collapse: Bool)
        case fixture(String, [String])
    }

    public let place: SourcePlace
    /// The last line of it.
    public let lastLine: Int
    public let source: [String]
    public let kind: Kind
}

/// What a line below a command says about what happens.
public enum Expectation: Sendable {
    /// `...`: any number of this command's lines.
    case anyLines
    /// `[30 seconds later]`
    case later(LabDuration)
    /// `[within 1s]`
    case within(LabDuration)
    /// `[exit 7]`
    case exit(Int)
    /// `> text`
    case typed(String)
    /// `^C`: Ctrl-C in the terminal.
    case interrupted
    /// `[TAG] text`
    case log(tag: String, LinePattern)
    case output(LinePattern)
}
