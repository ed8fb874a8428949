// A here-document's text stands below the line that refers to it. The parser leaves a number in its place, and puts the
// text in once the whole script, or the `$(…)` that it stands in, is read.

extension Script {
    func resolvingDocuments(_ documents: [Int: Word]) -> Script {
        documents.isEmpty ? self : Script(statements: statements.map { $0.resolvingDocuments(documents) })
    }
}

extension Statement {
    fileprivate func resolvingDocuments(_ documents: [Int: Word]) -> Statement {
        Statement(
            first: first.resolvingDocuments(documents),
            rest: rest.map { Link(operator: $0.operator, pipeline: $0.pipeline.resolvingDocuments(documents)) },
            isBackground: isBackground, position: position, text: text)
    }
}

extension Pipeline {
    fileprivate func resolvingDocuments(_ documents: [Int: Word]) -> Pipeline {
        Pipeline(commands: commands.map { $0.resolvingDocuments(documents) }, isNegated: isNegated, timing: timing)
    }
}

extension CommandSyntax {
    fileprivate func resolvingDocuments(_ documents: [Int: Word]) -> CommandSyntax {
        switch self {
        case .simple(var simple):
            simple.redirections = simple.redirections.map { $0.resolvingDocuments(documents) }
            return .simple(simple)
        case .forLoop(let variable, let words, let body):
            return .forLoop(variable: variable, words: words, body: body.resolvingDocuments(documents))
        case .selectLoop(let variable, let words, let body):
            return .selectLoop(variable: variable, words: words, body: body.resolvingDocuments(documents))
        case .whileLoop(let condition, let isUntil, let body):
            return .whileLoop(
                condition: condition.resolvingDocuments(documents), isUntil: isUntil,
                body: body.resolvingDocuments(documents))
        case .choice(let branches, let otherwise):
            return .choice(
                branches: branches.map {
                    Branch(
                        condition: $0.condition.resolvingDocuments(documents),
                        body: $0.body.resolvingDocuments(documents))
                }, otherwise: otherwise?.resolvingDocuments(documents))
        case .redirected(let command, let redirections):
            return .redirected(
                command.resolvingDocuments(documents), redirections.map { $0.resolvingDocuments(documents) })
        case .countedLoop(let loop):
            return .countedLoop(
                CountedLoop(
                    first: loop.first, condition: loop.condition, step: loop.step,
                    body: loop.body.resolvingDocuments(documents)))
        case .selection(let word, let branches):
            return .selection(
                word,
                branches.map {
                    Selection(
                        patterns: $0.patterns, body: $0.body.resolvingDocuments(documents), ending: $0.ending)
                })
        case .group(let body): return .group(body.resolvingDocuments(documents))
        case .subshell(let body): return .subshell(body.resolvingDocuments(documents))
        case .definition(let name, let body):
            return .definition(name: name, body: body.resolvingDocuments(documents))
        case .host, .conditional, .arithmetic:
            return self
        }
    }
}

extension Redirection {
    fileprivate func resolvingDocuments(_ documents: [Int: Word]) -> Redirection {
        guard kind == .hereDocument, let place = target.literal.flatMap({ Int($0) }), let text = documents[place]
        else { return self }
        return Redirection(
            kind: .hereDocument, number: number, variable: variable, target: text, position: position)
    }
}
