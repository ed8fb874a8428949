/// What came of asking for a line.
enum TypedLine: Equatable {
    case line(String)
    /// Ctrl-C.
    case interrupted
    /// Ctrl-D.
    case endOfInput
    /// The lab is to end: a signal, or the terminal is gone.
    case ended
}

/// Something that lets a person type a line while the lab goes on.
protocol LineReader: AnyObject {
    func read(_ prompt: PromptText) -> TypedLine
    /// Prints whole lines above the line that is being typed.
    func printAbove(_ bytes: [UInt8])
    /// The terminal has another size.
    func resize()
    /// Makes a line available to the search in the history.
    func remember(_ line: String)
    /// Whether the terminal shows what is typed, and hands it on a line at a time, while nobody edits a line.
    func showsTyping(_ shows: Bool)
    var columns: Int { get }
}

/// What a line reader asks of the prompt around it.
protocol LineReaderHost: AnyObject {
    /// Lets the lab go on for one round, until something happens.
    func turn()
    /// What ends the reading of a line, once: Ctrl-C, the end of the lab.
    func takeInterruption() -> TypedLine?
    /// The first line's prompt as it is now.
    func currentPrompt() -> PromptText
    func complete(_ text: String) -> Completer.Completion
    /// Whether more lines are needed before what is typed means something: a loop without its `done`, an open quote.
    func isUnfinished(_ text: String) -> Bool
    var history: TypedHistory { get }
    /// How a line looks, and what it will probably become.
    func paint(_ text: String) -> LinePaint
    var usesColor: Bool { get }
}
