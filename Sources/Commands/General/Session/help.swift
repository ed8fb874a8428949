import CommandKit
import KernelJSON
import KernelStructures
import ShellSession

extension GeneralCommands {
    static var help: Command {
        let description = CommandDescription(
            "help", "what there is, or one command in full", usage: "[COMMAND [VERB] | CHAPTER | all]",
            arguments: .init([.command, .text], 0...2),
            examples: ["help", "help systems", "help curl", "help connpool evict", "help language", "help all"],
            group: .session)
        return Command(description) { invocation in
            let table = invocation.session.commands
            guard let word = invocation.arguments.arguments.first else { return .view(contents(table)) }
            // A chapter has no second word; a command of the same name may.
            if invocation.arguments.arguments.count == 1 {
                if word.lowercased() == "all" { return .view(overview(table)) }
                if let chapter = HelpChapter.all(table).first(where: { $0.name == word.lowercased() }) {
                    return .view(page(chapter))
                }
            }
            if let topic = HelpTopic.named(word) {
                return .view(
                    View(
                        .prose(
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

    /// What somebody new has to know, within a screen of 24 lines.
    private static func contents(_ table: CommandTable) -> View {
        let chapters = HelpChapter.all(table)
        let width = (chapters.map(\.name) + HelpTopic.all.map(\.name)).map(\.count).max() ?? 0
        var text = """
            A lab of distributed systems. Start some, break them, and look at what happens.

              tour                       asks questions about each system, and lets you find
                                         the answers
              spawn 3 backend --port 8081; loadbalancer --backends 8081,8082,8083 --port 80
              kill -9 backend-2; watch 1s top; why Removed

            Chapters: help CHAPTER

            """
        for chapter in chapters { text += row(chapter.name, width: width, chapter.summary) }
        for topic in HelpTopic.all { text += row(topic.name, width: width, topic.summary) }
        text += "\nhelp COMMAND tells all about one, help all lists every command.\n"
        let json = chapters.map { chapter -> JSONValue in
            .object([
                ("name", .string(chapter.name)), ("summary", .string(chapter.summary)),
                ("commands", .array(chapter.members.map { .string($0.name) })),
            ])
        }
        return View(.prose(text, json: .array(json)))
    }

    private static func page(_ chapter: HelpChapter) -> View {
        let width = chapter.members.map(\.name.count).max() ?? 0
        var text = chapter.text + "\n\n"
        for member in chapter.members { text += row(member.name, width: width, member.summary) }
        let json = JSONValue.object([
            ("name", .string(chapter.name)), ("text", .string(chapter.text)),
            ("commands", .array(chapter.members.map { .string($0.name) })),
        ])
        return View(.prose(text, json: json))
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
        return View(.prose(text, json: .array(json)))
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
        if let reading = FurtherReading.of(description.name) {
            text += "\nhow it works: " + reading.essay + "\n"
            if let tour = reading.tour { text += "to try it: tour \(tour)\n" }
        }
        let flags = description.flags.map { flag -> JSONValue in
            .object([
                ("name", .string(flag.display)), ("value", .string(flag.value.placeholder)),
                ("help", .string(flag.help)),
            ])
        }
        return View(
            .prose(
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
