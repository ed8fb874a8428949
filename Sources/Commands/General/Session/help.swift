import CommandKit
import KernelJSON
import KernelStructures
import ShellSession

extension GeneralCommands {
    static var help: Command {
        let description = CommandDescription(
            "help", "what there is, or one command in full", usage: "[COMMAND [VERB]|language|transcripts]",
            arguments: .init([.command, .text], 0...2),
            examples: ["help", "help curl", "help connpool evict", "help language"], group: .session)
        return Command(description) { invocation in
            let table = invocation.session.commands
            guard let word = invocation.arguments.arguments.first else { return .view(overview(table)) }
            if let topic = HelpTopic.named(word) {
                return .view(
                    View(
                        .text(
                            topic.text, json: .object([("name", .string(topic.name)), ("text", .string(topic.text))]))))
            }
            guard let command = table[word] else { throw CommandFailure(table.unknown(word)) }
            guard let verb = invocation.arguments.arguments.dropFirst().first else {
                return .view(page(command.description))
            }
            let verbs = command.description.subcommands.map(\.verb)
            guard let found = command.description.subcommand(verb) else {
                throw CommandFailure(
                    verbs.isEmpty
                        ? "\(word) has no subcommands; see help \(word)"
                        : "\(word): '\(verb)' is none of \(verbs.joined(separator: ", "))"
                            + didYouMean(verb, among: verbs))
            }
            return .view(page(found))
        }
    }

    private static func overview(_ table: CommandTable) -> View {
        let width = table.names.map(\.count).max() ?? 0
        var text = ""
        var json: [JSONValue] = []
        for group in CommandDescription.Group.allCases {
            let members = table.commands.map(\.description).filter { $0.group == group }
            if members.isEmpty { continue }
            text += "\(group.rawValue)\n"
            for member in members {
                text += row(member.name, width: width, member.summary)
                json.append(
                    .object([
                        ("name", .string(member.name)), ("summary", .string(member.summary)),
                        ("group", .string(group.rawValue)),
                    ]))
            }
            text += "\n"
        }
        text += "Topics\n"
        for topic in HelpTopic.all { text += row(topic.name, width: width, topic.summary) }
        text += "\nhelp COMMAND tells all about one. A service starts with & and is then a job: %1.\n"
        return View(.text(text, json: .array(json)))
    }

    /// A name and what is said of it, in two columns.
    private static func row(_ name: String, width: Int, _ text: String) -> String {
        let space = String(repeating: " ", count: max(0, width - name.count))
        return "  " + wrapped("\(name)\(space)  \(text)", columns: 78, indent: width + 4) + "\n"
    }

    /// The page of `help NAME`.
    package static func page(_ description: CommandDescription) -> View {
        var text = wrapped("\(description.name): \(description.summary)", indent: 2) + "\n\n"
        text += wrapped(
            "usage: \(description.name)" + (description.usage.isEmpty ? "" : " " + description.usage), indent: 9)
        text += "\n"
        if !description.flags.isEmpty {
            text += "\nflags\n"
            let names = description.flags.map { flag -> String in
                let letter = flag.letter.map { "-\($0)" }
                let long = flag.name.isEmpty ? nil : "--\(flag.name)"
                let both = [letter, long].compactMap { $0 }.joined(separator: ", ")
                return flag.value.placeholder.isEmpty ? both : "\(both) \(flag.value.placeholder)"
            }
            let width = min(30, names.map(\.count).max() ?? 0)
            for (name, flag) in zip(names, description.flags) {
                text += row(name, width: width, flag.help + (flag.value.listing.map { ": \($0)" } ?? ""))
            }
        }
        if !description.subcommands.isEmpty {
            text += "\nverbs\n"
            let width = description.subcommands.map(\.verb.count).max() ?? 0
            for one in description.subcommands { text += row(one.verb, width: width, one.summary) }
            text += "help \(description.name) VERB tells all about one.\n"
            if description.operates { text += "Where several run: --node NODE, or NODE before the verb.\n" }
        }
        if !description.details.isEmpty { text += "\n\(description.details)\n" }
        text += "\nexamples\n" + description.examples.map { "  \($0)\n" }.joined()
        let flags = description.flags.map { flag -> JSONValue in
            .object([
                ("name", .string(flag.display)), ("value", .string(flag.value.placeholder)),
                ("help", .string(flag.help)),
            ])
        }
        return View(
            .text(
                text,
                json: .object([
                    ("name", .string(description.name)), ("summary", .string(description.summary)),
                    ("usage", .string(description.usage)), ("role", .string(description.role.rawValue)),
                    ("flags", .array(flags)),
                    (
                        "verbs",
                        .array(
                            description.subcommands.map {
                                .object([("name", .string($0.verb)), ("summary", .string($0.summary))])
                            })
                    ),
                    ("examples", .array(description.examples.map { .string($0) })),
                ])))
    }
}
