import CommandKit

extension Session {
    /// `curl --help` is `help curl`.
    func showPage(of description: CommandDescription, _ process: Process) {
        let words = description.name.split(separator: " ").map(String.init)
        guard let help = commands["help"], let arguments = try? ParsedArguments(words, for: help.description),
            case .view(let page)? = try? help.body(Invocation(name: "help", arguments: arguments, process: process))
        else { return process.exit(0) }
        process.output.write(process.text(of: page, asJSON: false))
        process.exit(0)
    }
}
