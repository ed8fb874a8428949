import Commands
import KernelStructures
import KernelWorld
import ShellLab
import ShellLanguage

extension TranscriptParser {
    // MARK: Directives

    /// Those that belong to a case as a whole, and those that act where they stand.
    package static let directives = Directives.all.map(\.name)

    mutating func readDirective(_ line: SourceLine) throws(TranscriptError) {
        let words = line.text.split(whereSeparator: \.isWhitespace).map(String.init)
        let name = String(words[0].dropFirst())
        let arguments = Array(words.dropFirst())
        let complain = { (text: String) in TranscriptError(line.place, "@\(name): \(text)") }
        let one = arguments.first
        switch name {
        case "case":
            let title = line.text.dropFirst("@case".count).trimmingBlanks
            guard !title.isEmpty else { throw complain("a case needs a name") }
            try close(before: line.place)
            hasNamedCase = true
            open = CaseDraft(name: title, place: line.place, settings: defaults, items: prelude)
        case "quote": try readQuote(line)
        case "end": throw complain("there is no @quote before it")
        case "terminal":
            guard let number = one.flatMap({ Int($0) }), (1...100).contains(number) else {
                throw complain("which terminal? 1 to 100")
            }
            append(.terminal(number), line.place, source: [])
        case "logs":
            guard one == "subset" || one == "exact" else { throw complain("subset or exact") }
            append(.logs(isExact: one == "exact"), line.place, source: [])
        case "order":
            guard one == "floating" || one == "strict" else { throw complain("floating or strict") }
            append(.order(isStrict: one == "strict"), line.place, source: [])
        case "blanks":
            guard one == "collapse" || one == "exact" else { throw complain("collapse or exact") }
            append(.blanks(collapse: one == "collapse"), line.place, source: [])
        case "fixture":
            guard let one else { throw complain("which fixture?") }
            append(.fixture(one, Array(arguments.dropFirst())), line.place, source: [])
        case "timeout":
            guard let duration = one.flatMap({ LabDuration(parsing: $0, bareUnit: .seconds(1)) }) else {
                throw complain("'\(one ?? "")' is not a time such as 60s")
            }
            guard duration > .zero else { throw complain("'\(one ?? "")' is too short: it must be longer than 0s") }
            if hasCommand {
                append(.timeout(duration), line.place, source: [])
            } else {
                change { $0.timeout = duration }
            }
        default: try readSetting(name, arguments, complain)
        }
    }

    mutating func readSetting(
        _ name: String, _ arguments: [String], _ complain: (String) -> TranscriptError
    ) throws(TranscriptError) {
        guard Self.directives.contains(name) else {
            throw complain(
                "no such directive\(didYouMean(name, among: Self.directives)); a line of output begins with \\@")
        }
        if hasCommand { throw complain("belongs before the first command of its case") }
        let word = arguments.first ?? ""
        switch name {
        case "seed":
            guard let seed = UInt64(word) else { throw complain("'\(word)' is not a whole number") }
            change { $0.seed = seed }
        case "epoch":
            guard let time = LabTime(parsing: word) else {
                throw complain("'\(word)' is not a time such as 2023-12-20T15:00:00Z")
            }
            change { $0.epoch = time }
        case "clock":
            guard let speed = ClockSpeed(parsing: word) else {
                throw complain("'\(word)' is none of virtual, real, x60")
            }
            change { $0.speed = speed }
        case "net":
            guard let net = LabOptions.Net(rawValue: word) else {
                throw complain("'\(word)' is neither memory nor loopback")
            }
            change { $0.net = net }
        case "skip-if":
            for condition in arguments where !CaseConditions.isKnown(condition) {
                throw complain("'\(condition)' is no condition; \(CaseConditions.help)")
            }
            change { $0.skips += arguments }
        case "needs": change { $0.needs += arguments }
        case "covers": change { $0.covers += arguments.map { $0.filter { $0 != "," } } }
        default: throw complain("belongs elsewhere")
        }
    }

    /// Settings before the first `@case` are for all of them.
    mutating func change(_ body: (inout CaseSettings) -> Void) {
        if !hasNamedCase { body(&defaults) }
        if open != nil { body(&open!.settings) }
    }

    mutating func readQuote(_ line: SourceLine) throws(TranscriptError) {
        var texts: [String] = []
        while next < lines.count, lines[next].text.trimmingTrailingBlanks != "@end" {
            texts.append(lines[next].text)
            next += 1
        }
        guard next < lines.count else { throw TranscriptError(line.place, "@quote without @end") }
        next += 1
        append(.quote(texts), line.place, lastLine: lines[next - 1].place.line, source: texts)
    }
}
