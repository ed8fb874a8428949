import CTours
import KernelStructures
import ShellSession

/// A tour as it lies in the program: a transcript, each case of which is a question.
package struct TourText: Sendable {
    /// That of its file, without `.sdl`.
    package let name: String
    package let text: String
    /// What it is about: its first comment.
    package let title: String
    /// The names of its cases, in order.
    package let questions: [String]

    init(name: String, text: String) {
        self.name = name
        self.text = text
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        title = lines.first.map { String($0.drop { $0 == "#" || $0 == " " }) } ?? ""
        questions = lines.filter { $0.hasPrefix("@case ") }.map { String($0.dropFirst("@case ".count)) }
    }

    /// All tours, in the order in which they are listed.
    package static let all: [TourText] = (0..<sdlab_tour_count()).compactMap { index in
        guard let name = sdlab_tour_name(index), let text = sdlab_tour_text(index) else { return nil }
        return TourText(name: String(cString: name), text: String(cString: text))
    }

    /// The tour of that name, of which the beginning is enough where no other begins so; hyphens may be left out.
    package static func named(_ word: String) throws(CommandFailure) -> TourText {
        func plain(_ name: String) -> String { name.lowercased().filter { $0 != "-" } }
        if let exact = all.first(where: { plain($0.name) == plain(word) }) { return exact }
        let found = all.filter { plain($0.name).hasPrefix(plain(word)) }
        guard found.count == 1, !word.isEmpty else {
            throw CommandFailure(
                "there is no tour '\(word)'\(didYouMean(word, among: all.map(\.name))); tour lists them")
        }
        return found[0]
    }
}
