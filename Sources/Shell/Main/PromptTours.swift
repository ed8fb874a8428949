import GeneralCommands
import KernelLoopback
import ShellLab
import ShellPrompt
import ShellSession
import ShellTranscripts

/// Tours at the prompt: each question in a fresh lab whose time stands still, and between questions the learner's own
/// lab again.
///
/// A command cannot replace the lab that it runs in. So what `tour` wants is only noted, and done before the next
/// prompt: first the fresh lab is asked for, then, once it is there, the question is played in it.
final class PromptTours: TourGuide {
    private unowned let prompt: Prompt
    private let ownLab: LabOptions
    private let usesColor: Bool
    private let progress: TourProgress
    /// How the next lab is to be made.
    private(set) var lab: LabOptions
    private var current: Question?
    private var player: TourPlayer?
    private var wish = Wish.none

    private struct Question {
        let tour: TourText
        let index: Int
        let transcriptCase: TranscriptCase
    }

    private enum Wish {
        case none
        /// A fresh lab, and then the current question in it.
        case begin, play
        case goOn, leave
    }

    init(_ prompt: Prompt, lab: LabOptions, usesColor: Bool, progressFile: String?) {
        self.prompt = prompt
        ownLab = lab
        self.lab = lab
        self.usesColor = usesColor
        progress = TourProgress(file: progressFile)
    }

    /// A question's lab is the one that is typed into, or about to be.
    var isUnderWay: Bool { current != nil }

    // MARK: What the command asks

    func answered(_ tour: String) -> Set<Int> { progress.answered(tour) }

    func begin(_ name: String, question: Int) throws(CommandFailure) {
        if current == nil, !prompt.session.jobs.running.isEmpty {
            throw CommandFailure("something runs here that a tour's lab would end; reset ends it, or exit and sdlab")
        }
        let tour = try TourText.named(name)
        current = try self.question(question, of: tour)
        wish = .begin
    }

    func go(_ step: TourStep) throws(CommandFailure) {
        guard let current else { throw CommandFailure("no tour is under way; tour lists them") }
        switch step {
        case .hint:
            guard let hint = player?.hint else {
                let isLast = current.index + 1 == current.tour.questions.count
                throw CommandFailure(
                    "nothing is to be typed now; "
                        + (isLast
                            ? "that was the last question, and tour lists the others"
                            : "tour next asks the next question"))
            }
            prompt.show(hint + "\n")
        case .next:
            if player?.isWaiting == true {
                wish = .goOn
            } else if current.index + 1 < current.tour.questions.count {
                self.current = try question(current.index + 1, of: current.tour)
                wish = .begin
            } else {
                throw CommandFailure("that was the last question; tour lists the other tours")
            }
        case .again: wish = .begin
        case .leave: wish = .leave
        }
    }

    private func question(_ index: Int, of tour: TourText) throws(CommandFailure) -> Question {
        do {
            let transcript = try TranscriptParser.parse(
                tour.text, name: tour.name, tags: prompt.session.commands.tags,
                loader: TranscriptParser.refuseIncludes)
            guard transcript.cases.indices.contains(index) else {
                throw CommandFailure("\(tour.name) has \(transcript.cases.count) questions")
            }
            return Question(tour: tour, index: index, transcriptCase: transcript.cases[index])
        } catch let error as CommandFailure {
            throw error
        } catch {
            throw CommandFailure("\(error)")
        }
    }

    // MARK: What the prompt asks

    /// Takes a line if it is the command that the question waits for.
    func takes(_ line: String) -> Bool {
        guard let player, player.isTurn(line) else {
            isNearMiss = player?.isNearMiss(line) ?? false
            return false
        }
        wish = .goOn
        wasTyped = true
        return true
    }

    private var wasTyped = false
    /// The last line was nearly what is waited for.
    private var isNearMiss = false

    /// Does what was wished for, now that nothing runs in the foreground.
    func beforePrompt() {
        let wish = wish
        self.wish = .none
        switch wish {
        case .begin:
            guard let current else { return }
            player = nil
            lab = tourLab(current.transcriptCase.settings)
            prompt.requestFreshLab()
            self.wish = .play
        case .play: play()
        case .goOn:
            player?.goOn(wasTyped: wasTyped)
            wasTyped = false
            finish()
        case .leave: leave()
        case .none:
            // Somebody typed reset: that is the way out, too.
            if prompt.isFreshLabDue, current != nil { leave() }
            if isNearMiss, player != nil {
                prompt.tell(faint("That is not quite what the question waits for: tour hint shows it."))
            }
            isNearMiss = false
        }
    }

    private func leave() {
        current = nil
        player = nil
        lab = ownLab
        prompt.requestFreshLab()
    }

    /// The lab of a question: as its case says, on the net that the prompt is on, its clock standing still.
    private func tourLab(_ settings: CaseSettings) -> LabOptions {
        var options = ownLab
        options.seed = settings.seed
        options.epoch = settings.epoch
        options.speed = .virtual
        options.root = nil
        return options
    }

    private func play() {
        guard let current else { return }
        let session = prompt.session
        do {
            for file in current.transcriptCase.files {
                try session.files.place(Array(file.text.utf8), at: file.path)
            }
        } catch {
            return prompt.complain("tour: \(error)")
        }
        prompt.show("\n\(current.tour.name) \(current.index + 1): \(current.transcriptCase.name)\n\n")
        let player = TourPlayer(current.transcriptCase, session: session, usesColor: usesColor) { [unowned prompt] in
            prompt.show($0)
        }
        self.player = player
        player.begin()
        if current.index == 0 {
            prompt.tell(faint("This is a lab of its own: its clock stands still while nothing is to be done."))
        }
        if player.isWaiting {
            prompt.tell(faint("Type the command. tour hint shows it, tour next types it for you."))
        } else {
            finish()
        }
    }

    private func finish() {
        guard let current, let player, !player.isWaiting else { return }
        if player.hasFailed {
            return prompt.tell(
                faint("Something came out differently: other commands went before. tour again begins anew."))
        }
        progress.add(current.tour.name, current.index)
        let isLast = current.index + 1 == current.tour.questions.count
        let next = "tour next: question \(current.index + 2) of \(current.tour.questions.count)."
        let last = "That was the last one; tour lists the others."
        prompt.tell(faint((isLast ? last : next) + " tour leave ends the tour."))
    }

    private func faint(_ text: String) -> String { usesColor ? "\u{1B}[2m\(text)\u{1B}[0m" : text }
}

/// Which questions were answered, kept in a text file: a line `NAME NUMBER` each.
final class TourProgress {
    private let file: String?
    private var known: [String: Set<Int>] = [:]

    /// - Parameter file: nil keeps it for this session only. What is no such line in it is passed over.
    init(file: String?) {
        self.file = file
        guard let file, HostFile.exists(file), let bytes = try? HostFile.read(file, limitBytes: 1 << 20) else { return }
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 2, let number = Int(words[1]), number > 0 else { continue }
            known[String(words[0]), default: []].insert(number - 1)
        }
    }

    func answered(_ tour: String) -> Set<Int> { known[tour] ?? [] }

    func add(_ tour: String, _ question: Int) {
        guard known[tour, default: []].insert(question).inserted, let file else { return }
        // Progress that cannot be kept is no reason to disturb anybody.
        try? HostFile.append(Array("\(tour) \(question + 1)\n".utf8), to: file)
    }
}
