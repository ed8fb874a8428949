import CommandKit
import CommandServices
import KernelJSON
import KernelStructures
import ShellSession

extension GeneralCommands {
    static var tour: Command {
        let words = TourText.all.map(\.name) + ["list"] + TourStep.allCases.map(\.rawValue)
        let description = CommandDescription(
            "tour", "asks a question about a system, and lets you find the answer",
            usage: "[list | NAME [N|list] | next | hint | again | leave] [--json]", flags: [CommonFlags.json],
            arguments: .init([.word(words), .word(["list"])], 0...2),
            examples: ["tour", "tour load-balancer", "tour lock 3", "tour lock list", "tour next"], group: .session,
            details: """
                A tour sets a system up in a lab of its own, asks, and waits for you to type
                the decisive command; what happens then, and why, is the answer. Until then
                everything else can be typed as well.
                next goes on: types the command for you, or asks the next question. hint
                shows the command. again begins the question anew. leave returns to an
                ordinary lab. What you have answered is kept.
                Away from the prompt, tour NAME writes the tour's text: a transcript that
                sdlab test passes.
                """)
        return Command(description) { invocation in
            let words = invocation.arguments.arguments
            let guide = invocation.session.tourGuide
            guard let first = words.first, words != ["list"] else { return .view(list(guide)) }
            if let step = TourStep(rawValue: first) ?? (["quit", "exit"].contains(first) ? .leave : nil) {
                guard words.count == 1 else { throw UsageError("tour: '\(words[1])' is one word too many") }
                guard let guide else { throw CommandFailure("only at the prompt, where somebody can answer") }
                try guide.go(step)
                return .success
            }
            let tour = try TourText.named(first)
            if words.dropFirst().first == "list" { return .view(questions(tour, guide)) }
            let number = try words.dropFirst().first.map { try self.number($0, of: tour) }
            guard let guide else {
                return .view(View(.text(tour.text, json: .string(tour.text))))
            }
            let answered = guide.answered(tour.name)
            let open = tour.questions.indices.first { !answered.contains($0) }
            try guide.begin(tour.name, question: number ?? open ?? 0)
            return .success
        }
    }

    private static func number(_ word: String, of tour: TourText) throws(UsageError) -> Int {
        guard let number = Int(word), tour.questions.indices.contains(number - 1) else {
            throw UsageError("tour: '\(word)' is no question of \(tour.name): 1 to \(tour.questions.count), or list")
        }
        return number - 1
    }

    private static func list(_ guide: (any TourGuide)?) -> View {
        let rows = TourText.all.map { tour -> [View.Cell] in
            let answered = guide?.answered(tour.name).count ?? 0
            return [
                .text(tour.name),
                View.Cell(
                    "\(answered)/\(tour.questions.count)", json: .integer(answered),
                    style: answered == tour.questions.count ? .good : .plain),
                .text(tour.title),
            ]
        }
        let table = View.Table(
            [
                .init("TOUR", key: "tour"), .init("ANSWERED", key: "answered", right: true),
                .init("ABOUT", key: "about", flexible: true),
            ], rows: rows, whenEmpty: "no tours")
        let open = TourText.all.first { (guide?.answered($0.name).count ?? 0) < $0.questions.count } ?? TourText.all[0]
        return table.view(
            followedBy: "tour NAME begins one, or goes on with it: tour \(open.name)\n"
                + "tour NAME list shows its questions.")
    }

    private static func questions(_ tour: TourText, _ guide: (any TourGuide)?) -> View {
        let answered = guide?.answered(tour.name) ?? []
        let rows = tour.questions.enumerated().map { index, question -> [View.Cell] in
            [
                .integer(index + 1),
                View.Cell(
                    answered.contains(index) ? "answered" : "open", json: .bool(answered.contains(index)),
                    style: answered.contains(index) ? .good : .plain),
                .text(question),
            ]
        }
        let table = View.Table(
            [
                .init("N", key: "number", right: true), .init("STATE", key: "answered"),
                .init("QUESTION", key: "question", flexible: true),
            ], rows: rows, whenEmpty: "no questions")
        let open = tour.questions.indices.first { !answered.contains($0) } ?? 0
        return table.view(followedBy: "tour \(tour.name) asks number \(open + 1), tour \(tour.name) N any other.")
    }
}

extension View.Table {
    /// The table, and below it what can be typed next. Programs see the table alone.
    fileprivate func view(followedBy advice: String) -> View {
        var view = View(.table(self), .prose(advice, json: .null))
        view.json = ViewRenderer().value(of: View(.table(self)))
        return view
    }
}
