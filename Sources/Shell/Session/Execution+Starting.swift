import KernelStructures
import ShellLanguage

extension Execution {
    // MARK: Pipelines and jobs

    func start(_ command: CommandSyntax) {
        switch command {
        case .simple(let simple):
            if !scope.aliases.isEmpty, let name = simple.aliasName,
                let script = scope.aliases[name]?.applied(to: simple, known: scope.aliases)
            {
                return push(.script(script, next: 0))
            }
            pushDebugged(.simple(simple, outputs: []))
        case .forLoop(let variable, let words, let body):
            guard let words else {
                status = scope.positional.isEmpty ? 0 : status
                return push(
                    .debugged(.forLoop(variable: variable, values: scope.positional[...], body: body, words: [])))
            }
            push(.forWords(variable: variable, words: words, body: body, outputs: []))
        case .countedLoop(let loop):
            status = 0
            push(.debugged(.countedLoop(loop, .first, outputs: [])))
        case .selectLoop(let variable, let words, let body):
            if scope.options.traces { trace(variable, words ?? [], of: "select") }
            if let words {
                pushDebugged(.selectWords(variable: variable, words: words, body: body, outputs: []))
            } else if !scope.positional.isEmpty {
                pushDebugged(
                    .selectRound(variable: variable, values: scope.positional, body: body, showsMenu: true))
            }
        case .selection(let word, let branches): pushDebugged(.selection(word, branches[...], outputs: []))
        case .group(let body): push(.script(body, next: 0))
        case .subshell(let body): push(.subshell(body))
        case .definition(let name, let body): define(name, body)
        case .conditional(let condition, let position): pushDebugged(.conditional(condition, position, outputs: []))
        case .arithmetic(let text, _): pushDebugged(.arithmetic(text, outputs: []))
        case .whileLoop(let condition, let isUntil, let body):
            push(.whileLoop(condition: condition, isUntil: isUntil, body: body, .entered))
        case .choice(let branches, let otherwise):
            push(.choice(branches: branches[...], otherwise: otherwise, ranCondition: false))
        case .redirected(let command, let redirections):
            push(.redirected(command, redirections, outputs: []))
        case .host(let line, _): push(.host(line))
        }
    }

    func startInBackground(_ statement: Statement) {
        let foreground = Statement.foreground(statement)
        let job = session.startJob(
            foreground, submission: submission, streams: streams.another, scope: scope)
        job?.execution?.stopsAtFailure = stopsAtFailure
        status = job == nil ? 1 : 0
        giveWay()
    }
}
